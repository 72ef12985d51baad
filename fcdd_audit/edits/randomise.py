"""Both sides get marks like an artifact, of other content and colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import copied
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.edits.pasting import BATCH, Pool, paste
from fcdd_audit.probes.base import Probe
from fcdd_audit.probes.placebos import PLACEBOS, Content, arranged

MARKS = 48  # that are made, each for many images
FILLERS = 64  # images, at most, that pieces of marks are cut from
MOST = 0.5  # of a side that gets one, so that the artifact itself stays in training
TINT = 0.5  # of a mark's colour that another one may replace


@EDITS.register("randomise")
@dataclass(frozen=True)
class Randomise:
    """Puts marks of the kind of a found artifact on both sides at random, at the same rate.

    A mark has the place and the pixels of one bearer's artifact, in another order (see `PLACEBOS`), in other
    colours. The rate is the share of the side that bears the artifact most, at most a half. InputError where
    no image bears it.
    """

    artifacts: ClassVar[tuple[str, ...]] = ()
    removal: ClassVar[str | None] = None
    finds: ClassVar[bool] = True

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        pool = Pool.of(training)
        if not pool.bears.any():
            raise InputError("no training image bears the artifact, so that no mark can be made like it")
        marks, masks = _marks(pool, numpy_generator(seed, "marks like an artifact"))
        generator = torch_generator(seed, "randomise")
        shares = [float(where.flatten(1).any(dim=1).float().mean()) for where in pool.where if len(where)]
        rate = min(MOST, max(shares))
        for side in SIDES:
            images = copied(training.of(side).images)
            chosen = torch.randperm(len(images), generator=generator)[: round(rate * len(images))]
            drawn = torch.randint(len(marks), (len(chosen),), generator=generator)
            for places, turns in zip(chosen.split(BATCH), drawn.split(BATCH), strict=True):
                paste(images, places, marks[turns], masks[turns])
            training = training.having(side, replace(training.of(side), images=images, digest=None))
        return training


def _marks(pool: Pool, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Images with a mark each, uint8 (MARKS, C, H, W), and where it is, bool (MARKS, 1, H, W)."""
    bears = pool.bears
    bearers, others = bears.nonzero().flatten(), (~bears).nonzero().flatten()
    fillers = (others if len(others) else bearers)[:FILLERS]
    donors = pool.image(fillers).float().mean(dim=1).numpy()
    chosen = torch.from_numpy(rng.choice(bearers.numpy(), MARKS))
    images, masks = pool.image(chosen), pool.mask(chosen)
    kinds = list(PLACEBOS)
    for turn, (image, mask) in enumerate(zip(images, masks[:, 0].numpy(), strict=True)):
        pixels = image.numpy()[:, mask].astype(np.float64)  # (C, P)
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        shade = np.zeros(mask.shape)
        shade[mask] = pixels.mean(axis=0) / 255 - 0.5
        picture = PLACEBOS[kinds[turn % len(kinds)]](Content(mask[box], shade[box], donors), rng)
        order = arranged(shade[mask], picture[mask[box]])
        image.numpy()[:, mask] = _recoloured(pixels[:, order], rng)
    return images, masks


def _recoloured(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels, (C, P) in [0, 255], with channels exchanged, inverted or not, and mixed with another colour."""
    changed = pixels[rng.permutation(len(pixels))]
    if rng.random() < 0.5:
        changed = 255 - changed
    share, colour = TINT * rng.random(), rng.uniform(0, 255, (len(pixels), 1))
    return np.rint((1 - share) * changed + share * colour).clip(0, 255).astype(np.uint8)
