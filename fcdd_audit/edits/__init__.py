"""Ways to change a training set."""

# ruff: noqa: F401, I001  (registers them, in this order)

from fcdd_audit.edits import as_is, plant, together, drop, inpaint, replant, balance, randomise
from fcdd_audit.edits import placebo, mended
