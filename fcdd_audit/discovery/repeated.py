"""Searches the images of each side for repeated content, one candidate after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.threads import single
from fcdd_audit.discovery.boxes import Box
from fcdd_audit.discovery.candidates import SURE
from fcdd_audit.discovery.familywise import Repeat, coins, strongest
from fcdd_audit.discovery.matching import Template, bearing, fit
from fcdd_audit.discovery.repeats import Family, Shape, View, Window, compare, fields_of
from fcdd_audit.discovery.views import Cut

MOVED = 4  # px by which a mark may be moved from where it was found first
MOST_OF = 0.5  # of a repeat's images, by which it is another moved, or seen in another view
FEWEST_COMMON = 3
LISTED = 3  # candidates that are listed however unsure they are
MOST = 10  # candidates, at most


@dataclass(frozen=True)
class Searched:
    """One view of one side.

    view: of the images that are searched. every: all images of the side that are matched in that view, uint8
    (N, C, S, S); names: of them. sampled: places of the searched ones in them, the same images in all views
    of the side. asked: fields and shapes that are compared. cut: where the view was cut from files; None: it
    shows whole images. every_mirrored: what stands in the place of `every` once it is mirrored; None: the
    same, mirrored. widened: the same with all images of the side matched; None: they are.
    """

    side: str
    view: View
    every: Tensor
    names: tuple[str, ...]
    sampled: np.ndarray
    asked: tuple[tuple[str, Shape], ...]
    cut: Cut | None = None
    widened: Callable[[], Searched] | None = None
    every_mirrored: Tensor | None = None


def count_families(searched: Sequence[Searched]) -> int:
    """How many fields and shapes are compared, for a progress bar."""
    return sum(len(one.asked) for one in searched)


Compared = tuple[Searched, Family]


def families_of(searched: Sequence[Searched], advance: Callable[[int], None]) -> list[Compared]:
    """All fields and shapes of these views. advance: is told of each that is done.

    As many at a time as torch has threads, each with one: the parts of an operation would wait for each other
    on a busy machine.
    """
    asked = [(one, field, shape) for one in searched for field, shape in one.asked]
    found = []
    with (
        single() as threads,
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        families = pool.map(lambda one: compare(one[0].view, one[1], one[2]), asked)
        for (one, _, _), family in zip(asked, families, strict=True):
            found.append((one, family))
            advance(1)
    return found


def search(
    families: Sequence[Compared], draws: int, generator: np.random.Generator, least: int = LISTED
) -> Iterator[tuple[Repeat, Searched]]:
    """Repeats, the strongest first, each searched for in the images that no earlier one claimed.

    Yields those of p <= SURE, and `least` in any case, MOST at most. draws: null searches.
    """
    searched = list({id(one): one for one, _ in families}.values())
    tossed: dict[str, np.ndarray] = {}
    gone: dict[str, np.ndarray] = {}
    for one in searched:
        if one.side not in tossed:
            tossed[one.side] = coins(len(one.sampled), draws, generator)
            gone[one.side] = np.zeros(len(one.sampled), bool)
    highest = 0.0
    for rank in range(MOST):
        found = strongest(
            [family for _, family in families],
            [tossed[one.side] for one, _ in families],
            [gone[one.side] for one, _ in families],
        )
        highest = max(highest, found.p)  # step-down: what comes later isn't surer
        own = next(one for one, family in families if family is found.family)
        if len(found.bearers) == 0 or (highest > SURE and rank >= least):
            return
        template, bears = best_fit(found.family.view, found.window, found.bearers, found.family.field)
        gone[own.side][bears] = True
        gone[own.side][found.bearers] = True
        if len(bears):
            for other in searched:
                if other.side != own.side and other.view.name == own.view.name:
                    gone[other.side] |= bearing(other.view.images, template, other.view.mirrored)
        yield Repeat(found.family, found.window, found.bearers, found.strength, highest), own


@dataclass(frozen=True)
class Joined:
    """Repeats of one mark.

    first: the strongest, or that of the view which tells most bearers. bears: places of these among the
    searched images. reach: by how many pixels it is moved on others of them, at most; None: no more than
    where images are compared.
    """

    first: Repeat
    own: Searched
    bears: np.ndarray
    reach: int | None = None


def joined(found: Iterable[tuple[Repeat, Searched]]) -> list[Joined]:
    """The repeats, the strongest first, without those that are an earlier one, moved by a few pixels or seen
    in another view.

    A mark that is at one of several places on each image is found once for each place. Views overlap on small
    files: of repeats that are borne by the same images that of most bearers is kept, with the surer p.
    """
    kept: list[Joined] = []
    for repeat, own in found:
        _, bears = best_fit(repeat.family.view, repeat.window, repeat.bearers, repeat.family.field)
        new = Joined(repeat, own, bears if len(bears) else repeat.bearers)
        for place, one in enumerate(kept):
            if one.own is own and _is_moved(repeat, one.first):
                kept[place] = replace(one, reach=MOVED)
                break
            if one.own is not own and one.own.side == own.side and _same_bearers(one, new):
                seen = replace(new, first=replace(repeat, p=one.first.p))
                kept[place] = max(one, seen, key=lambda either: len(either.bears))
                break
        else:
            kept.append(new)
    return kept


def _same_bearers(one: Joined, other: Joined) -> bool:
    fewer = min(len(one.bears), len(other.bears))
    common = len(np.intersect1d(one.bears, other.bears))
    return common >= max(FEWEST_COMMON, MOST_OF * fewer)


def _is_moved(repeat: Repeat, earlier: Repeat) -> bool:
    """Whether most images of a repeat bear what those of an earlier one do, a few pixels away."""
    view = earlier.family.view
    one, other = (upright(found.window, view) for found in (repeat, earlier))
    apart = any(
        max(one[axis], other[axis]) - MOVED > min(one[axis] + one[axis + 2], other[axis] + other[axis + 2])
        for axis in (0, 1)
    )
    if apart:
        return False
    _, bears = best_fit(view, earlier.window, earlier.bearers, earlier.family.field, MOVED)
    return len(np.intersect1d(bears, repeat.bearers)) >= MOST_OF * len(repeat.bearers)


def best_fit(
    view: View, window: Window, bearers: np.ndarray, field: str, reach: int | None = None
) -> tuple[Template, np.ndarray]:
    """The template of the field that tells most images from their mirrored decoys; of `field` where several
    tell as many."""
    fields = (field, *(other for other in fields_of(view.images) if other != field))
    return max((fit(view, one, window, bearers, reach) for one in fields), key=lambda found: len(found[1]))


def upright(window: Window, view: View) -> Box:
    """Top, left, height and width of a window in images that aren't mirrored."""
    columns = view.images.shape[3]
    left = columns - window.left - window.width if window.mirrored else window.left
    return window.top, left, window.height, window.width
