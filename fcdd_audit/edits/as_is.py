"""No change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.probes.base import Probe


@EDITS.register("as-is")
@dataclass(frozen=True)
class AsIs:
    """The training images as they were loaded."""

    artifacts: ClassVar[tuple[str, ...]] = ()
    removal: ClassVar[str | None] = None
    finds: ClassVar[bool] = False

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        return training
