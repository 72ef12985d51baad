"""Which comparison is meant: of explainers, or of what was before with what is after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fcdd_audit.core.errors import InputError
from fcdd_audit.studies.compare.change import Change, changed
from fcdd_audit.studies.compare.differing import differing
from fcdd_audit.studies.compare.explainers import compare
from fcdd_audit.studies.compare.questions import FINISHED, obstacle, read_audit
from fcdd_audit.studies.compare.results import Comparison


def compare_runs(folders: Sequence[Path], kind: str | None = None) -> Comparison | Change:
    """kind: `change` or `explainers`; None: a change, if two runs ask the same and differ otherwise, or both
    are of finished detectors; else explainers. InputError for runs that don't fit."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("a run is given twice; give each once")
    if kind == "change" and len(folders) != 2:
        raise InputError(f"--as change takes two runs, before and after, not {len(folders)}")
    if kind == "explainers" or len(folders) != 2:
        return compare(folders)
    before, after = map(read_audit, folders)
    finished = before.design == after.design == FINISHED
    same = obstacle(before, after) is None and differing(before.config, after.config)
    return changed(before, after) if kind == "change" or finished or same else compare(folders)
