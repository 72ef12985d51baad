"""What is asked, the cells that answer it, and what is to be done for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.edits.base import Edit
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.work import Work
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.models.own import own_kind
from fcdd_audit.verdict.findings import FailedTwin


@dataclass(frozen=True)
class Question:
    """One line of the verdict: planted and control cells by seed, or the reason why there are none.

    plant_on: one of `DIRECTIONS`. bearing: of the side that the conflict set changes, which test images bear
    the artifact, bool (images,); None: all count. searched: whether a search
    told which images bear it, and may have missed some. failed: twins that have no numbers; their pairs
    aren't among the cells.
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
    failed: tuple[FailedTwin, ...] = ()
    searched: bool = False

    @property
    def pairs(self) -> list[tuple[Cell, Cell]]:
        """Control and planted cell by seed."""
        return list(zip(self.control, self.planted, strict=True))

    def first(self, count: int) -> Question:
        """With the first `count` pairs only."""
        return replace(self, planted=self.planted[:count], control=self.control[:count])

    def without(self, failures: Mapping[Cell, str]) -> Question:
        """Only the pairs that both have numbers. failures: the cells that have none, and why."""
        kept = []
        failed = []
        for control, planted in self.pairs:
            reasons = {
                "control": failures.get(control, failures.get(before(control))),
                "planted": failures.get(planted),
            }
            lost = [FailedTwin(control.seed, twin, reason) for twin, reason in reasons.items() if reason]
            failed += lost
            kept += [] if lost else [(control, planted)]
        return replace(
            self,
            control=tuple(control for control, _ in kept),
            planted=tuple(planted for _, planted in kept),
            failed=tuple(failed),
        )


def before(control: Cell) -> Cell:
    """The network before training, the same for both twins."""
    return replace(control, trained=False)


def usable(detector: str, setup: Setup) -> tuple[str, ...]:
    """The explainers that work on a detector."""
    model = setup.untrained(detector, 0)
    return tuple(
        name for name, one in setup.make_explainers(detector).items() if one.unavailable(model) is None
    )


def planned_work(
    questions: Sequence[Question], setup: Setup, explained: int | None = None
) -> dict[Cell, Work]:
    """What is to be done for all cells, each once, twins next to each other.

    Where the artifact has a place, the network of each detector's first control, of each kind that there is,
    is explained before training too: what an untrained network's maps are worth hardly depends on its initial
    weights. Of the user's own training code no such network is known. Where it stands for a low score, what
    explainers with a sign say lowers the score is compared with images without it.
    explained: of each side at most so many images; None: all.
    """
    explainers = {name: usable(name, setup) for name in dict.fromkeys(one.detector for one in questions)}
    works: dict[Cell, Work] = {}
    placed = setup.pairs["nominal"].mask is not None
    begun: set[tuple[str, Edit]] = set()  # of which the network before training is among the work
    for question in questions:
        names = explainers[question.detector]
        telling = tuple(name for name in names if not EXPLAINERS[name].reference)
        direction = DIRECTIONS[question.plant_on]
        lowered = direction.changed if placed and direction.side == "nominal" else None
        for control, planted in question.pairs:
            for cell in (control, planted):
                known = works.get(cell)  # a control that questions on both sides share
                side = lowered or (known.lowered if known else None)
                works[cell] = Work(cell, names, setup.sanity > 0, explained, side)
            kind = question.detector, control.edit
            if telling and placed and kind not in begun and not own_kind(question.detector):
                begun.add(kind)
                works[before(control)] = Work(before(control), telling, explained=explained)
    return works
