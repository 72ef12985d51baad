"""Where aligned images have something in common that similar ones without it have not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from fcdd_audit.discovery.alignment import STORED, Fields, aligned, gradients, likeness
from fcdd_audit.discovery.boxes import Box

PRIOR = 4  # bearers that the others' spread of gradients counts for
SEEDS, DECOYS = 128, 4  # of each view, images that groups are sought around, and the most alike ones kept
PLACES = 4  # beside the box where decoys are sought
STRONGEST = 5  # a fifth of a region's pixels counts
GROUPS, MATCHES = 20, 10  # random groups, and others of like contrast that each bearer is replaced from
QUANTILED = 1 << 23  # values at most that a quantile is taken of
LOWER = 0.99  # quantile of chance's pixels over which what touches the support belongs to it


def strength_of(windows: Tensor, weights: Tensor, spread: Tensor) -> Tensor:
    """How surely the mean gradient isn't 0, (h, w): squares of t, summed over both directions, mean over the
    gradients around each pixel.

    windows: (N, 2, h, w). weights: (N,). spread: the others' variance, (2, h, w), which steadies that of few.
    """
    weight = weights[:, None, None, None]
    mean = (weight * windows).sum(dim=0) / weights.sum()
    own = (weight * (windows - mean).square()).sum(dim=0)
    variance = (own + PRIOR * spread) / (len(windows) - 1 + PRIOR) + STORED**2
    squares = (mean.square() * weights.sum() / variance).sum(dim=0)
    return F.avg_pool2d(squares[None, None], 3, stride=1, padding=1)[0, 0]


def overall(strength: Tensor) -> float:
    """Mean of the strongest fifth of the pixels: a mark's strokes are many, a natural edge is one."""
    values = strength.flatten()
    return float(values.topk(max(1, len(values) // STRONGEST)).values.mean())


def decoys_of(
    pool: Tensor, count: int, region: Box, shift: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """`strength_of` of decoys, each (h, w): groups of `count` images of the pool that are most alike.

    They are sought at the region and at other places, in images as they are and mirrored, as a search for
    what repeats would go through all places.
    """
    size = min(count, len(pool) // 2)
    for images, place in _views(pool, region, generator):
        fields = Fields.of(images, gradients(images).mean(dim=0), place, shift)
        spread = fields.spread(place)
        seeds = torch.randperm(len(images), generator=generator)[:SEEDS]
        best, members = likeness(fields, seeds, place).topk(size, dim=1)
        for seed in best.sum(dim=1).topk(min(DECOYS, len(seeds))).indices.tolist():
            group = fields.take(members[seed])
            moves, _ = aligned(group, place, fields.window(place)[seeds[seed]])
            # Squares of t grow with the number: a group that the pool is too small for counts as a full one.
            yield strength_of(group.window(place, moves), group.weights, spread) * (count / size)


def by_chance(
    mine: Fields, theirs: Fields, template: Tensor, region: Box, spread: Tensor, generator: torch.Generator
) -> Tensor:
    """`strength_of` of random groups of the others, (GROUPS, h, w), matched with the bearers in contrast and
    moved to be like the bearers' template: what alignment makes of nothing."""
    away = (mine.weights.log()[:, None] - theirs.weights.log()).abs()
    near = away.topk(min(MATCHES, len(theirs.weights)), dim=1, largest=False).indices
    maps = []
    for _ in range(GROUPS):
        drawn = torch.randint(near.shape[1], (len(near), 1), generator=generator)
        group = theirs.take(near.gather(1, drawn)[:, 0])
        moves, _ = aligned(group, region, template, rounds=1)
        maps.append(strength_of(group.window(region, moves), group.weights, spread))
    return torch.stack(maps)


def _views(pool: Tensor, region: Box, generator: torch.Generator) -> Iterator[tuple[Tensor, Box]]:
    """Images and places: the region in images mirrored in all ways, and random places."""
    for axes in ((), (3,), (2,), (2, 3)):
        yield pool.flip(axes), region
    _, _, height, width = region
    room = pool.shape[2] - height, pool.shape[3] - width
    for _ in range(PLACES if any(room) else 0):
        top, left = (int(torch.randint(free + 1, (1,), generator=generator)) for free in room)
        yield pool, (top, left, height, width)


def support_of(strength: Tensor, chance: Tensor) -> Tensor:
    """Where there is more than chance has anywhere, with what touches it and is over most of chance's pixels;
    gaps and holes are filled. Bool (h, w)."""
    sure = strength > chance.max()
    low = torch.quantile(chance[:, ::2, ::2].flatten()[:QUANTILED], LOWER)
    parts, _ = ndimage.label((strength > low).numpy(), np.ones((3, 3)))
    kept = np.isin(parts, np.unique(parts[sure.numpy()])) & (parts > 0)
    closed = ndimage.binary_closing(np.pad(kept, 2), np.ones((3, 3)))[2:-2, 2:-2] | kept
    return torch.from_numpy(ndimage.binary_fill_holes(closed))
