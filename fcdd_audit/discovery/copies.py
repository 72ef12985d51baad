"""Near-copies: images that are one photograph, saved again, cut, moved, brightened, marked or mirrored.

Two steps. The *screen* compares coarse pictures of 8 x 8 px, whitened as natural images need it, at small
shifts, of all pairs. The *check* compares blocks of the pairs that pass on a finer scale: most blocks with
some contrast must agree, at one shift give or take a pixel, as cuts need it. What lies at the edge isn't
looked at, and no few blocks suffice: two scenes that bear the same mark, border or black bar are no copies.
Where there is colour, it must agree coarsely, too: silhouettes against the sky have much the same shapes.

What is laid out alike, as registered parts and regular textures are, can't be told from copies by pixels
alone; where most images of a set are joined, that is the likelier reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from fcdd_audit.core.colours import LUMA

SIDE = 32  # px of the thumbnails that all images are reduced or enlarged to
REACH = 2  # px of a thumbnail by which copies may be moved: a sixteenth of the image
CENTRE, EDGE = 24, 4  # px of a thumbnail that are compared, and beyond them on each side
COARSE = 8  # px, to which the screen reduces the centre
SCREEN = 0.55  # correlation of whitened coarse pictures
FINE, BROAD = 0.7, 1.5  # px of a thumbnail: what the check sees is between these two blurs
BLOCK, BLOCKS = 8, 3  # px and number of blocks, in each direction, of the centre
FLOOR = 0.012  # root mean square of a block so seen, for images in [0, 1]; flatter ones say nothing
FAINTEST = FLOOR / 2  # of a block that is compared with one over the floor
FEWEST = 5  # blocks that say something, in either image
AGREEING = 2 / 3  # share of these blocks that counts, the most alike ones
DOUBT = 0.015  # by which the agreement counts for less, for each block that says nothing
THRESHOLD = 0.88
HUES = 4  # cells in each direction, of which the colours are compared
TINGED = 0.03  # of colours in [-1, 1], root mean square: fainter ones are as good as grey
OTHER_COLOURS = 0.25  # difference of colours, as a share of their sum, from which on two are no copies
PARTNERS = 64  # candidates at most of an image among each TILE others
IMAGES, ROWS, TILE, PAIRS = 1024, 256, 8192, 2048  # worked on at a time

Pairs = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Copies:
    """How many near-copies a set holds.

    groups: of two images or more. images: in these. within: groups that have two images of one part or more.
    between: groups that have images of several parts. largest: images of the largest group; 0 without any.
    """

    groups: int
    images: int
    within: int
    between: int
    largest: int


def copies(
    images: Tensor, *, threshold: float = THRESHOLD, advance: Callable[[int], None] = lambda _: None
) -> np.ndarray:
    """The group of each image, int64 (n,), numbered from 0 by first appearance.

    images: uint8 (n, C, H, W), C is 1 or 3; of any size, and compared at 32 x 32 px. threshold: in (0, 1],
    the mean correlation of the two thirds of their blocks that are most alike, from which on two are copies.
    advance: is told of images that are done. Copies of copies share a group. An image that is flat but for
    few places has no near-copies, only copies to the pixel; one of a single colour has none. ValueError for
    other images or another threshold.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images are uint8 (n, 1 or 3, H, W), not {images.dtype} {tuple(images.shape)}")
    if 0 in images.shape[2:]:
        raise ValueError(f"images have no pixels: {tuple(images.shape)}")
    if not 0 < threshold <= 1:
        raise ValueError(f"the threshold is above 0 and at most 1, not {threshold}")
    if not len(images):
        return np.zeros(0, np.int64)
    coarse, fields, hues = _reduced(images)
    blocks = _Blocks.of(fields)
    joined = [_equal(images)]
    for mirrored, (one, other) in _screened(coarse, blocks.telling, advance):
        if not len(one):
            continue
        for first, second in zip(one.split(PAIRS), other.split(PAIRS), strict=True):
            alike = blocks.agreement(first, second, mirrored) >= threshold
            alike &= _off_colour(hues, first, second, mirrored) < OTHER_COLOURS
            joined.append((first[alike], second[alike]))
    return _groups(joined, len(images))


def summary(groups: np.ndarray, parts: Sequence[Hashable]) -> Copies:
    """What `copies` found, counted. parts: of each image, its part of the data, such as "train nominal".

    ValueError for another number of parts.
    """
    if len(parts) != len(groups):
        raise ValueError(f"{len(parts)} parts of {len(groups)} images")
    members: dict[int, list[Hashable]] = {}
    for group, part in zip(groups.tolist(), parts, strict=True):
        members.setdefault(group, []).append(part)
    several = [own for own in members.values() if len(own) > 1]
    return Copies(
        groups=len(several),
        images=sum(len(own) for own in several),
        within=sum(len(set(own)) < len(own) for own in several),
        between=sum(len(set(own)) > 1 for own in several),
        largest=max((len(own) for own in several), default=0),
    )


def _reduced(images: Tensor) -> tuple[dict[bool, Tensor], Tensor, Tensor]:
    """What the screen compares; what the check does, (n, SIDE, SIDE); and colours, (n, 2, HUES, HUES).

    The screen's are unit vectors: of mirrored images (True) as they are, (1, n, d); of the images themselves
    (False) at all shifts, (9, n, d), the first without one.
    """
    whiten = _whitening()
    plain, mirrored, fields, hues = [], [], [], []
    for chunk in images.split(IMAGES):
        x = F.interpolate(chunk.float() / 255, (SIDE, SIDE), mode="bilinear", antialias=True)
        hues.append(_hues(x))
        if x.shape[1] == 3:
            x = (x * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        fields.append((_blurred(x, FINE) - _blurred(x, BROAD))[:, 0])
        plain.append(torch.stack([_coarse(x, move, whiten) for move in _moves((0, -REACH, REACH))]))
        mirrored.append(_coarse(x.flip(-1), (0, 0), whiten)[None])
    return {False: torch.cat(plain, 1), True: torch.cat(mirrored, 1)}, torch.cat(fields), torch.cat(hues)


def _hues(x: Tensor) -> Tensor:
    """Red less green and blue less both, in [-1, 1], (n, 2, HUES, HUES); 0 of grey images."""
    red, green, blue = F.avg_pool2d(x, SIDE // HUES).expand(-1, 3, -1, -1).unbind(1)
    return torch.stack([red - green, blue - (red + green) / 2], 1)


def _off_colour(hues: Tensor, one: Tensor, other: Tensor, mirrored: bool) -> Tensor:
    """(m,) in [0, 1): by how much the colours of each pair differ, as a share of both together."""
    mine, theirs = hues[one], hues[other]
    if mirrored:
        mine = mine.flip(-1)
    least = TINGED * (mine[0].numel() ** 0.5)
    lengths = [x.flatten(1).norm(dim=1) for x in (mine - theirs, mine, theirs)]
    return lengths[0] / (lengths[1] + lengths[2] + 2 * least)


def _moves(steps: Sequence[int]) -> list[tuple[int, int]]:
    return list(product(steps, steps))


def _coarse(x: Tensor, move: tuple[int, int], whiten: Tensor) -> Tensor:
    """What is at the centre of (n, 1, SIDE, SIDE), moved by rows and columns, as unit vectors (n, d)."""
    top, left = EDGE + move[0], EDGE + move[1]
    moved = x[..., top : top + CENTRE, left : left + CENTRE]
    return F.normalize(F.avg_pool2d(moved, CENTRE // COARSE).flatten(1) @ whiten, dim=1)


def _whitening() -> Tensor:
    """(COARSE ** 2, d): the cosine transform without the mean, each wave in proportion to its frequency.

    Amplitudes of natural images fall with the frequency; so weighted, they point in all directions alike. A
    whitening learned from the images would do it better, but make a pair's likeness depend on the others.
    """
    frequency = torch.arange(float(COARSE))
    place = torch.arange(COARSE) + 0.5
    waves = torch.cos(torch.pi / COARSE * frequency[:, None] * place)
    waves = waves / waves.norm(dim=1, keepdim=True)
    both = torch.einsum("ai,bj->abij", waves, waves).reshape(COARSE**2, -1)
    weights = torch.hypot(frequency[:, None], frequency).flatten()
    return (both * weights[:, None])[1:].T.contiguous()


def _blurred(x: Tensor, sigma: float) -> Tensor:
    reach = round(3 * sigma)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    x = F.pad(x, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(x, kernel), kernel.transpose(2, 3))


def _screened(
    coarse: dict[bool, Tensor], telling: Tensor, advance: Callable[[int], None]
) -> Iterator[tuple[bool, Pairs]]:
    """Candidates, and whether the first of each is mirrored. telling: bool (n,), images with enough
    blocks that aren't flat; one of each pair is."""
    shifted, n = coarse[False], len(telling)
    for first in range(0, n, ROWS):
        rows = slice(first, first + ROWS)
        for start in range(first, n, TILE):
            columns = slice(start, start + TILE)
            usable = telling[rows, None] | telling[columns]
            usable &= torch.arange(n)[rows, None] < torch.arange(n)[columns]
            for mirrored in (False, True):
                mine = coarse[mirrored][0, rows]
                best = mine @ shifted[0, columns].T
                for other in shifted[1:, columns]:
                    torch.maximum(best, mine @ other.T, out=best)
                one, two = _places(best.masked_fill_(~usable, -1))
                yield mirrored, (one + first, two + start)
        advance(min(ROWS, n - first))


def _places(best: Tensor) -> Pairs:
    """Rows and columns over the limit: of a row with more than PARTNERS of them, the largest."""
    found = best >= SCREEN
    if bool((found.sum(1) > PARTNERS).any()):
        values, columns = best.topk(PARTNERS, dim=1)
        rows, places = (values >= SCREEN).nonzero(as_tuple=True)
        return rows, columns[rows, places]
    rows, columns = found.nonzero(as_tuple=True)
    return rows, columns


@dataclass(frozen=True)
class _Blocks:
    """fields: (n, SIDE, SIDE). norms: (n, moves, blocks), root mean square at each shift, FAINTEST at least.
    flat: bool (n, blocks). telling: bool (n,), images with enough blocks that aren't."""

    fields: Tensor
    norms: Tensor
    flat: Tensor
    telling: Tensor

    @classmethod
    def of(cls, fields: Tensor) -> _Blocks:
        energy = torch.cat([_shifted_means(x.square(), torch.ones_like(x)) for x in fields.split(IMAGES)])
        norms = energy.sqrt()
        flat = norms[:, _UNMOVED] < FLOOR
        return cls(fields, norms.clamp_min(FAINTEST), flat, (~flat).sum(1) >= FEWEST)

    def agreement(self, one: Tensor, other: Tensor, mirrored: bool) -> Tensor:
        """(m,) in [-1, 1]: the mean correlation of the most alike two thirds of each pair's blocks, at the
        best shift, less DOUBT for each block that says nothing; -1 where too few say anything."""
        mine, flat, norms = self.fields[one], self.flat[one], self.norms[one, _UNMOVED]
        if mirrored:
            mine = mine.flip(-1)
            flat, norms = (x.unflatten(1, (BLOCKS, BLOCKS)).flip(-1).flatten(1) for x in (flat, norms))
        alike = _shifted_means(self.fields[other], mine) / (norms[:, None] * self.norms[other])
        by_move = alike.transpose(1, 2).unflatten(2, (2 * REACH + 1,) * 2)
        near = F.max_pool2d(by_move, 3, stride=1, padding=1).flatten(2).transpose(1, 2)
        silent = flat & self.flat[other]
        telling = (~silent).sum(1)
        counted = (AGREEING * telling).ceil()[:, None]
        ordered = near.masked_fill(silent[:, None], -1).sort(2, descending=True).values
        counts = torch.arange(BLOCKS**2) < counted
        found = (ordered * counts[:, None]).sum(2) / counted.clamp_min(1)
        agreement = found.amax(1) - DOUBT * silent.sum(1)
        return agreement.masked_fill(telling < FEWEST, -1)


_MOVES = _moves(range(-REACH, REACH + 1))
_UNMOVED = _MOVES.index((0, 0))


def _shifted_means(moved: Tensor, still: Tensor) -> Tensor:
    """The mean over each block of the product of both, (m, SIDE, SIDE), at each shift: (m, moves, blocks)."""
    centre = still[:, EDGE : EDGE + CENTRE, EDGE : EDGE + CENTRE]
    means = []
    for down, right in _MOVES:
        top, left = EDGE + down, EDGE + right
        both = centre * moved[:, top : top + CENTRE, left : left + CENTRE]
        means.append(F.avg_pool2d(both, BLOCK).flatten(1))
    return torch.stack(means, 1)


def _equal(images: Tensor) -> Pairs:
    """Images that are the same to the pixel, and of more than one colour, each with the first of its kind."""
    seen: dict[bytes, int] = {}
    one, other = [], []
    for place, image in enumerate(images):
        if bool((image == image[:, :1, :1]).all()):
            continue
        key = hashlib.sha256(image.contiguous().numpy().tobytes()).digest()
        if (first := seen.setdefault(key, place)) != place:
            one.append(first)
            other.append(place)
    return torch.tensor(one, dtype=torch.long), torch.tensor(other, dtype=torch.long)


def _groups(joined: Sequence[Pairs], n: int) -> np.ndarray:
    one, other = (torch.cat(places).numpy() for places in zip(*joined, strict=True))
    links = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(n, n))
    _, found = connected_components(links, directed=False)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)
