"""Putting an artifact on stored images."""

from __future__ import annotations

import torch
from torch import Tensor

from fcdd_audit.core.sides import Side
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.images.sets import ImageSet
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


def marked_pairs(side: Side, part: ImageSet, probe: Probe, generator: torch.Generator) -> Pairs:
    """One side's images without the artifact, and with it put on all of them."""
    marked, mask = mark_all(part.images, probe, generator)
    truth = {} if part.masks is None else {"clean": part.masks}
    return Pairs(side, part.names, {"clean": part.images, "marked": marked}, mask, truth)
