"""Ways to change a training set."""

from fcdd_audit.edits import as_is, plant, together, drop, inpaint, balance, randomise, placebo, mended  # noqa: F401, I001  (registers them, in this order)
