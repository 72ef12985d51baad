"""What a verdict is given on: the numbers of one question's pairs of twins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.sides import Side
from fcdd_audit.measures.effects import Twins
from fcdd_audit.verdict.findings import FailedTwin, Half
from fcdd_audit.verdict.looks import Look
from fcdd_audit.verdict.lowering import Lowering
from fcdd_audit.verdict.seen import Seen

NO_SIGN = "shows only what raises the score, and the artifact lowers it"
NOT_LOWERED = "the artifact doesn't lower the score of other images, so that there is nothing to show"


@dataclass(frozen=True)
class SideOverlap:
    """How far an explainer's heatmaps coincide with the artifact's mask on one side's marked images.

    numbers: by measure, of the planted and of the control twins, each (pairs,), means over the images that
    count for both. excess: of the headline measure, planted minus control, at each look. images: how many
    were explained at the latest look.
    """

    numbers: Mapping[str, Twins]
    excess: Seen
    images: int


@dataclass(frozen=True)
class Crossed:
    """What the artifact of every donor does on every receiver, in all pairs of twins.

    planted, control: alarms with it less alarms with a placebo, -1, 0 or 1, (pairs, donors, receivers).
    passing: the share of nominal validation images above the thresholds.
    """

    planted: np.ndarray
    control: np.ndarray
    passing: float


@dataclass(frozen=True)
class Evidence:
    """What one question is judged on: a detector, a side and a prevalence, all pairs of twins.

    scores: by measure, numbers of the planted and of the control twins. turns: each pair's place in the order
    of training, from 0. looks: those taken so far. overlaps: by explainer and side. chance: each measure's
    chance level, or None. untrained: by explainer, side and measure, of the network before training.
    references: the explainers that know nothing of the model. either_way: those whose maps, without a sign,
    show what lowers the score too. lowering: of an artifact on the nominal side, by explainer with a sign,
    what it says lowered the score.
    obstacle: why the twins can't differ, or no verdict is possible otherwise; or None.
    ability: of a found artifact, the better of two mean AUROC: the control's with the artifact removed, and
    the planted twin's as found, which it may be all of. failed: twins without numbers; their pairs aren't
    among the others. steps: of each control twin's training, and tenths: (pairs, 10), the mean loss of each
    tenth of them; None where that isn't recorded. transplants: of an artifact that is put on images which
    came without it: at the frozen thresholds first, and at lower ones where the control catches few at those.
    searched: whether a search told which training images bear the artifact, and may have missed some.
    """

    dataset: str
    nominal_class: str
    detector: str
    probe: str
    plant_on: str
    prevalence: float
    images: int
    scores: Mapping[str, Twins]
    turns: tuple[int, ...]
    looks: tuple[Look, ...]
    overlaps: Mapping[str, Mapping[Side, SideOverlap]] = field(default_factory=dict)
    chance: Mapping[str, float | None] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    either_way: tuple[str, ...] = ()
    lowering: Mapping[str, Lowering] = field(default_factory=dict)
    obstacle: str | None = None
    untrained: Mapping[str, Mapping[Side, Mapping[str, float]]] = field(default_factory=dict)
    ability: float | None = None
    failed: tuple[FailedTwin, ...] = ()
    steps: int | None = None
    tenths: np.ndarray | None = None
    transplants: tuple[Crossed, ...] = ()
    searched: bool = False

    @property
    def pairs(self) -> int:
        """How many have numbers."""
        return len(self.turns)

    @property
    def judged_side(self) -> Side:
        """The side whose heat is judged: the one that the conflict set changes."""
        return DIRECTIONS[self.plant_on].changed

    def half_of(self, explainer: str) -> Half:
        """What is judged of its map. An artifact on the nominal side stands for a low score: of a signed map
        that is the half that lowers it, if the artifact does lower the score of other images."""
        found = self.lowering.get(explainer)
        return "lowers" if found is not None and found.lowers else "raises"

    def unjudged(self, explainer: str) -> str | None:
        """Why it can't be asked what an explainer shows; None: it can."""
        if explainer in self.references:
            return "it knows nothing of the model"
        if DIRECTIONS[self.plant_on].side == "anomalous" or explainer in self.either_way:
            return None
        if self.half_of(explainer) == "lowers":
            return None
        return NOT_LOWERED if explainer in self.lowering else NO_SIGN

    def can_show(self, explainer: str) -> bool:
        """Whether it can be asked."""
        return self.unjudged(explainer) is None
