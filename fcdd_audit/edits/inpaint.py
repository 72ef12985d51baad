"""A found artifact is filled in from around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.natural.removal import inpaint
from fcdd_audit.probes.base import Probe


@EDITS.register("inpaint")
@dataclass(frozen=True)
class Inpaint:
    """Fills the artifact in from around it, on every image that bears it."""

    artifacts: ClassVar[tuple[str, ...]] = ()
    removal: ClassVar[str | None] = "the artifact is filled in from around it"
    finds: ClassVar[bool] = True

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        for side in SIDES:
            part = training.of(side)
            filled = inpaint(part.images, training.bearing[side], progress)
            training = training.having(side, replace(part, images=filled, digest=None))
        return training
