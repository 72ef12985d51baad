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
from fcdd_audit.discovery.candidates import MIRRORED, SURE, Candidate, Found, Share
from fcdd_audit.discovery.extraction import Extracted, extract
from fcdd_audit.discovery.familywise import Repeat, coins, strongest
from fcdd_audit.discovery.matching import Template, bearing, fit
from fcdd_audit.discovery.repeats import Family, Shape, View, Window, compare, fields_of
from fcdd_audit.discovery.views import Cut

MOVED = 4  # px by which a mark may be moved from where it was found first
SHIFT = 2  # the same for what was found at one place
MOST_OF = 0.5  # of a repeat's images, by which it is another moved, or seen in another view
FEWEST_COMMON = 3
LISTED = 3  # candidates that are listed however unsure they are
MOST = 10  # candidates, at most
GROWTHS = 4  # of the region that a mark is extracted from
EDGE = 3  # px of the region's border where a support makes it grow
FEWEST_BEARERS, FEWEST_OTHERS = 5, 20  # for an extraction
POOL = 384  # images that don't bear it, for an extraction


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


def candidate_of(one: Joined, others: Sequence[Searched], generator: torch.Generator) -> Candidate:
    """What was found as a candidate: who bears it, on either side, and the mark. others: the same view of the
    other side, or none. Of a view that is cut from files all are matched only if the candidate is sure."""
    repeat, own = one.first, one.own
    if repeat.p <= SURE:
        own, *others = (other.widened() if other.widened is not None else other for other in (own, *others))
    family, window = repeat.family, repeat.window
    template, bears = best_fit(family.view, window, repeat.bearers, family.field, one.reach)
    names: list[str] = []
    share: dict[str, Share] = {}
    bearing_images, other_images, frames = [], [], []
    for side in (own, *others):
        if len(bears):
            has = bearing(side.every, template, side.every_mirrored)
            if side is own:
                has[own.sampled] = False  # each by the template of the others
                has[own.sampled[bears]] = True
        elif side is own:  # nothing tells them from decoys: only what the search saw
            has = np.zeros(len(side.every), bool)
            has[own.sampled[repeat.bearers]] = True
        else:
            continue
        share[side.side] = Share(int(has.sum()), len(has))
        names += [name for name, bearer in zip(side.names, has.tolist(), strict=True) if bearer]
        shown = _shown(side, window)
        if side.cut is not None:
            frames += side.cut.frames(np.flatnonzero(has), window.mirrored)
        bearing_images.append(shown[torch.from_numpy(has)])
        other_images.append(shown[torch.from_numpy(np.flatnonzero(~has)[:POOL])])
    box = upright(window, family.view)
    # Images of the same side first: the others' may differ in more than the mark.
    others_first = [images for images in other_images if len(images)]
    together = Found(torch.cat(bearing_images), torch.cat(others_first or other_images)[:POOL])
    mark = _extracted(together, box, generator, one.reach)
    if mark is not None:
        box = tight(mark)
    name = family.view.name if own.cut is None else own.cut.called(window.mirrored)
    rows, columns = family.view.images.shape[2:]
    top, left, height, width = box
    return Candidate(
        "",
        "repeated",
        tuple(names),
        {side: share[side] for side in sorted(share, reverse=True)},
        name,
        (left / columns, top / rows, width / columns, height / rows),
        repeat.p,
        MIRRORED,
        {
            "field": template.field,
            "strength": repeat.strength,
            "side": own.side,
            "varies": None if mark is None else mark.varies,
        },
        Found(
            together.bearing,
            together.others,
            mark,
            replace(template, anchor="" if own.cut is None else own.cut.anchor.name) if len(bears) else None,
            tuple(frames),
        ),
    )


def _shown(side: Searched, window: Window) -> Tensor:
    """The images as people see them: of a window in the opposite corner that corner, upright."""
    return side.every_mirrored.flip(-1) if window.mirrored and side.every_mirrored is not None else side.every


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


def _extracted(found: Found, box: Box, generator: torch.Generator, reach: int | None) -> Extracted | None:
    """The mark of the bearers: the clearest, where it may be moved by a little or, up to `reach`, by more.

    Without a reach more is tried only where there is a mark: wider moves make stronger marks of nothing.
    """
    marks = [_grown(found, box, generator, reach or SHIFT)]
    if reach is None and marks[0] is not None:
        marks.append(_grown(found, box, generator, MOVED))
    return max((mark for mark in marks if mark is not None), key=lambda mark: mark.surplus, default=None)


def _grown(found: Found, box: Box, generator: torch.Generator, shift: int) -> Extracted | None:
    """What is extracted from a box that grows where the mark reaches its border; shift: how far a bearer's
    may lie off it, in px."""
    if len(found.bearing) < FEWEST_BEARERS or len(found.others) < FEWEST_OTHERS:
        return None
    mark = None
    for _ in range(GROWTHS):
        larger = extract(found.bearing, found.others, box, shift=shift, generator=generator)
        if larger is None:
            break
        mark = larger
        wider = _touched(mark, (found.bearing.shape[2], found.bearing.shape[3]))
        if wider is None:
            break
        box = wider
    return mark


def tight(mark: Extracted) -> Box:
    """Top, left, height and width of a mark's support, in pixels of the view."""
    rows, columns = (mark.support.any(axis).nonzero()[:, 0] for axis in (1, 0))
    top, left = mark.box[0] + int(rows[0]), mark.box[1] + int(columns[0])
    return top, left, int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def _touched(mark: Extracted, frame: tuple[int, int]) -> Box | None:
    """The box, grown where the support reaches its border inside the images; None where it does nowhere."""
    top, left, height, width = mark.box
    bottom, right = top + height, left + width
    more = max(4, min(height, width) // 2)
    grown_top = max(0, top - more) if mark.support[:EDGE].any() else top
    grown_left = max(0, left - more) if mark.support[:, :EDGE].any() else left
    grown_bottom = min(frame[0], bottom + more) if mark.support[-EDGE:].any() else bottom
    grown_right = min(frame[1], right + more) if mark.support[:, -EDGE:].any() else right
    grown = (grown_top, grown_left, grown_bottom - grown_top, grown_right - grown_left)
    return None if grown == mark.box else grown
