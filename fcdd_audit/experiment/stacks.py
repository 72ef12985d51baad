"""Which twins are trained together, in one step for all."""

from __future__ import annotations

from collections.abc import Sequence

from fcdd_audit.experiment.cells import Cell, together
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.work import Work

Stack = tuple[Work, ...]  # of cells that are trained together, and are one worker's


def stacks(works: Sequence[Work], setup: Setup) -> list[Stack]:
    """The work by stack, in order of each one's first."""
    found: dict[tuple[Cell, ...], list[Work]] = {}
    for work in works:
        found.setdefault(together(work.cell, setup), []).append(work)
    return [tuple(one) for one in found.values()]
