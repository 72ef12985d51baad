"""Overlays: structures across the whole image, such as a frame, a fence or a ruler.

All but `line` are opaque, with hard edges: their mask is exactly the pixels that can change. Everything is
drawn in two tones, colour and shade, so that it is seen on any image; with the same tone twice it is plain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes.base import PROBES
from fcdd_audit.probes.checks import check_choice, check_interval
from fcdd_audit.probes.colours import colour_for, parse_colour

ORIENTATIONS = ("horizontal", "vertical")
SIDES = ("upper", "lower", "left", "right")
THINNEST = 2  # pixels: one for each tone
LONG = 5  # of a ruler's ticks, each such is twice as long


def _pixels(share: float, x: Tensor, least: int) -> int:
    """A length given as a share of the images' shorter side, in pixels."""
    return max(least, round(share * min(x.shape[2:])))


def _moves(shape: tuple[int, ...], jitter: float, x: Tensor, generator: torch.Generator) -> Tensor:
    """Random whole displacements of up to `jitter` in each direction."""
    reach = _pixels(jitter, x, 0)
    return torch.randint(-reach, reach + 1, shape, generator=generator)


def _tones(offset: Tensor, thickness: int) -> Tensor:
    """Across a strip, by the distance from its one side: 1 where the colour goes, 2 the shade, 0 outside."""
    shaded = offset >= thickness - (thickness + 1) // 3
    inside = (offset >= 0) & (offset < thickness)
    return torch.where(inside, 1 + shaded.long(), 0)


def _check_tones(probe: str, colour: str, shade: str) -> None:
    parse_colour(probe, "colour", colour)
    parse_colour(probe, "shade", shade)


def _paint(x: Tensor, tones: Tensor, probe: str, colour: str, shade: str) -> tuple[Tensor, Tensor]:
    """Images with both tones laid where `tones`, which broadcasts to (N, 1, H, W), says; and the masks."""
    tones = tones.to(x.device).expand(len(x), 1, *x.shape[2:])
    first, second = (
        colour_for(x, parse_colour(probe, option, text))
        for option, text in (("colour", colour), ("shade", shade))
    )
    return torch.where(tones == 1, first, torch.where(tones == 2, second, x)), tones > 0


@PROBES.register("frame")
@dataclass(frozen=True)
class Frame:
    """Draws a frame along the image's border, white outside and black inside.

    width: of the frame as a share of the image's shorter side, in (0, 0.4], at least 2 px.
    colour: of the outer two thirds, a name or #rrggbb; grey images get its luminance.
    shade: of the inner third.
    jitter: largest random distance from the image's border, as a share of the shorter side, in [0, 0.5); at
        least 1 px stays free inside the frame. 0: on the border.

    The mask is the frame, pixel by pixel.
    """

    placed: ClassVar[bool] = True

    width: float = 0.08
    colour: str = "white"
    shade: str = "black"
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_interval("frame", "(0, 0.4]", width=self.width)
        check_interval("frame", "[0, 0.5)", jitter=self.jitter)
        _check_tones("frame", self.colour, self.shade)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows, columns = (torch.arange(side) for side in x.shape[2:])
        rows, columns = (torch.minimum(place, place.flip(0)) for place in (rows, columns))
        from_border = torch.minimum(rows[:, None], columns)
        thickness = _pixels(self.width, x, THINNEST)
        free = max(0, (min(x.shape[2:]) - 1) // 2 - thickness)
        insets = _moves((len(x), 1, 1, 1), self.jitter, x, generator).abs().clamp_max(free)
        return _paint(x, _tones(from_border - insets, thickness), "frame", self.colour, self.shade)


@PROBES.register("bars")
@dataclass(frozen=True)
class Bars:
    """Lays bars across the image: letterbox bars above and below, or upright ones as of a cage.

    orientation: horizontal or vertical.
    count: how many, at least 1; spread evenly from edge to edge, a single one lies in the middle.
    width: thickness of a bar as a share of the image's shorter side, in (0, 0.5], at least 2 px.
    colour: of each bar's outer two thirds, a name or #rrggbb; grey images get its luminance.
    shade: of the third on the side of the image's middle.
    jitter: largest random displacement of each bar, across it, both ways, as a share of the shorter side, in
        [0, 0.5); bars stay inside the image and may overlap.

    The mask is the bars, pixel by pixel. Raises InputError where they would leave nothing of an image.
    """

    placed: ClassVar[bool] = True

    orientation: str = "horizontal"
    count: int = 2
    width: float = 0.1
    colour: str = "black"
    shade: str = "white"
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_choice("bars", "orientation", self.orientation, ORIENTATIONS)
        check_interval("bars", "[1, inf)", count=self.count)
        check_interval("bars", "(0, 0.5]", width=self.width)
        check_interval("bars", "[0, 0.5)", jitter=self.jitter)
        _check_tones("bars", self.colour, self.shade)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        upright = self.orientation == "vertical"
        side = x.shape[3 if upright else 2]
        thickness = _pixels(self.width, x, THINNEST)
        room = side - thickness
        if self.count * thickness >= side:
            raise InputError(
                f"{self.count} bars of {thickness} px leave nothing of images of {x.shape[3]}x{x.shape[2]} "
                "px; use fewer or thinner ones"
            )
        spread = torch.linspace(0, room, self.count) if self.count > 1 else torch.tensor([room / 2])
        starts = spread.round().long()
        moved = (starts + _moves((len(x), self.count), self.jitter, x, generator)).clamp(0, room)
        offset = torch.arange(side) - moved[..., None]
        beyond_middle = (2 * starts > room)[:, None]
        tones = _tones(torch.where(beyond_middle, thickness - 1 - offset, offset), thickness).amax(dim=1)
        tones = tones[:, None, None, :] if upright else tones[:, None, :, None]
        return _paint(x, tones, "bars", self.colour, self.shade)


@PROBES.register("grid")
@dataclass(frozen=True)
class Grid:
    """Puts a wire fence before the image: crossing lines at even distances.

    period: distance between lines as a share of the image's shorter side, in (0, 0.5].
    width: thickness of a line as a share of the shorter side, in (0, 0.5), at least 2 px.
    colour: of each line's upper or left two thirds, a name or #rrggbb; grey images get its luminance.
    shade: of the rest.
    jitter: largest random displacement of the fence, each direction, as a share of the shorter side, in
        [0, 0.5). 0: the first lines lie on the upper and the left edge.

    The mask is the lines, pixel by pixel. Raises InputError where no hole would be left between them.
    """

    placed: ClassVar[bool] = True

    period: float = 0.25
    width: float = 0.03
    colour: str = "silver"
    shade: str = "black"
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_interval("grid", "(0, 0.5]", period=self.period)
        check_interval("grid", "(0, 0.5)", width=self.width)
        check_interval("grid", "[0, 0.5)", jitter=self.jitter)
        _check_tones("grid", self.colour, self.shade)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        period, thickness = _period_of("grid", self.period, self.width, x)
        moves = _moves((2, len(x), 1), self.jitter, x, generator)
        rows, columns = (
            _tones((torch.arange(side) - move) % period, thickness)
            for side, move in zip(x.shape[2:], moves, strict=True)
        )
        rows, columns = rows[:, None, :, None], columns[:, None, None, :]
        # Where lines cross, the colour of one goes over the shade of the other, as of wires in one plane.
        tones = torch.where((rows == 1) | (columns == 1), 1, torch.maximum(rows, columns))
        return _paint(x, tones, "grid", self.colour, self.shade)


def _period_of(probe: str, period: float, width: float, x: Tensor) -> tuple[int, int]:
    """Period and thickness of lines in pixels; InputError if there is nothing between them."""
    distance, thickness = _pixels(period, x, 1), _pixels(width, x, THINNEST)
    if distance <= thickness:
        raise InputError(
            f"{probe} lines of {thickness} px, one every {distance} px, leave nothing between them on images "
            f"of {x.shape[3]}x{x.shape[2]} px; use a longer period, thinner lines or larger images "
            "(--image-size)"
        )
    return distance, thickness


@PROBES.register("ruler")
@dataclass(frozen=True)
class Ruler:
    """Draws the ticks of a ruler along one edge, as on pictures of dermatoscopes.

    side: upper, lower, left or right.
    period: distance between ticks as a share of the image's shorter side, in (0, 0.5].
    length: of a tick as a share of the shorter side, in (0, 0.25], at least 1 px; every fifth is twice as
        long.
    width: thickness of a tick as a share of the shorter side, in (0, 0.5), at least 2 px.
    colour: of each tick's upper or left two thirds, a name or #rrggbb; grey images get its luminance.
    shade: of the rest.
    jitter: largest random displacement along the edge, both ways, as a share of the shorter side, in
        [0, 0.5). 0: a long tick begins at the edge's upper or left end.

    The mask is the ticks, pixel by pixel. Raises InputError where nothing would be left between them.
    """

    placed: ClassVar[bool] = True

    side: str = "lower"
    period: float = 0.1
    length: float = 0.08
    width: float = 0.02
    colour: str = "black"
    shade: str = "white"
    jitter: float = 0.02

    def __post_init__(self) -> None:
        check_choice("ruler", "side", self.side, SIDES)
        check_interval("ruler", "(0, 0.5]", period=self.period)
        check_interval("ruler", "(0, 0.25]", length=self.length)
        check_interval("ruler", "(0, 0.5)", width=self.width)
        check_interval("ruler", "[0, 0.5)", jitter=self.jitter)
        _check_tones("ruler", self.colour, self.shade)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        period, thickness = _period_of("ruler", self.period, self.width, x)
        level = self.side in ("upper", "lower")
        deep, long = x.shape[2:] if level else (x.shape[3], x.shape[2])
        along = torch.arange(long) - _moves((len(x), 1), self.jitter, x, generator)
        length = _pixels(self.length, x, 1) * torch.where(along // period % LONG == 0, 2, 1)
        depth = torch.arange(deep)
        if self.side in ("lower", "right"):
            depth = depth.flip(0)
        reached = depth[:, None] < length[:, None, :]
        tones = torch.where(reached, _tones(along % period, thickness)[:, None, :], 0)[:, None]
        return _paint(x, tones if level else tones.mT, "ruler", self.colour, self.shade)


@PROBES.register("line")
@dataclass(frozen=True)
class Line:
    """Draws a straight line, such as a scratch or a wire, across the whole image.

    angle: in degrees, in [-90, 90]; 0 is level, positive angles rise to the right.
    width: thickness as a share of the image's shorter side, in (0, 0.5), at least 2 px.
    colour: of the inner half, a name or #rrggbb; grey images get its luminance.
    shade: of the two rims, a quarter each.
    jitter: largest random displacement across the line, both ways, as a share of the shorter side, in
        [0, 0.5). 0: the line goes through the middle.

    The line is anti-aliased: its mask is the pixels that it covers at least in part, less than 1 px more on
    each side than its thickness.
    """

    placed: ClassVar[bool] = True

    angle: float = 30.0
    width: float = 0.04
    colour: str = "white"
    shade: str = "black"
    jitter: float = 0.1

    def __post_init__(self) -> None:
        check_interval("line", "[-90, 90]", angle=self.angle)
        check_interval("line", "(0, 0.5)", width=self.width)
        check_interval("line", "[0, 0.5)", jitter=self.jitter)
        _check_tones("line", self.colour, self.shade)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        height, width = x.shape[2:]
        side = min(height, width)
        half = max(THINNEST, self.width * side) / 2
        moves = (2 * torch.rand(len(x), 1, 1, 1, generator=generator) - 1) * self.jitter * side
        down, right = torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2
        angle = math.radians(self.angle)
        # From each pixel's middle to the line, at a right angle.
        away = (down[:, None] * math.cos(angle) + right * math.sin(angle) - moves).abs()
        cover, core = ((reach + 0.5 - away).clamp(0, 1) for reach in (half, half / 2))
        mask = (cover > 0).to(x.device)
        cover, core = cover.to(x), core.to(x)
        colour = colour_for(x, parse_colour("line", "colour", self.colour))
        shade = colour_for(x, parse_colour("line", "shade", self.shade))
        return (x * (1 - cover) + colour * core + shade * (cover - core)).clamp(0, 1), mask
