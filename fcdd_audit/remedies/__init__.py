"""Ways to mend a detector that relies on an artifact."""

from fcdd_audit.remedies import drop, inpaint, balance, randomise, consistency, outside, placebo  # noqa: F401, I001  (registers them, in this order)
from fcdd_audit.remedies.base import PLACEBO, REMEDIES, Case, Penalty, Remedy, make_remedy, mending

__all__ = ["PLACEBO", "REMEDIES", "Case", "Penalty", "Remedy", "make_remedy", "mending"]
