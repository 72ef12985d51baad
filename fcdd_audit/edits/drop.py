"""Images that bear a found artifact give their places to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.probes.base import Probe


@EDITS.register("drop")
@dataclass(frozen=True)
class Drop:
    """Gives the places of images that bear the artifact to others of their side, drawn at random.

    So both twins see as many images in the same order. InputError where every image of a side bears it.
    """

    artifacts: ClassVar[tuple[str, ...]] = ()
    removal: ClassVar[str | None] = "they are dropped, and other images of their side take their places"
    finds: ClassVar[bool] = True

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        for side in SIDES:
            bears = training.bearing[side].flatten(1).any(dim=1)
            training = training.having(side, _without(training.of(side), bears, side))
        return training


def _without(part: ImageSet, bears: Tensor, side: Side) -> ImageSet:
    if not bears.any():
        return part
    kept = (~bears).nonzero().flatten()
    if not len(kept):
        raise InputError(
            f"every {side} training image bears the artifact, and none would be left; use --removal inpaint"
        )
    chosen = torch.arange(len(part))
    drawn = torch.randint(
        len(kept), (int(bears.sum()),), generator=torch_generator(0, f"in place of dropped {side} images")
    )
    chosen[bears] = kept[drawn]
    return part.take(chosen.tolist())
