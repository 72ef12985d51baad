"""Finished runs compared: explainers over several, or one question before and after a change."""

from fcdd_audit.studies.compare.change import Change, Changed
from fcdd_audit.studies.compare.explainers import compare
from fcdd_audit.studies.compare.kinds import compare_runs
from fcdd_audit.studies.compare.results import SCHEMA, Compared, Comparison, Count

__all__ = [
    "SCHEMA",
    "Change",
    "Changed",
    "Compared",
    "Comparison",
    "Count",
    "compare",
    "compare_runs",
]
