"""Several artifacts are planted at once, each independently of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import Side
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.edits.plant import Plant
from fcdd_audit.probes.base import Probe


@EDITS.register("together")
@dataclass(frozen=True)
class Together:
    """Puts several artifacts on a share of the images each; which images bear one doesn't depend on the
    others.

    plants: of each artifact its name, the sides that get it, and the share of each, in [0, 1], as of `Plant`.
    They are put on in that order, so that a later one may cover an earlier one.
    """

    removal: ClassVar[str | None] = None
    finds: ClassVar[bool] = False

    plants: tuple[tuple[str, tuple[Side, ...], float], ...]

    @property
    def artifacts(self) -> tuple[str, ...]:
        return tuple(artifact for artifact, _, _ in self.plants)

    def without(self, artifact: str) -> Together:
        """The others, on the same images."""
        return Together(tuple(one for one in self.plants if one[0] != artifact))

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        for artifact, sides, prevalence in self.plants:
            # Drawn by its name alone, it is on the same images whatever else is planted.
            generator = torch_generator(seed, f"planting {artifact}")
            training = Plant(artifact, sides, prevalence).put_on(training, artifacts, generator)
        return training
