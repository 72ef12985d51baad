"""Audits whose truth is known: what was planted, and whether "relies" would be a false alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.registry import Registry
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.edits.base import Edit
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.setup import AS_IS

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
        return tuple(Cell(self.detector, "control", seed, AS_IS) for seed in self.seeds(index))

    def planted(self, index: int, edit: Edit) -> tuple[Cell, ...]:
        return tuple(Cell(self.detector, "planted", seed, edit) for seed in self.seeds(index))

    def trial(self, truth: str, index: int, edit: Plant) -> Trial:
        """Twins that differ by the edit."""
        decoy = "" if edit.artifact == self.probe else edit.artifact
        twins = self.planted(index, edit), self.control(index)
        return Trial(self.detector, truth, self.plant_on, edit.prevalence, *twins, decoy)


@dataclass(frozen=True)
class Truth:
    """One kind of audit whose truth is known.

    label: says what was done, with `{share}` (" on 20 %", or nothing) and `{decoy}` in place of what varies.
    trials: makes them. null: whether "relies" is a false alarm. measured: whether the mean reliance over its
    audits says what detectors learned. may_carry_over: whether it is no null where that mean says that the
    probed artifact is relied on all the same.
    """

    label: str
    trials: Callable[[Drawing], Iterator[Trial]]
    null: bool
    measured: bool = True
    may_carry_over: bool = False

    @property
    def summary(self) -> str:
        """One line for lists."""
        return self.label.format(share="", decoy="another artifact")


TRUTHS: Registry[Truth] = Registry("truth")


def _planted(drawing: Drawing) -> Iterator[Trial]:
    for prevalence in sorted(drawing.prevalences, reverse=True):
        edit = Plant(drawing.probe, (drawing.side,), prevalence)
        for index in range(drawing.audits):
            yield drawing.trial("planted", index, edit)


def _unrelated_seeds(drawing: Drawing) -> Iterator[Trial]:
    """Two controls; each is the planted one of one audit and the control of another."""
    controls = max(drawing.audits, drawing.nulls)
    for index in range(controls):
        twins = drawing.control((index + 1) % controls), drawing.control(index)
        yield Trial(drawing.detector, "unrelated-seeds", drawing.plant_on, 0.0, *twins)


def _both_sides(drawing: Drawing) -> Iterator[Trial]:
    """None for a detector that learns from one side only: for it that is a cue."""
    if len(drawing.learns_from) == 1:
        return
    for index in range(drawing.nulls):
        prevalence = NULL_PREVALENCE[index % len(NULL_PREVALENCE)]
        yield drawing.trial("both-sides", index, Plant(drawing.probe, SIDES, prevalence))


def _other_artifact(drawing: Drawing) -> Iterator[Trial]:
    for index in range(drawing.nulls):
        prevalence = NULL_PREVALENCE[index % len(NULL_PREVALENCE)]
        for decoy in drawing.decoys:
            yield drawing.trial("other-artifact", index, Plant(decoy, (drawing.side,), prevalence))


TRUTHS.register("planted")(Truth("artifact planted{share}", _planted, null=False))
TRUTHS.register("unrelated-seeds")(
    Truth("two clean twins of unrelated seeds", _unrelated_seeds, null=True, measured=False)
)
TRUTHS.register("both-sides")(Truth("planted{share} of both sides alike", _both_sides, null=True))
TRUTHS.register("other-artifact")(
    Truth("{decoy} planted instead{share}", _other_artifact, null=True, may_carry_over=True)
)


def all_trials(drawing: Drawing) -> list[Trial]:
    """The most telling first: the artifact at the highest prevalence, then nulls, then lower prevalences."""
    known = [trial for truth in TRUTHS for trial in TRUTHS[truth].trials(drawing)]
    highest = max(drawing.prevalences)

    def turn(trial: Trial) -> int:
        if TRUTHS[trial.truth].null:
            return 1
        return 0 if trial.prevalence == highest else 2

    return sorted(known, key=turn)
