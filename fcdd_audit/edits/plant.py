"""An artifact is planted on a share of the training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import copied
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.probes.base import Probe
from fcdd_audit.probes.marking import BATCH, mark_all


@EDITS.register("plant")
@dataclass(frozen=True)
class Plant:
    """Puts an artifact on a share of the images of one side, or of both alike.

    artifact: its name. sides: those that get it, in order. prevalence: the share of each, in [0, 1].
    """

    removal: ClassVar[str | None] = None
    finds: ClassVar[bool] = False

    artifact: str
    sides: tuple[Side, ...]
    prevalence: float

    @property
    def artifacts(self) -> tuple[str, ...]:
        return (self.artifact,)

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        return self.put_on(training, artifacts, torch_generator(seed, "planting"))

    def put_on(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], generator: torch.Generator
    ) -> TrainingSet:
        """As `apply`, with what draws the images that bear it, and how each does."""
        where = {side: nowhere(training.of(side).images) for side in SIDES}
        for side in self.sides:
            part = training.of(side)
            images, where[side] = planted(part.images, artifacts[self.artifact], self.prevalence, generator)
            training = training.having(side, replace(part, images=images, digest=None))
        return replace(training, planted={**training.planted, self.artifact: where})


def planted_count(images: int, prevalence: float) -> int:
    """How many of so many images are marked at a prevalence in [0, 1].

    InputError where a positive prevalence rounds to none.
    """
    if not 0 <= prevalence <= 1:
        raise InputError(f"prevalence is {prevalence:g}; it is a share and must be in [0, 1]")
    count = round(prevalence * images)
    if prevalence > 0 and count == 0:
        raise InputError(
            f"prevalence {prevalence:g} of {images} images plants the artifact on none; "
            f"use at least {1 / max(images, 1):.2g}"
        )
    return count


def plant(images: Tensor, probe: Probe, prevalence: float, generator: torch.Generator) -> Tensor:
    """The images of `planted` alone."""
    return planted(images, probe, prevalence, generator)[0]


def planted(
    images: Tensor, probe: Probe, prevalence: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A copy of `images` (uint8, (N, C, H, W)) of which `planted_count` are marked, and where, bool
    (N, 1, H, W); an artifact without a place is everywhere on those that bear it.

    Which images are marked, and where, depends only on the generator: those marked at a lower prevalence
    are among those marked at a higher one.
    """
    chosen = torch.randperm(len(images), generator=generator)[: planted_count(len(images), prevalence)]
    bears = torch.zeros(len(images), dtype=torch.bool)
    bears[chosen] = True
    changed, where = copied(images), nowhere(images)
    for first in range(0, len(images), BATCH):
        part = slice(first, first + BATCH)
        marked, mask = mark_all(images[part], probe, generator)
        changed[part][bears[part]] = marked[bears[part]]
        where[part][bears[part]] = True if mask is None else mask[bears[part]]
    return changed, where


def nowhere(images: Tensor) -> Tensor:
    """Masks of so many images, all False, bool (N, 1, H, W); they take no memory where nothing is written."""
    return torch.from_numpy(np.zeros((len(images), 1, *images.shape[2:]), dtype=bool))
