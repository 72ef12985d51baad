"""Pairs of twins whose truth is known, to be trained: what is planted in them, and their seeds.

Seeds come in blocks. The planted conditions share one block, and so its controls. Every null condition has a
block of its own with controls of its own, so that its audits are independent of all others. (Pairs of a seed
in two detectors share nothing but the seed.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.edits.base import Edit
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.studies.truths import TRUTHS

NULL_PREVALENCE = (0.2, 1.0)  # of nulls in which something is planted
FIRST_SEED = 10_000  # far from those of audits
BLOCK = 1000  # seeds; no condition has more pairs


@dataclass(frozen=True)
class Condition:
    """A pool of pairs of twins of one kind: the planted and the control cells, pair by pair in order.

    decoy: what is planted in place of the artifact, or "".
    """

    detector: str
    truth: str
    plant_on: str
    prevalence: float
    planted: tuple[Cell, ...]
    control: tuple[Cell, ...]
    decoy: str = ""

    @property
    def pairs(self) -> tuple[tuple[Cell, Cell], ...]:
        """Planted and control, pair by pair."""
        return tuple(zip(self.planted, self.control, strict=True))


@dataclass(frozen=True)
class Planner:
    """What the conditions of a detector are made from.

    probe: the artifact that is probed. decoys: others, which may be planted in its place. plant_on: the
    direction. prevalences: of the probed artifact. pairs, null_pairs: of each condition with the artifact
    planted, and of each null; at most `BLOCK`.
    """

    detector: str
    probe: str
    decoys: tuple[str, ...]
    plant_on: str
    prevalences: tuple[float, ...]
    pairs: int
    null_pairs: int

    @property
    def side(self) -> Side:
        """The training images that bear what is planted."""
        return DIRECTIONS[self.plant_on].side

    @property
    def learns_from(self) -> tuple[Side, ...]:
        return DETECTORS[self.detector].learns_from

    def seeds(self, truth: str, decoy: str, prevalence: float) -> range:
        """Those of a condition: of a null (at one of `NULL_PREVALENCE`), a block of its own; a further decoy
        leaves the others' as they are."""
        if not TRUTHS[truth].null:
            return range(FIRST_SEED, FIRST_SEED + self.pairs)
        kinds = [name for name in TRUTHS if TRUTHS[name].null]
        what = ("", *self.decoys).index(decoy)
        place = (what * len(kinds) + kinds.index(truth)) * len(NULL_PREVALENCE)
        first = FIRST_SEED + BLOCK * (1 + place + NULL_PREVALENCE.index(prevalence))
        return range(first, first + self.null_pairs)

    def cells(self, seeds: range, edit: Edit) -> tuple[Cell, ...]:
        return tuple(Cell(self.detector, seed, edit) for seed in seeds)

    def condition(self, truth: str, edit: Plant) -> Condition:
        """Twins that differ by the edit."""
        decoy = "" if edit.artifact == self.probe else edit.artifact
        seeds = self.seeds(truth, decoy, edit.prevalence)
        twins = self.cells(seeds, edit), self.cells(seeds, AS_IS)
        return Condition(self.detector, truth, self.plant_on, edit.prevalence, *twins, decoy)


def block_of(seed: int) -> int:
    """Which block of seeds it is in."""
    return (seed - FIRST_SEED) // BLOCK


def planted(planner: Planner) -> Iterator[Condition]:
    """The artifact on the side that the detector learns a cue from, at each prevalence."""
    for prevalence in sorted(planner.prevalences, reverse=True):
        yield planner.condition("planted", Plant(planner.probe, (planner.side,), prevalence))


def both_sides(planner: Planner) -> Iterator[Condition]:
    """The artifact at the same rate on both sides; none where a detector learns from one side only: a cue."""
    if len(planner.learns_from) == 1:
        return
    for prevalence in NULL_PREVALENCE:
        yield planner.condition("both-sides", Plant(planner.probe, SIDES, prevalence))


def other_artifact(planner: Planner) -> Iterator[Condition]:
    """Each decoy in the artifact's place."""
    for decoy in planner.decoys:
        for prevalence in NULL_PREVALENCE:
            yield planner.condition("other-artifact", Plant(decoy, (planner.side,), prevalence))


def all_conditions(planner: Planner) -> list[Condition]:
    """The most telling first: the artifact at the highest prevalence, then nulls, then lower prevalences."""
    makers = [entry.trained for _, entry in TRUTHS.items() if entry.trained is not None]
    known: list[Condition] = [condition for make in makers for condition in make(planner)]
    highest = max(planner.prevalences)

    def turn(condition: Condition) -> int:
        if TRUTHS[condition.truth].null:
            return 1
        return 0 if condition.prevalence == highest else 2

    return sorted(known, key=turn)
