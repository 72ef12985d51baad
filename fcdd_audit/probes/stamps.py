"""Stamps: artifacts with a place, such as a photographer's watermark."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fcdd_audit.errors import InputError
from fcdd_audit.probes.base import PROBES
from fcdd_audit.registry import suggest

CORNERS = ("upper-left", "upper-right", "lower-left", "lower-right")
RENDER_PX = 96  # glyphs are drawn large and reduced, so that they are smooth at every size
OUTLINE_PX = 8
MIN_HEIGHT = 5  # fewer rows hold no glyph


@lru_cache(maxsize=8)
def _glyphs(text: str) -> tuple[Image.Image, Image.Image]:
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
            f"watermark text {text!r} has characters that the font lacks: {''.join(missing)!r}; use others"
        )
    box = drawn[0].getbbox()
    return drawn[0].crop(box), drawn[1].crop(box)


@PROBES.register("watermark")
@dataclass(frozen=True)
class Watermark:
    """Semi-transparent white text with a black outline in a corner, such as a photographer's watermark.

    text: what is written, in one line.
    corner: upper-left, upper-right, lower-left or lower-right.
    size: width of the glyph box as a share of the image's width, in (0, 1]; its height follows from the text.
    opacity: 1 hides the pixels below the letters, towards 0 the stamp vanishes; in (0, 1].
    margin: distance of the box from the two edges as a share of the image's width, in [0, 0.5).
    jitter: largest random displacement, each direction, as a share of the image's width, in [0, 0.5);
        the box stays inside the image.

    The mask is the glyph box. Everything scales with the image; raises InputError on images too small.
    """

    text: str = "© PHOTO"
    corner: str = "lower-left"
    size: float = 0.7
    opacity: float = 0.8
    margin: float = 0.03
    jitter: float = 0.02

    def __post_init__(self) -> None:
        if self.corner not in CORNERS:
            raise InputError(
                f"unknown watermark corner '{self.corner}'{suggest(self.corner, list(CORNERS))} "
                f"(known: {', '.join(CORNERS)})"
            )
        if not self.text.strip() or "\n" in self.text:
            raise InputError("watermark text must be one line with at least one visible character")
        for name in ("size", "opacity"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise InputError(f"watermark {name} is {value}; it must be in (0, 1]")
        for name in ("margin", "jitter"):
            value = getattr(self, name)
            if not 0 <= value < 0.5:
                raise InputError(f"watermark {name} is {value}; it must be in [0, 0.5)")

    def _stamp(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Opacity and brightness of the stamp, each (h, w) in [0, 1], for images of this size."""
        outlined, text = _glyphs(self.text)
        w = round(self.size * width)
        h = round(outlined.height * w / outlined.width)
        edge = round(self.margin * width)
        if h < MIN_HEIGHT or w + edge > width or h + edge > height:
            raise InputError(
                f"the watermark {self.text!r} would be {w}x{h} px, {edge} px from the edge, which doesn't "
                f"fit on images of {width}x{height} px or is under {MIN_HEIGHT} px high; "
                "use larger images (--image-size), a shorter text or another size"
            )
        cover, white = (
            torch.from_numpy(np.asarray(glyphs.resize((w, h), Image.Resampling.BOX), np.float32) / 255)
            for glyphs in (outlined, text)
        )
        return cover * self.opacity, white / cover.clamp_min(1e-6)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        count, _, height, width = x.shape
        opacity, brightness = (part.to(x) for part in self._stamp(height, width))
        h, w = opacity.shape
        edge, reach = round(self.margin * width), round(self.jitter * width)
        vertical, horizontal = self.corner.split("-")
        top = edge if vertical == "upper" else height - h - edge
        left = edge if horizontal == "left" else width - w - edge
        moves = torch.randint(-reach, reach + 1, (count, 2), generator=generator)
        tops = (top + moves[:, 0]).clamp(0, height - h)
        lefts = (left + moves[:, 1]).clamp(0, width - w)

        image = torch.arange(count, device=x.device)[:, None, None]
        rows = (tops[:, None] + torch.arange(h)).to(x.device)[:, :, None]
        columns = (lefts[:, None] + torch.arange(w)).to(x.device)[:, None, :]
        alpha, paint = x.new_zeros(2, count, 1, height, width)
        alpha[image, 0, rows, columns] = opacity
        paint[image, 0, rows, columns] = brightness
        mask = torch.zeros(count, 1, height, width, dtype=torch.bool, device=x.device)
        mask[image, 0, rows, columns] = True
        return x * (1 - alpha) + paint * alpha, mask
