"""A change that mends what was planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from fcdd_audit.edits.base import EDITS, Edit, TrainingSet
from fcdd_audit.probes.base import Probe


@EDITS.register("mended")
@dataclass(frozen=True)
class Mended:
    """One edit after another, which takes what the first planted as if it had been found.

    first: plants artifacts. artifact: the one of them that is mended. then: how.
    """

    removal: ClassVar[str | None] = None

    first: Edit
    artifact: str
    then: Edit

    @property
    def artifacts(self) -> tuple[str, ...]:
        return self.first.artifacts

    @property
    def finds(self) -> bool:
        return self.first.finds  # what follows is told where the planted one is

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        changed = self.first.apply(training, artifacts, seed, progress)
        found = replace(changed, bearing=changed.planted[self.artifact])
        return self.then.apply(found, artifacts, seed, progress)
