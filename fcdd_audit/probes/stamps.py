"""Stamps: small things in a corner, such as a photographer's watermark."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes.base import PROBES
from fcdd_audit.probes.checks import check_choice, check_interval
from fcdd_audit.probes.colours import colour_for, in_channels, parse_colour
from fcdd_audit.probes.placing import Drawing, check_corner, check_fit, paste

RENDER_PX = 96  # glyphs are drawn large and reduced, so that they are smooth at every size
OUTLINE_PX = 8
MIN_HEIGHT = 4  # fewer rows hold no glyph
LOGO_PX = 256  # side at which the built-in mark is drawn
SQUARES = 4  # of a checkered patch, along each side
PATTERNS = ("checker", "noise", "plain")


@lru_cache(maxsize=8)
def glyphs(text: str) -> tuple[Image.Image, Image.Image]:
    """Coverage of the outlined text, and of the text alone within it, both cut to the glyphs' box."""
    font = ImageFont.load_default(RENDER_PX)
    left, top, right, bottom = font.getbbox(text, stroke_width=OUTLINE_PX)
    size = int(right - left) + 2, int(bottom - top) + 2
    drawn = []
    for stroke in (OUTLINE_PX, 0):
        canvas = Image.new("L", size)
        ImageDraw.Draw(canvas).text((-left, -top), text, font=font, fill=255, stroke_width=stroke)
        drawn.append(canvas)
    unknown = font.getmask("\U0010ffff")
    missing = [
        letter
        for letter in text
        if letter != " "
        and (font.getmask(letter).getbbox() is None or bytes(font.getmask(letter)) == bytes(unknown))
    ]
    if missing:
        raise InputError(
            f"text {text!r} has characters that the font lacks: {''.join(missing)!r}; use others"
        )
    box = drawn[0].getbbox()
    return drawn[0].crop(box), drawn[1].crop(box)


def _check_text(probe: str, text: str) -> None:
    if not text.strip() or "\n" in text:
        raise InputError(f"{probe} text must be one line with at least one visible character")


def _writing(x: Tensor, probe: str, text: str, size: float, margin: float) -> tuple[Tensor, Tensor]:
    """Coverage of the outlined text and brightness of the letters in it, each (h, w) in [0, 1].

    InputError where the text doesn't fit on the images.
    """
    outlined, letters = glyphs(text)
    w = round(size * x.shape[3])
    h = round(outlined.height * w / outlined.width)
    check_fit(x, f"{probe} {text!r}", (h, w), margin, MIN_HEIGHT, "a shorter text or another size")
    cover, bright = (
        torch.from_numpy(np.asarray(glyphs.resize((w, h), Image.Resampling.BOX), np.float32) / 255)
        for glyphs in (outlined, letters)
    )
    return cover, bright / cover.clamp_min(1e-6)


@PROBES.register("watermark")
@dataclass(frozen=True)
class Watermark:
    """Writes semi-transparent white letters with a black outline in a corner, as photographers do.

    text: what is written, in one line.
    corner: upper-left, upper-right, lower-left or lower-right.
    size: width of the glyph box as a share of the image's width, in (0, 1]; its height follows from the text.
    opacity: 1 hides the pixels below the letters, towards 0 the stamp vanishes; in (0, 1].
    margin: distance of the box from the two edges as a share of the image's width, in [0, 0.5).
    jitter: largest random displacement, each direction, as a share of the image's width, in [0, 0.5);
        the box stays inside the image.

    The mask is the glyph box. Everything scales with the image; raises InputError on images too small.
    """

    placed: ClassVar[bool] = True

    text: str = "© PHOTO"
    corner: str = "lower-left"
    size: float = 0.7
    opacity: float = 0.8
    margin: float = 0.03
    jitter: float = 0.02

    def __post_init__(self) -> None:
        _check_text("watermark", self.text)
        check_interval("watermark", "(0, 1]", size=self.size, opacity=self.opacity)
        check_corner("watermark", self.corner, self.margin, self.jitter)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        cover, white = _writing(x, "watermark", self.text, self.size, self.margin)
        drawing = Drawing(white[None, None], cover * self.opacity, torch.ones_like(cover, dtype=torch.bool))
        return paste(x, drawing, self.corner, self.margin, self.jitter, generator)


@PROBES.register("date")
@dataclass(frozen=True)
class Date:
    """Prints a date in orange digits with a black outline in a corner, as cameras do.

    text: what is printed, in one line; digits are text too.
    colour: of the digits, a name or #rrggbb; grey images get its luminance.
    corner: upper-left, upper-right, lower-left or lower-right.
    size: width of the glyph box as a share of the image's width, in (0, 1]; its height follows from the text.
    margin: distance of the box from the two edges as a share of the image's width, in [0, 0.5).
    jitter: largest random displacement, each direction, as a share of the image's width, in [0, 0.5);
        the box stays inside the image.

    The mask is the glyph box. Everything scales with the image; raises InputError on images too small.
    """

    placed: ClassVar[bool] = True

    text: str = "26 11 25"
    colour: str = "#ffa83c"
    corner: str = "lower-right"
    size: float = 0.6
    margin: float = 0.05
    jitter: float = 0.0

    def __post_init__(self) -> None:
        _check_text("date", self.text)
        parse_colour("date", "colour", self.colour)
        check_interval("date", "(0, 1]", size=self.size)
        check_corner("date", self.corner, self.margin, self.jitter)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        cover, bright = _writing(x, "date", self.text, self.size, self.margin)
        colour = bright.to(x) * colour_for(x, parse_colour("date", "colour", self.colour))
        drawing = Drawing(colour, cover, torch.ones_like(cover, dtype=torch.bool))
        return paste(x, drawing, self.corner, self.margin, self.jitter, generator)


@cache
def _built_in_logo() -> Image.Image:
    """A red disc with a white ring and triangle in a black rim: seen on any image."""
    picture = Image.new("RGBA", (LOGO_PX, LOGO_PX))
    pen = ImageDraw.Draw(picture)
    for inset, colour in ((0, "black"), (16, "white"), (40, "crimson")):
        pen.ellipse((inset, inset, LOGO_PX - 1 - inset, LOGO_PX - 1 - inset), fill=colour)
    pen.polygon([(100, 72), (100, 184), (196, 128)], fill="white")
    return picture


def _read_logo(file: str) -> Image.Image:
    """The visible part of a picture file in mode RGBA, or the built-in mark for an empty name."""
    if not file:
        return _built_in_logo()
    try:
        with Image.open(Path(file).expanduser()) as picture:
            logo = picture.convert("RGBA")
    except Exception as error:  # whatever a decoder raises on a damaged file
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(
            f"can't read logo file '{file}' ({reason}); give a picture, best a PNG with transparency"
        ) from None
    box = logo.getchannel("A").getbbox()
    if box is None:
        raise InputError(f"logo file '{file}' is fully transparent, so that nothing would show; give another")
    return logo.crop(box)


@PROBES.register("logo")
@dataclass(frozen=True)
class Logo:
    """Lays a picture with transparency, such as a company's logo, in a corner.

    file: a picture that Pillow reads, cut to what isn't transparent; empty: a built-in mark.
    corner: upper-left, upper-right, lower-left or lower-right.
    size: width as a share of the image's width, in (0, 1]; the height follows from the picture.
    opacity: multiplies the picture's own; in (0, 1].
    margin: distance of the picture from the two edges as a share of the image's width, in [0, 0.5).
    jitter: largest random displacement, each direction, as a share of the image's width, in [0, 0.5);
        the picture stays inside the image.

    The mask is where the reduced picture isn't fully transparent: exactly the pixels that can change. Raises
    InputError for a file that can't be read or shows nothing, and on images too small.
    """

    placed: ClassVar[bool] = True

    file: str = ""
    corner: str = "upper-right"
    size: float = 0.25
    opacity: float = 1.0
    margin: float = 0.03
    jitter: float = 0.02

    def __post_init__(self) -> None:
        check_interval("logo", "(0, 1]", size=self.size, opacity=self.opacity)
        check_corner("logo", self.corner, self.margin, self.jitter)
        _read_logo(self.file)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        picture = _read_logo(self.file)
        w = round(self.size * x.shape[3])
        h = round(picture.height * w / picture.width)
        check_fit(x, "logo", (h, w), self.margin, 1, "another picture or another size")
        reduced = picture.resize((w, h), Image.Resampling.BILINEAR)
        *rgb, alpha = torch.from_numpy(np.array(reduced, np.float32) / 255).movedim(2, 0)
        if not alpha.any():
            raise InputError(f"the logo shows nothing at {w}x{h} px; use another picture or a larger size")
        colour = in_channels(torch.stack(rgb)[None], x.shape[1])
        drawing = Drawing(colour, alpha * self.opacity, alpha > 0)
        return paste(x, drawing, self.corner, self.margin, self.jitter, generator)


@PROBES.register("patch")
@dataclass(frozen=True)
class Patch:
    """Covers a rectangle in a corner: a checkerboard, fresh noise or one colour.

    pattern: checker, 4 x 4 black and white squares; noise, grey values drawn anew for every pixel of every
        image; or plain.
    colour: of a plain patch, a name or #rrggbb; grey images get its luminance. Not seen on its like.
    size: width as a share of the image's width, in (0, 1], at least 1 px.
    aspect: height as a multiple of the width, in (0, 10], at least 1 px.
    corner: upper-left, upper-right, lower-left or lower-right.
    margin: distance from the two edges as a share of the image's width, in [0, 0.5).
    jitter: largest random displacement, each direction, as a share of the image's width, in [0, 0.5);
        the patch stays inside the image.

    The mask is the rectangle. Raises InputError where it doesn't fit on the images.
    """

    placed: ClassVar[bool] = True

    pattern: str = "checker"
    colour: str = "white"
    size: float = 0.2
    aspect: float = 1.0
    corner: str = "upper-left"
    margin: float = 0.05
    jitter: float = 0.02

    def __post_init__(self) -> None:
        check_choice("patch", "pattern", self.pattern, PATTERNS)
        parse_colour("patch", "colour", self.colour)
        check_interval("patch", "(0, 1]", size=self.size)
        check_interval("patch", "(0, 10]", aspect=self.aspect)
        check_corner("patch", self.corner, self.margin, self.jitter)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        w = max(1, round(self.size * x.shape[3]))
        h = max(1, round(self.aspect * w))
        check_fit(x, "patch", (h, w), self.margin, 1, "another size or aspect")
        if self.pattern == "noise":
            colour = torch.rand(len(x), 1, h, w, generator=generator)
        elif self.pattern == "checker":
            rows, columns = (torch.arange(side) * SQUARES // side for side in (h, w))
            colour = ((rows[:, None] + columns) % 2).float()[None, None]
        else:
            colour = colour_for(x, parse_colour("patch", "colour", self.colour))
        drawing = Drawing(colour, torch.ones(h, w), torch.ones(h, w, dtype=torch.bool))
        return paste(x, drawing, self.corner, self.margin, self.jitter, generator)
