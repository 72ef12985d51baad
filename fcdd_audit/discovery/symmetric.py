"""Content that repeats and is its own mirror image: frames, borders, bars, fences.

Mirrored searches can't judge it, since mirroring changes nothing about it. It is sought among windows that
resemble those of other images and those of other images mirrored, at the same place. What tells it from
scenery is that it is bound to the frame: it stays where it is while each image is displaced by an offset of
its own, towards the middle and by whole JPEG blocks. Such displaced searches hold no level: photographs are
centred, and many have real borders. So a find is listed if no displaced search has as strong a one, and gets
no p-value.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.threads import single
from fcdd_audit.discovery.matching import Template, bearing, fit
from fcdd_audit.discovery.repeats import (
    FIELDS,
    FLOOR,
    KEPT,
    PARTNERS,
    SPREAD,
    Pairs,
    View,
    Window,
    places_of,
    shapes_of,
)

FIELD = "gradient"
BLOCK = 8  # px, of JPEG
BLOCKS = 3  # by which an image is displaced in each direction, at most; one at least
SEARCHES = 9  # displaced ones
DECOYS = 3  # of an image, displaced, that tell who bears it
REACH = 1  # px by which it may be moved between two images
FEWEST = 12  # images that bear it: photographs of one kind of thing are alike on fewer
MIRRORED = 0.5  # share of them that bear it at the mirrored place too
MOST = 3  # finds of a side


@dataclass(frozen=True)
class Symmetric:
    """Content that repeats and is its own mirror image.

    window: where it is most frequent. template: what tells its bearers. bears: places of these among the
    images. box: top, left, height and width in px of all windows where they resemble each other. excess: by
    how much more images have partners there than in displaced searches; displaced: the most of these.
    """

    window: Window
    template: Template
    bears: np.ndarray
    box: tuple[int, int, int, int]
    excess: float
    displaced: float


@dataclass(frozen=True)
class _Compared:
    """places: of windows. pairs: of each search, the one of images as they are first, and place. limits: from
    which likeness on windows count as alike."""

    places: tuple[tuple[int, int], ...]
    pairs: tuple[tuple[Pairs, ...], ...]
    limits: tuple[float, ...]


def offsets_of(images: int, searches: int, generator: np.random.Generator) -> np.ndarray:
    """px by which each image is displaced, down or up and left or right, int (1 + searches, images, 2); none
    in the first."""
    drawn = BLOCK * generator.integers(1, BLOCKS + 1, (1 + searches, images, 2))
    drawn[0] = 0
    return drawn


def corners_of(
    place: tuple[int, int], shape: tuple[int, int], size: tuple[int, int], offsets: np.ndarray
) -> np.ndarray:
    """Top and left of a window on each displaced image, int (images, 2): towards the middle from where it is,
    and inside an image of that size. offsets: (images, 2), in px."""
    room = np.subtract(size, shape)
    inwards = np.where(np.array(place) <= room / 2, 1, -1)
    return np.clip(np.array(place) + inwards * offsets, 0, room)


def symmetric(
    view: View, generator: np.random.Generator, advance: Callable[[int], None] = lambda _: None
) -> list[Symmetric]:
    """What repeats and is its own mirror image, the most frequent first, MOST at most; none where a displaced
    search finds as much.

    advance: is told of searches that are done. What was found is taken out before the next.
    """
    n = len(view.images)
    shape = shapes_of(view.images.shape[2])[0]
    offsets = offsets_of(n, SEARCHES, generator)
    compared = _compare(view, shape, offsets, advance)
    gone, found = np.zeros(n, bool), []
    with single():
        for _ in range(MOST):
            excess, place, seen = _strongest(compared, gone)
            if excess[0] <= excess[1:].max() or not len(seen):
                break
            window = Window(*compared.places[place], *shape, False)
            template, bears = _fitted(view, window, seen, offsets[1 : 1 + DECOYS])
            gone[seen] = True
            gone[bears] = True
            if len(bears) < FEWEST or _mirrored(view, template, bears) < MIRRORED:
                continue
            box = _box(view, shape, compared.places, bears, offsets[1 : 1 + DECOYS])
            found.append(Symmetric(window, template, bears, box, float(excess[0]), float(excess[1:].max())))
    return found


def _compare(
    view: View, shape: tuple[int, int], offsets: np.ndarray, advance: Callable[[int], None]
) -> _Compared:
    plain, mirrored = (F.pad(FIELDS[FIELD](x), (REACH,) * 4) for x in (view.images, view.mirrored))
    places = tuple(places_of(view, shape))
    size = (view.images.shape[2], view.images.shape[3])

    def search(own: np.ndarray) -> tuple[Pairs, ...]:
        return tuple(_alike(plain, mirrored, shape, corners_of(place, shape, size, own)) for place in places)

    pairs = []
    with (
        single() as threads,
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        for found in pool.map(search, offsets):
            pairs.append(found)
            advance(1)
    together = np.sort(np.concatenate([one.alike for found in pairs for one in found]))[::-1]
    total = len(view.images) ** 2 * len(places) * len(pairs)
    limits = (
        tuple(float(together[min(len(together), max(1, round(share * total))) - 1]) for share in KEPT[:-1])
        if len(together)
        else ()
    )
    return _Compared(places, tuple(pairs), limits)


def _alike(plain: Tensor, mirrored: Tensor, shape: tuple[int, int], corners: np.ndarray) -> Pairs:
    """Pairs of images whose windows resemble each other's and each other's mirrored ones."""
    mine, theirs = _cut(plain, shape, corners), _cut(mirrored, shape, corners)
    own = _unit(mine, shape, REACH, REACH)
    alike = torch.minimum(_likeness(own, mine, shape), _likeness(own, theirs, shape))
    n = len(alike)
    alike.fill_diagonal_(-1)
    values, order = alike.flatten().topk(min(n * n, max(1, int(n * n * KEPT[0] * SPREAD))))
    kept = values > FLOOR
    return Pairs((order[kept] // n).numpy(), (order[kept] % n).numpy(), values[kept].numpy())


def _cut(padded: Tensor, shape: tuple[int, int], corners: np.ndarray) -> Tensor:
    """A window of each image with REACH px around it: (n, C, h + 2 REACH, w + 2 REACH)."""
    n, channels = padded.shape[:2]
    rows, columns = (
        torch.from_numpy(corners[:, axis])[:, None] + torch.arange(shape[axis] + 2 * REACH) for axis in (0, 1)
    )
    return padded[
        torch.arange(n)[:, None, None, None],
        torch.arange(channels)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def _unit(windows: Tensor, shape: tuple[int, int], down: int, right: int) -> Tensor:
    v = windows[..., down : down + shape[0], right : right + shape[1]].flatten(1)
    return F.normalize(v, dim=1) * (v.square().mean(1, keepdim=True).sqrt() > FLOOR)


def _likeness(own: Tensor, others: Tensor, shape: tuple[int, int]) -> Tensor:
    """Of each with each other at its best move, (n, n)."""
    best = torch.full((len(own), len(own)), -1.0)
    for down in range(2 * REACH + 1):
        for right in range(2 * REACH + 1):
            torch.maximum(best, own @ _unit(others, shape, down, right).T, out=best)
    return best


def _strongest(compared: _Compared, gone: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """How much each search has, (1 + searches,), the place of the strongest in the images as they are, and
    the images that have partners there."""
    n = len(gone)
    best, at, seen = np.full(len(compared.pairs), -np.inf), 0, np.array([], int)
    for place in range(len(compared.places)):
        left = [found[place].without(gone, n) for found in compared.pairs]
        for limit in compared.limits:
            partners = np.stack([np.bincount(one.one[one.alike >= limit], minlength=n) for one in left])
            for least in PARTNERS:
                has = partners >= least
                counts = has.sum(1)
                excess = (counts - counts.mean()) / np.sqrt(counts.mean() + 1)
                if excess[0] > best[0]:
                    at, seen = place, np.flatnonzero(has[0])
                best = np.maximum(best, excess)
    return best, at, seen


def _displaced(view: View, window: Window, offsets: np.ndarray) -> Tensor:
    """Images that show at the window what lies further inside, once for each row of offsets."""
    size = (view.images.shape[2], view.images.shape[3])
    shape, place = (window.height, window.width), (window.top, window.left)
    moved = []
    for own in offsets:
        away = np.array(place) - corners_of(place, shape, size, own)
        moved += [image.roll(tuple(by), (1, 2)) for image, by in zip(view.images, away.tolist(), strict=True)]
    return torch.stack(moved)


def _fitted(view: View, window: Window, seen: np.ndarray, offsets: np.ndarray) -> tuple[Template, np.ndarray]:
    """The template of what was seen, and the images that resemble it more than any displaced one does."""
    return fit(View(view.name, view.images, _displaced(view, window, offsets)), FIELD, window, seen)


def _mirrored(view: View, template: Template, bears: np.ndarray) -> float:
    """Share of the bearers that bear it at the mirrored place too, mirrored."""
    return float(bearing(view.mirrored[torch.from_numpy(bears)], template).mean())


def _box(
    view: View,
    shape: tuple[int, int],
    places: tuple[tuple[int, int], ...],
    bears: np.ndarray,
    offsets: np.ndarray,
) -> tuple[int, int, int, int]:
    """Top, left, height and width of all windows, and mirrored ones, where bearers resemble each other."""
    images, columns = FIELDS[FIELD](view.images[torch.from_numpy(bears)]), view.images.shape[3]
    padded = F.pad(images, (REACH,) * 4)
    size = (view.images.shape[2], columns)
    near = []
    for place in places:
        ways = np.concatenate([np.zeros((1, len(bears), 2), int), offsets[:, bears]])
        near.append([_together(padded, shape, corners_of(place, shape, size, own)) for own in ways])
    found = np.array(near)
    with_it = (found[:, 0] > found[:, 1:].max()) & (found[:, 0] >= MIRRORED * found[:, 0].max())
    tops, lefts = np.array(places)[with_it | (found[:, 0] == found[:, 0].max())].T
    left = min(int(lefts.min()), columns - int(lefts.max()) - shape[1])
    return int(tops.min()), left, int(tops.max() - tops.min()) + shape[0], columns - 2 * left


def _together(padded: Tensor, shape: tuple[int, int], corners: np.ndarray) -> float:
    """Mean correlation of the windows of all pairs."""
    own = _unit(_cut(padded, shape, corners), shape, REACH, REACH)
    n = len(own)
    return float((own.sum(0).square().sum() - own.square().sum()) / (n * (n - 1)))
