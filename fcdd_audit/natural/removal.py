"""Taking artifacts off images, and taking as much off elsewhere for comparison."""

from __future__ import annotations

import numpy as np
import torch
from skimage.restoration import inpaint_biharmonic
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import copied
from fcdd_audit.core.progress import progress_bar

STACK = 32  # images with the same mask that are filled in at a time


def inpaint(images: Tensor, masks: Tensor, progress: bool = False) -> Tensor:
    """A copy of the images, what is masked filled in smoothly from around it (biharmonic equation).

    images: uint8 (N, C, H, W). masks: bool (N, 1, H, W). progress: a bar on stderr. No pixel outside its mask
    changes; filled ones stay in the range of the rest of their image and channel. Images with the same mask
    are solved together, which is faster. InputError if a mask leaves nothing of an image.
    """
    groups: dict[bytes, list[int]] = {}
    for index, mask in enumerate(masks):
        if mask.all():
            raise InputError(
                f"the artifact's mask covers all of image {index + 1} of {len(masks)}, and nothing is left "
                "to fill it from; mark a part of the image"
            )
        if mask.any():
            groups.setdefault(np.packbits(mask.numpy()).tobytes(), []).append(index)
    filled = copied(images)
    images_bearing = sum(map(len, groups.values()))
    with progress_bar(
        progress, total=images_bearing, desc="remove artifacts", unit="image", leave=False
    ) as bar:
        for group in groups.values():
            mask = masks[group[0], 0]
            for first in range(0, len(group), STACK):
                part = group[first : first + STACK]
                filled[part] = torch.where(mask, _smooth(images[part], mask), images[part])
                bar.update(len(part))
    return filled


def _smooth(images: Tensor, mask: Tensor) -> Tensor:
    """Fill the same (H, W) mask in every image; all channels share one system of equations."""
    channels = images.flatten(0, 1).numpy()
    solved = inpaint_biharmonic(channels, mask.numpy(), channel_axis=0)
    return torch.from_numpy(np.rint(solved * 255).astype(np.uint8)).reshape(images.shape)


def elsewhere(masks: Tensor, generator: torch.Generator, avoid: Tensor | None = None) -> Tensor:
    """For each mask, the same shape at a random other place inside the image, off the mask itself.

    masks, avoid: bool (N, 1, H, W); avoid: where the shape should not lie either. Of all places the one is
    drawn, uniformly, from those with the least overlap with both; that is none where the image has room.
    A mask that reaches from edge to edge in both directions has no other place and stays; an empty one is
    empty. An image's place depends on the generator, its own mask and its number only.
    """
    blocked = masks if avoid is None else masks | avoid
    moved = torch.zeros_like(masks)
    draws = torch.rand(len(masks), generator=generator, dtype=torch.float64)
    for target, mask, taken, draw in zip(moved, masks, blocked, draws.tolist(), strict=True):
        if not mask.any():
            continue
        rows, columns = (mask[0].any(dim=axis).nonzero().flatten() for axis in (1, 0))
        top, left = int(rows[0]), int(columns[0])
        shape = mask[:, top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
        overlap = _overlaps(taken[0], shape[0])
        overlap[top, left] += 1  # no place overlaps more than the mask's own: now it is the last choice
        places = (overlap == overlap.min()).nonzero()
        row, column = places[int(draw * len(places))].tolist()
        target[:, row : row + shape.shape[1], column : column + shape.shape[2]] = shape
    return moved


def _overlaps(taken: Tensor, shape: Tensor) -> Tensor:
    """How many pixels of `shape`, (h, w), are taken at each place in (H, W): (H - h + 1, W - w + 1)."""
    size = taken.shape
    spectrum = torch.fft.rfft2(taken.double()) * torch.fft.rfft2(shape.double(), s=size).conj()
    places = [whole - part + 1 for whole, part in zip(size, shape.shape, strict=True)]
    return torch.fft.irfft2(spectrum, s=size)[: places[0], : places[1]].round()
