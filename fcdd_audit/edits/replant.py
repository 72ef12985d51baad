"""A found artifact is taken off, and put on a share of the training images that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fcdd_audit.core.sides import Side
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.edits.plant import Plant
from fcdd_audit.probes.base import Probe


@EDITS.register("replant")
@dataclass(frozen=True)
class Replant:
    """Rids all images of a found artifact, and puts it on a share of the images of each side, as training
    images bore it.

    artifact: its name. sides: those that get it, in order. prevalence: the share of each, in [0, 1]. base:
    the edit that rids them of it, by name.
    """

    removal: ClassVar[str | None] = None
    finds: ClassVar[bool] = True

    artifact: str
    sides: tuple[Side, ...]
    prevalence: float
    base: str

    @property
    def artifacts(self) -> tuple[str, ...]:
        return (self.artifact,)

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        rid = EDITS[self.base]().apply(training, artifacts, seed, progress)
        return Plant(self.artifact, self.sides, self.prevalence).apply(rid, artifacts, seed, progress)
