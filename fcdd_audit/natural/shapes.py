"""Boxes, polygons and run lengths on an image: from numbers to the pixels that they mark."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as run_lengths
from skimage.draw import polygon

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest

KINDS = "give a folder of mask images, a folder of Pascal VOC XML files, or a COCO JSON file"
MAX_PIXELS = 1 << 28  # of an annotated image; more is a slip, and would fill the memory
SLACK = 1.0  # px that a box may lie outside its image: tools round, and some count VOC's pixels from 0
ROUNDING = 1e-6  # px that a box's end may pass a pixel's edge by without covering it: 0.1 + 0.2 isn't 0.3
FLAT = 1e-9  # of the square of a polygon's extent: an area up to this is none, but for rounding

Part = Callable[[], Any]  # makes what selects the part's pixels in a bool (H, W) array
Size = tuple[int, int]  # height and width
Area = Callable[
    [Size | None], np.ndarray
]  # makes such an array; it gets the image's own size, if it is known


def painted(size: Size, parts: Sequence[Part], _: Size | None) -> np.ndarray:
    """The pixels that any of the parts marks, bool (H, W) of `size`."""
    canvas = np.zeros(size, bool)
    for part in parts:
        canvas[part()] = True
    return canvas


def number_of(value: Any, what: str) -> float:
    """A number from a file. InputError, which says of what, for anything else and what isn't finite."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{what} is {shortened(value)}; a number is needed")
    return number


def shortened(value: Any) -> str:
    """A value as messages show it."""
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 40 else f"{text[:40]}..."


def size_of(height: Any, width: Any, what: str) -> Size:
    """An annotated image's size in px. InputError for what no image has."""
    sides = [number_of(height, f"the height of {what}"), number_of(width, f"the width of {what}")]
    if not all(side >= 1 and side.is_integer() for side in sides) or sides[0] * sides[1] > MAX_PIXELS:
        raise InputError(
            f"the size of {what} is {sides[1]:g} x {sides[0]:g} px; write the image's true size there"
        )
    return int(sides[0]), int(sides[1])


def _check_inside(lows: Sequence[float], highs: Sequence[float], size: Size, what: str) -> None:
    """InputError unless what reaches from `lows` to `highs` (y, x) is inside the image, or almost."""
    for low, high, side in zip(lows, highs, size, strict=True):
        if low < -SLACK or high > side + SLACK or high <= 0 or low >= side:
            raise InputError(
                f"{what} lies outside its image: it reaches from x {lows[1]:g}, y {lows[0]:g} to "
                f"x {highs[1]:g}, y {highs[0]:g} px, and the image has {size[1]} x {size[0]} px; correct it, "
                "or the image's size"
            )


def box_part(left: float, top: float, right: float, bottom: float, size: Size, what: str) -> Part:
    """left to bottom: px from the image's upper left corner; the ends are where the box ends."""
    if not (right > left and bottom > top):
        raise InputError(f"{what} is {right - left:g} x {bottom - top:g} px; a box must have an area")
    _check_inside((top, left), (bottom, right), size, what)
    spans = tuple(
        slice(max(0, math.floor(low + ROUNDING)), min(side, math.ceil(high - ROUNDING)))
        for low, high, side in zip((top, left), (bottom, right), size, strict=True)
    )
    return lambda: spans


def encloses_nothing(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a polygon with these corners is a point, a line, or a path there and back.

    Its area is zero, and it is no figure of eight, whose halves cancel out though it encloses them.
    """
    starts = np.stack([x - x[0], y - y[0]], axis=1)
    ends = np.roll(starts, -1, axis=0)
    least = FLAT * float(np.ptp(starts, axis=0).max()) ** 2
    if abs(_cross(starts, ends).sum()) > least:
        return False

    def sides(points: np.ndarray) -> np.ndarray:
        """On which side of each edge each point is; 0: on its line."""
        found = _cross((ends - starts)[:, None], points[None] - starts[:, None])
        return np.where(np.abs(found) > least, np.sign(found), 0)

    apart = sides(starts) * sides(ends) < 0
    return not (apart & apart.T).any()


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])


def polygon_part(points: Any, size: Size, what: str) -> Part:
    """points: x and y in turn, in px from the image's upper left corner."""
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise InputError(
            f"{what} is {shortened(points)}; a list of x and y of at least three corners is needed"
        )
    values = np.array([number_of(value, f"a corner of {what}") for value in points])
    x, y = values[0::2], values[1::2]
    _check_inside((y.min(), x.min()), (y.max(), x.max()), size, what)
    if encloses_nothing(x, y):
        raise InputError(
            f"{what} has the polygon {shortened(points)}, which encloses nothing; correct or drop it"
        )

    def pixels() -> Any:
        rows, columns = polygon(y - 0.5, x - 0.5, shape=size)  # it has pixel centres at whole numbers
        if len(rows):
            return rows, columns
        return tuple(np.floor(v).clip(0, side - 1).astype(int) for v, side in zip((y, x), size, strict=True))

    return pixels


def runs_part(runs: Mapping[str, Any], size: Size, what: str) -> Part:
    """COCO's run lengths, as a list or compressed: of pixels outside and inside in turn, column by column."""
    refusal = InputError(
        f"{what} has run lengths that don't add up to its {size[1]} x {size[0]} px; export it again"
    )
    counts: Any = runs.get("counts")
    if runs.get("size") != list(size):
        raise refusal
    if isinstance(counts, list):
        if not all(type(count) is int and count >= 0 for count in counts) or sum(counts) != size[0] * size[1]:
            raise refusal
        packed = run_lengths.frPyObjects({"size": list(size), "counts": counts}, *size)
    elif isinstance(counts, str) and counts.isascii() and _adds_up(counts.encode(), size):
        packed = {"size": list(size), "counts": counts.encode()}
    else:
        raise refusal
    return lambda: run_lengths.decode(packed).astype(bool)


def _adds_up(counts: bytes, size: Size) -> bool:
    """Whether compressed run lengths make exactly that many pixels: as few as fit, and too many for one less.

    pycocotools refuses what is too long, but leaves what is too short with memory that nobody wrote to.
    """
    pixels = size[0] * size[1]
    try:
        run_lengths.decode({"size": [1, pixels], "counts": counts})
    except ValueError:
        return False
    try:
        run_lengths.decode({"size": [1, pixels - 1], "counts": counts})
    except ValueError:
        return True
    return False


def check_known(only: Collection[str], known: Collection[str], path: Path) -> None:
    """InputError for a wanted category that `path` doesn't have."""
    for name in sorted(only):
        if name not in known:
            raise InputError(
                f"'{path}' has no category '{name}'{suggest(name, list(known))} "
                f"(known: {', '.join(sorted(known)) or 'none'})"
            )
