"""What was found, as a candidate: who bears it on either side, and the mark that they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.discovery.boxes import Box
from fcdd_audit.discovery.candidates import MIRRORED, SURE, Candidate, Found, Frame, Share
from fcdd_audit.discovery.extraction import Extracted, extract
from fcdd_audit.discovery.matching import Template, bearing
from fcdd_audit.discovery.repeated import MOVED, Joined, Searched, best_fit, upright
from fcdd_audit.discovery.repeats import Window

SHIFT = 2  # px by which a mark may be moved from where it was found, where it was found at one place
GROWTHS = 4  # of the region that a mark is extracted from
EDGE = 3  # px of the region's border where a support makes it grow
FEWEST_BEARERS, FEWEST_OTHERS = 5, 20  # for an extraction
POOL = 384  # images that don't bear it, for an extraction


@dataclass(frozen=True)
class Borne:
    """Who bears it: their names, how many of each side, and images of them and of others, as in `Found`."""

    names: tuple[str, ...]
    share: Mapping[str, Share]
    bearing: Tensor
    others: Tensor
    frames: tuple[Frame, ...]


def candidate_of(one: Joined, others: Sequence[Searched], generator: torch.Generator) -> Candidate:
    """What was found as a candidate: who bears it, on either side, and the mark. others: the same view of the
    other side, or none. Of a view that is cut from files all are matched only if the candidate is sure."""
    repeat, own = one.first, one.own
    if repeat.p <= SURE:
        own, *others = (other.widened() if other.widened is not None else other for other in (own, *others))
    family, window = repeat.family, repeat.window
    template, bears = best_fit(family.view, window, repeat.bearers, family.field, one.reach)
    borne = (
        borne_by(own, others, window, template, bears)
        if len(bears)  # else nothing tells them from decoys: only what the search saw
        else borne_by(own, (), window, None, repeat.bearers)
    )
    found = described(
        borne,
        own,
        window,
        upright(window, family.view),
        template if len(bears) else None,
        generator,
        one.reach,
    )
    evidence = {"field": template.field, "strength": repeat.strength, **found.evidence}
    return replace(found, p=repeat.p, null=MIRRORED, evidence=evidence)


def borne_by(
    own: Searched, others: Sequence[Searched], window: Window, template: Template | None, bears: np.ndarray
) -> Borne:
    """Who bears what was found at a window, on its own side and on others.

    bears: places of bearers among the searched images. template: tells the bearers of the others; None:
    they are all that is known.
    """
    names: list[str] = []
    share: dict[str, Share] = {}
    bearing_images, other_images, frames = [], [], []
    for side in (own, *others):
        has = (
            np.zeros(len(side.every), bool)
            if template is None
            else bearing(side.every, template, side.every_mirrored)
        )
        if side is own:
            has[own.sampled] = False  # each by the template of the others
            has[own.sampled[bears]] = True
        share[side.side] = Share(int(has.sum()), len(has))
        names += [name for name, bearer in zip(side.names, has.tolist(), strict=True) if bearer]
        shown = _shown(side, window)
        if side.cut is not None:
            frames += side.cut.frames(np.flatnonzero(has), window.mirrored)
        bearing_images.append(shown[torch.from_numpy(has)])
        other_images.append(shown[torch.from_numpy(np.flatnonzero(~has)[:POOL])])
    # Images of the same side first: the others' may differ in more than the mark.
    others_first = [images for images in other_images if len(images)]
    return Borne(
        tuple(names),
        {side: share[side] for side in sorted(share, reverse=True)},
        torch.cat(bearing_images),
        torch.cat(others_first or other_images)[:POOL],
        tuple(frames),
    )


def described(
    borne: Borne,
    own: Searched,
    window: Window,
    box: Box,
    template: Template | None,
    generator: torch.Generator,
    reach: int | None = None,
) -> Candidate:
    """Its bearers, place and mark; neither p nor null. box: top, left, height and width in px, where no mark
    can be extracted."""
    mark = _extracted(borne, box, generator, reach)
    top, left, height, width = box if mark is None else tight(mark)
    rows, columns = borne.bearing.shape[2:]
    anchor = "" if own.cut is None else own.cut.anchor.name
    return Candidate(
        "",
        "repeated",
        borne.names,
        borne.share,
        own.view.name if own.cut is None else own.cut.called(window.mirrored),
        (left / columns, top / rows, width / columns, height / rows),
        None,
        "",
        {"side": own.side, "varies": None if mark is None else mark.varies},
        Found(
            borne.bearing,
            borne.others,
            mark,
            None if template is None else replace(template, anchor=anchor),
            borne.frames,
        ),
    )


def _shown(side: Searched, window: Window) -> Tensor:
    """The images as people see them: of a window in the opposite corner that corner, upright."""
    return side.every_mirrored.flip(-1) if window.mirrored and side.every_mirrored is not None else side.every


def _extracted(borne: Borne, box: Box, generator: torch.Generator, reach: int | None) -> Extracted | None:
    """The mark of the bearers: the clearest, where it may be moved by a little or, up to `reach`, by more.

    Without a reach more is tried only where there is a mark: wider moves make stronger marks of nothing.
    """
    marks = [_grown(borne, box, generator, reach or SHIFT)]
    if reach is None and marks[0] is not None:
        marks.append(_grown(borne, box, generator, MOVED))
    return max((mark for mark in marks if mark is not None), key=lambda mark: mark.surplus, default=None)


def _grown(borne: Borne, box: Box, generator: torch.Generator, shift: int) -> Extracted | None:
    """What is extracted from a box that grows where the mark reaches its border; shift: how far a bearer's
    may lie off it, in px."""
    if len(borne.bearing) < FEWEST_BEARERS or len(borne.others) < FEWEST_OTHERS:
        return None
    mark = None
    for _ in range(GROWTHS):
        larger = extract(borne.bearing, borne.others, box, shift=shift, generator=generator)
        if larger is None:
            break
        mark = larger
        wider = _touched(mark, (borne.bearing.shape[2], borne.bearing.shape[3]))
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
