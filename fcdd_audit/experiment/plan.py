"""What is asked, and the cells that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fcdd_audit.experiment.cells import Cell


@dataclass(frozen=True)
class Question:
    """One line of the verdict: planted and control cells by seed, or the reason why there are none.

    plant_on: one of `DIRECTIONS`. bearing: of the side that the conflict set changes, which test images bear
    the artifact, bool (images,); None: all count.
    """

    dataset: str
    nominal_class: str
    detector: str
    probe: str
    plant_on: str
    prevalence: float
    planted: tuple[Cell, ...] = ()
    control: tuple[Cell, ...] = ()
    obstacle: str | None = None
    bearing: Tensor | None = None


def planned_cells(questions: Sequence[Question]) -> list[Cell]:
    """All cells, each once, twins next to each other."""
    cells: dict[Cell, None] = {}
    for question in questions:
        for control, planted in zip(question.control, question.planted, strict=True):
            cells[control] = cells[planted] = None
    return list(cells)
