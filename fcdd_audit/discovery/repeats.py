"""Repeated content: what is at the same place of several images, to the pixel: marks are, scenes
are not.

Every window of every image is compared with the same window, moved by a little, of all other images of its
side. The null is the same images, each mirrored left to right or not by the toss of a coin: where no side of
the image is special, that changes nothing, and the p-values are exact. A mark that sits in a corner is in the
same place on two images only if both are mirrored alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.colours import LUMA

Shape = tuple[int, int]
COLOUR = "colour"  # the field that is of colours alone

KEPT = (1e-3, 3e-4, 1e-4, 3e-5)  # shares of all pairs of windows that count as alike
SPREAD = 20  # times its share of the pairs, at most, are kept of a window
PARTNERS = (3, 6, 12)  # images with so many others alike are counted
FLOOR = 0.02  # root mean square of a window's field, for images in [0, 1]; flatter ones are like nothing
LEAST = 1e-6  # correlation of windows that are alike at all
RIDGE = 0.1  # of the whitening, in mean eigenvalues
SAMPLED = 20_000  # windows that the whitening is learned from
LEAST_SPREAD = 0.5  # images; of the null counts at a window


@dataclass(frozen=True)
class View:
    """Images of one side in one view. images, mirrored: uint8 (n, C, S, T), as they are, and what stands in
    their place once an image is mirrored: the image itself or, of a view of a corner, the opposite corner,
    mirrored."""

    name: str
    images: Tensor
    mirrored: Tensor


@dataclass(frozen=True)
class Window:
    """A place of a view that is searched. top, left, height, width: in pixels of the view. mirrored: whether
    the place is that of the mirrored images."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool


@dataclass(frozen=True)
class Pairs:
    """Pairs of windows at one place that are much alike, the most alike first. one, other: images, those from
    n on are mirrored. alike: correlation, in [-1, 1]."""

    one: np.ndarray
    other: np.ndarray
    alike: np.ndarray

    def without(self, gone: np.ndarray, n: int) -> Pairs:
        """Only pairs of images that aren't gone, bool (n,)."""
        kept = ~(gone[self.one % n] | gone[self.other % n])
        return Pairs(self.one[kept], self.other[kept], self.alike[kept])


@dataclass(frozen=True)
class Family:
    """All windows of one shape and field in one view of n images. places: top and left of each. pairs: of
    each place. limits: from which correlation on windows count as alike, falling."""

    view: View
    field: str
    shape: Shape
    places: tuple[tuple[int, int], ...]
    pairs: tuple[Pairs, ...]
    limits: tuple[float, ...]


def luminance(images: Tensor) -> Tensor:
    """(n, C, H, W) uint8 to (n, 1, H, W) in [0, 1]."""
    x = images.float() / 255
    return x if x.shape[1] == 1 else (x * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def gradients(x: Tensor) -> Tensor:
    """(n, C, H, W) to (n, 2C, H, W): differences to the right and to below."""
    right = F.pad(x[..., 1:] - x[..., :-1], (0, 1))
    below = F.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
    return torch.cat([right, below], 1)


def opponents(images: Tensor) -> Tensor:
    """Colour without brightness: uint8 (n, 3, H, W) to (n, 2, H, W), red less green and blue less both."""
    red, green, blue = (images.float() / 255).unbind(1)
    return torch.stack([red - green, blue - (red + green) / 2], 1)


def _grey_gradient(images: Tensor) -> Tensor:
    return gradients(luminance(images))


def _colour_gradient(images: Tensor) -> Tensor:
    return gradients(opponents(images))


FIELDS: dict[str, Callable[[Tensor], Tensor]] = {
    "gradient": _grey_gradient,
    "whitened": luminance,
    COLOUR: _colour_gradient,
}


def fields_of(images: Tensor) -> tuple[str, ...]:
    """The fields that these images have."""
    grey = images.shape[1] == 1 or bool((images[:, :1] == images).all())
    return ("gradient", "whitened") if grey else tuple(FIELDS)


def shapes_of(side: int) -> tuple[Shape, ...]:
    """Windows of a view whose smaller side is `side` pixels: square ones, wide ones and tall ones."""
    base = max(4, side // 4)
    return ((base, base), (base, 5 * base // 2), (5 * base // 2, base), (2 * base, 2 * base))


def moves_of(side: int) -> tuple[int, ...]:
    """By how many pixels a mark may be moved between two images, in each direction."""
    reach = 1 if side < 64 else 2
    return tuple(range(-reach, reach + 1))


def compare(view: View, field: str, shape: Shape, advance: Callable[[int], None] = lambda _: None) -> Family:
    """Compare all images at every place of a view. advance: is told of every place that is done."""
    vectors = vectors_of(view, field, shape)
    moves = moves_of(min(view.images.shape[2:]))
    places = tuple(places_of(view, shape))
    pairs = []
    for place in places:
        pairs.append(_alike(vectors, place, moves))
        advance(1)
    return Family(view, field, shape, places, tuple(pairs), _limits(pairs, len(view.images)))


def windows_of(family: Family) -> list[Window]:
    """In the order of `strengths`: each place, as it is and mirrored."""
    return [
        Window(top, left, *family.shape, mirrored)
        for top, left in family.places
        for mirrored in (False, True)
    ]


def strengths(family: Family, signs: np.ndarray, gone: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """How strongly images resemble each other at each window, and which ones do.

    signs: bool (1 + draws, n), which images are mirrored in each search; none in the first. gone: bool (n,),
    images that are left out. Returns (windows, 1 + draws), how many standard deviations more images have
    partners there than in the mean of all searches; and the images that have partners in the first search.
    """
    strong, bearers = [], []
    for pairs in family.pairs:
        left = pairs.without(gone, signs.shape[1])
        for mirrored in (False, True):
            found, own = _strength(left, family.limits, signs ^ mirrored)
            strong.append(found)
            bearers.append(own)
    return np.stack(strong), bearers


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of windows of all images, then of all mirrored ones. field: (2n, channels, H, W)."""

    field: Tensor
    shape: Shape
    whiten: Tensor | None

    def at(self, top: int, left: int) -> Tensor | None:
        """(2n, d); None outside the images. Flat windows are zero."""
        height, width = self.shape
        rows, columns = self.field.shape[-2:]
        if min(top, left) < 0 or top + height > rows or left + width > columns:
            return None
        v = self.field[..., top : top + height, left : left + width].flatten(1)
        if self.whiten is not None:
            v = v - v.mean(1, keepdim=True)
        contrast = v.square().mean(1, keepdim=True).sqrt()
        if self.whiten is not None:
            v = v @ self.whiten
        return F.normalize(v, dim=1) * (contrast > FLOOR)


def vectors_of(view: View, field: str, shape: Shape) -> Vectors:
    """The windows of a view that are compared."""
    whole = FIELDS[field](torch.cat([view.images, view.mirrored]))
    return Vectors(whole, shape, _whitening(whole, shape) if field == "whitened" else None)


def _whitening(x: Tensor, shape: Shape) -> Tensor:
    """By the covariance of windows of all places: after it natural images point in all directions alike."""
    generator = torch.Generator().manual_seed(0)
    (height, width), (n, _, rows, columns) = shape, x.shape
    each = max(1, SAMPLED // n)
    drawn = []
    for _ in range(each):
        top = int(torch.randint(rows - height + 1, (1,), generator=generator))
        left = int(torch.randint(columns - width + 1, (1,), generator=generator))
        drawn.append(x[..., top : top + height, left : left + width].flatten(1))
    v = torch.cat(drawn)
    v = v - v.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh(v.T @ v / len(v))
    return vectors @ torch.diag((values.clamp_min(0) + RIDGE * values.mean()).rsqrt()) @ vectors.T


def places_of(view: View, shape: Shape) -> Iterator[tuple[int, int]]:
    """Half overlapping, in the left half: the right half is the left half of the mirrored images."""
    (height, width), (rows, columns) = shape, view.images.shape[2:]
    for top in _steps(rows - height, height // 2):
        for left in _steps((columns - width + 1) // 2, width // 2):
            yield top, left


def _steps(last: int, stride: int) -> list[int]:
    """From 0 to `last`, evenly, at most `stride` apart."""
    return np.linspace(0, last, -(-last // stride) + 1).round().astype(int).tolist() if last > 0 else [0]


def _alike(vectors: Vectors, place: tuple[int, int], moves: Sequence[int]) -> Pairs:
    top, left = place
    mine = vectors.at(top, left)
    if mine is None:
        raise ValueError(f"no window of {vectors.shape} at {place}")
    best = torch.full((len(mine), len(mine)), -1.0)
    for down in moves:
        for right in moves:
            theirs = vectors.at(top + down, left + right)
            if theirs is not None:
                torch.maximum(best, mine @ theirs.T, out=best)
    n = len(mine) // 2
    same = torch.arange(2 * n)
    best[same, same] = -1
    best[same, (same + n) % (2 * n)] = -1  # nor with its own mirror image
    most = min(best.numel(), int(4 * n * n * KEPT[0] * SPREAD))
    values, places = best.flatten().topk(most)
    alike = values > LEAST  # a flat window is like nothing, and never ties with what is
    values, places = values[alike], places[alike]
    return Pairs((places // (2 * n)).numpy(), (places % (2 * n)).numpy(), values.numpy())


def _limits(pairs: Sequence[Pairs], n: int) -> tuple[float, ...]:
    """The least correlations of the KEPT shares of all pairs, of images and mirrored images together: the
    same whichever images are mirrored."""
    together = np.sort(np.concatenate([one.alike for one in pairs]))[::-1]
    if not len(together):
        return (1.0,) * len(KEPT)
    total = 4 * n * n * len(pairs)
    return tuple(float(together[min(len(together), max(1, round(share * total))) - 1]) for share in KEPT)


def _strength(pairs: Pairs, limits: Sequence[float], signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(1 + draws,), and the images with partners where the search itself is strongest."""
    n = signs.shape[1]
    best = np.full(len(signs), -np.inf)
    bearers = np.array([], int)
    for limit in limits:
        count = int((pairs.alike >= limit).sum())
        if not count:
            continue
        partners, images = _partners(pairs, count, signs, n)
        for least in PARTNERS:
            has = partners >= least
            counts = has.sum(1)
            strong = (counts - counts.mean()) / max(LEAST_SPREAD, counts.std())
            if strong[0] > best[0]:
                bearers = images[has[0]]
            best = np.maximum(best, strong)
    return np.where(np.isinf(best), 0.0, best), bearers  # where no pair is left, nothing is unusual


def _partners(pairs: Pairs, count: int, signs: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """How many partners each image has in each search, (1 + draws, m), and which images these m are."""
    order = np.argsort(pairs.one[:count] % n, kind="stable")
    one, other = pairs.one[:count][order], pairs.other[:count][order]
    used = (signs[:, one % n] == (one >= n)) & (signs[:, other % n] == (other >= n))
    images, starts = np.unique(one % n, return_index=True)
    return np.add.reduceat(used.astype(np.int16), starts, axis=1), images
