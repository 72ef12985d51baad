"""Regions of other images are pasted, without any artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from fcdd_audit.core.mapped import copied
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.edits.balance import draw
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.edits.pasting import BATCH, paste
from fcdd_audit.natural.removal import elsewhere
from fcdd_audit.probes.base import Probe


@EDITS.register("placebo")
@dataclass(frozen=True)
class Placebo:
    """Changes the same images as `balance`, by as many pastes, but none has the artifact or lies on it.

    The regions have the shapes of the artifact, moved elsewhere, and are cut from images without it. What
    such a set mends, pasting alone does.
    """

    artifacts: ClassVar[tuple[str, ...]] = ()
    removal: ClassVar[str | None] = None
    finds: ClassVar[bool] = True

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        pool, drawn = draw(training, seed)
        generator = torch_generator(seed, "placebo")
        for side, one in drawn.items():
            images, masks = copied(training.of(side).images), training.bearing[side]
            turned = one.fillers.roll(1)
            for part in torch.arange(len(one.places)).split(BATCH):
                places, gets = one.places[part], one.gets[part]
                own = masks[places]
                region = elsewhere(pool.mask(one.regions[part]), generator, own)
                paste(images, places, pool.image(one.fillers[part]), region, own)
                second = elsewhere(pool.mask(one.donors[part][gets]), generator, own[gets])
                paste(images, places[gets], pool.image(turned[part][gets]), second, own[gets])
            training = training.having(side, replace(training.of(side), images=images, digest=None))
        return training
