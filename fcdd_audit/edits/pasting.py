"""Regions of training images are cut out and pasted on others, softly and at the same place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.base import TrainingSet
from fcdd_audit.natural.transplant import soft

BATCH = 256  # images held as floats at a time


def blended(images: Tensor, sources: Tensor, alpha: Tensor) -> Tensor:
    """Images with a share `alpha` of the sources in their place, rounded as images are stored.

    images, sources: uint8 (N, C, H, W). alpha: float (N, 1, H, W) in [0, 1]. Returns uint8.
    """
    return (images * (1 - alpha) + sources * alpha).round().to(torch.uint8)


@dataclass(frozen=True)
class Pool:
    """The images of both sides under one numbering, nominal ones first, and where the artifact is on them.

    images: uint8 (N, C, H, W) and where: bool (N, 1, H, W), by side.
    """

    images: tuple[Tensor, Tensor]
    where: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, training: TrainingSet, artifact: str | None = None) -> Pool:
        """artifact: the name of one that was planted; None: that which was found."""
        where = training.bearing if artifact is None else training.where(artifact)
        nominal, anomalous = (training.of(side).images for side in SIDES)
        return cls((nominal, anomalous), (where["nominal"], where["anomalous"]))

    @cached_property
    def bears(self) -> Tensor:
        """Which images bear it, bool (all images,)."""
        return torch.cat([masks.flatten(1).any(dim=1) for masks in self.where])

    def image(self, numbers: Tensor) -> Tensor:
        """The images of these numbers, in their order."""
        return _picked(self.images, numbers)

    def mask(self, numbers: Tensor) -> Tensor:
        """Their masks."""
        return _picked(self.where, numbers)


def _picked(parts: tuple[Tensor, Tensor], numbers: Tensor) -> Tensor:
    first = len(parts[0])
    late = numbers >= first
    found = parts[0].new_empty((len(numbers), *parts[0].shape[1:]))
    found[~late] = parts[0][numbers[~late]]
    found[late] = parts[1][numbers[late] - first]
    return found


def paste(
    images: Tensor, places: Tensor, sources: Tensor, masks: Tensor, spared: Tensor | None = None
) -> None:
    """Paste regions on the images at these places, which are changed.

    images: uint8 (N, C, H, W). places: int64 (n,). sources: uint8 (n, C, H, W). masks: bool (n, 1, H, W).
    spared: bool like them, pixels that stay as they are.
    """
    alpha = soft(masks)
    if spared is not None:
        alpha = alpha.masked_fill(spared, 0)
    images[places] = blended(images[places], sources, alpha)
