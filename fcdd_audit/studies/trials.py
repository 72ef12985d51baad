"""Audits whose truth is known, as pairs of twins to be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.edits.base import Edit
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.studies.truths import TRUTHS

NULL_PREVALENCE = (0.2, 1.0)  # of nulls in which something is planted, in turn


@dataclass(frozen=True)
class Trial:
    """One audit whose truth is known: pairs of twins by seed.

    decoy: what is planted in place of the artifact, or "".
    """

    detector: str
    truth: str
    plant_on: str
    prevalence: float
    planted: tuple[Cell, ...]
    control: tuple[Cell, ...]
    decoy: str = ""


@dataclass(frozen=True)
class Drawing:
    """What trials of a detector are made from.

    probe: the artifact that is probed. decoys: others, which may be planted in its place. plant_on: the
    direction. prevalences: of the probed artifact. audits, nulls: how many trials there are of each kind.
    seeds: those of the trial with an index; no pair of twins is used by two trials of a kind.
    """

    detector: str
    probe: str
    decoys: tuple[str, ...]
    plant_on: str
    prevalences: tuple[float, ...]
    audits: int
    nulls: int
    seeds: Callable[[int], Sequence[int]]

    @property
    def side(self) -> Side:
        """The training images that bear what is planted."""
        return DIRECTIONS[self.plant_on].side

    @property
    def learns_from(self) -> tuple[Side, ...]:
        return DETECTORS[self.detector].learns_from

    def control(self, index: int) -> tuple[Cell, ...]:
        return tuple(Cell(self.detector, seed, AS_IS) for seed in self.seeds(index))

    def planted(self, index: int, edit: Edit) -> tuple[Cell, ...]:
        return tuple(Cell(self.detector, seed, edit) for seed in self.seeds(index))

    def trial(self, truth: str, index: int, edit: Plant) -> Trial:
        """Twins that differ by the edit."""
        decoy = "" if edit.artifact == self.probe else edit.artifact
        twins = self.planted(index, edit), self.control(index)
        return Trial(self.detector, truth, self.plant_on, edit.prevalence, *twins, decoy)


def planted(drawing: Drawing) -> Iterator[Trial]:
    """The artifact on the side that the detector learns a cue from, at each prevalence."""
    for prevalence in sorted(drawing.prevalences, reverse=True):
        edit = Plant(drawing.probe, (drawing.side,), prevalence)
        for index in range(drawing.audits):
            yield drawing.trial("planted", index, edit)


def unrelated_seeds(drawing: Drawing) -> Iterator[Trial]:
    """Two controls; each is the planted one of one audit and the control of another."""
    controls = max(drawing.audits, drawing.nulls)
    for index in range(controls):
        twins = drawing.control((index + 1) % controls), drawing.control(index)
        yield Trial(drawing.detector, "unrelated-seeds", drawing.plant_on, 0.0, *twins)


def both_sides(drawing: Drawing) -> Iterator[Trial]:
    """The artifact at the same rate on both sides; none where a detector learns from one side only: a cue."""
    if len(drawing.learns_from) == 1:
        return
    for index in range(drawing.nulls):
        prevalence = NULL_PREVALENCE[index % len(NULL_PREVALENCE)]
        yield drawing.trial("both-sides", index, Plant(drawing.probe, SIDES, prevalence))


def other_artifact(drawing: Drawing) -> Iterator[Trial]:
    """Each decoy in the artifact's place."""
    for index in range(drawing.nulls):
        prevalence = NULL_PREVALENCE[index % len(NULL_PREVALENCE)]
        for decoy in drawing.decoys:
            yield drawing.trial("other-artifact", index, Plant(decoy, (drawing.side,), prevalence))


def all_trials(drawing: Drawing) -> list[Trial]:
    """The most telling first: the artifact at the highest prevalence, then nulls, then lower prevalences."""
    known = [trial for truth in TRUTHS for trial in TRUTHS[truth].trials(drawing)]
    highest = max(drawing.prevalences)

    def turn(trial: Trial) -> int:
        if TRUTHS[trial.truth].null:
            return 1
        return 0 if trial.prevalence == highest else 2

    return sorted(known, key=turn)
