"""Which twins are trained together, in one step for all."""

from __future__ import annotations

from collections.abc import Sequence

from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.work import Work

Stack = tuple[Work, ...]  # of cells that are trained together, and are one worker's


def stacks(works: Sequence[Work], setup: Setup) -> list[Stack]:
    """The work, in order of each stack's first; every work is in one stack."""
    return [(work,) for work in works]
