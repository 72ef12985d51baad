"""Putting an artifact on stored images: a share of the training images, or every test image."""

from __future__ import annotations

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import copied
from fcdd_audit.probes.base import Probe

BATCH = 256  # images held as floats at a time


def mark_all(images: Tensor, probe: Probe, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Put the artifact on every image as if it had been stored so.

    images: uint8 (N, C, H, W). Returns marked images, uint8 like `images`, and masks, bool (N, 1, H, W), or
    None for an artifact without a place.
    """
    marked: list[Tensor] = []
    masks: list[Tensor] = []
    for batch in images.split(BATCH):
        pixels, mask = probe.apply(batch.float() / 255, generator)
        marked.append((pixels * 255).round().clamp(0, 255).to(torch.uint8))
        if mask is not None:
            masks.append(mask)
    return torch.cat(marked), torch.cat(masks) if masks else None


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
    """A copy of `images` (uint8, (N, C, H, W)) of which `planted_count` are marked.

    Which images are marked, and where, depends only on the generator: those marked at a lower prevalence
    are among those marked at a higher one.
    """
    chosen = torch.randperm(len(images), generator=generator)[: planted_count(len(images), prevalence)]
    bears = torch.zeros(len(images), dtype=torch.bool)
    bears[chosen] = True
    planted = copied(images)
    for first in range(0, len(images), BATCH):
        part = slice(first, first + BATCH)
        marked, _ = mark_all(images[part], probe, generator)
        planted[part][bears[part]] = marked[bears[part]]
    return planted
