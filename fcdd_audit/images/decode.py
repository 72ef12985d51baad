"""From image files to upright 8-bit pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from fcdd_audit.images.depth import Depth
from fcdd_audit.images.opening import open_image, reason_against, turned

Fit = Literal["squash", "centre"]  # what makes a picture square: all of it is squeezed, or its centre cut out

GREY_MODES = ("1", "L", "LA", "La")
OWN_DEPTH = Depth()  # of a file that belongs to no data set
# The luminance table that the IJG's encoder, and with it most others, scales by quality (ITU-T T.81, K.1).
# fmt: off
LUMINANCE = np.array([
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
])
# fmt: on
QUALITIES = np.arange(1, 101)
_SCALES = np.where(QUALITIES < 50, 5000 // QUALITIES, 200 - 2 * QUALITIES)
_TABLES = ((_SCALES[:, None] * LUMINANCE + 50) // 100).clip(1, 255)


@dataclass(frozen=True)
class Origin:
    """How the file of a picture was made.

    format, mode: as Pillow calls them (JPEG; L, RGB, P, CMYK, I;16). width, height: in px, of the whole
    upright picture. jpeg_quality: 1 to 100 (see `jpeg_quality`); None for other formats. orientation: EXIF's,
    1 to 8: how the file's pixels must be turned to be upright.
    """

    format: str
    width: int
    height: int
    mode: str
    jpeg_quality: int | None = None
    orientation: int = 1

    @property
    def lies(self) -> bool:
        """Whether the file's pixels lie on their side: its own width is the upright picture's height."""
        return self.orientation >= 5


class Decoded(NamedTuple):
    """A picture in mode L or RGB, upright; and where it comes from, None if from no file of its own."""

    picture: Image.Image
    origin: Origin | None


def _eight_bit(values: np.ndarray, depth: Depth, inverted: bool) -> Image.Image:
    """Grey or RGB values of more than 8 bits as an 8-bit picture. ValueError for values beyond the depth.

    inverted: whether 0 is white.
    """
    if reason := reason_against(values):
        raise ValueError(reason)
    white = depth.white(values)
    if values.max() > depth.limit(values):
        raise ValueError(f"its values reach {values.max():g}, and {white} is white")
    values = np.minimum(values.astype(float), white)
    bright = white - values if inverted else values
    return Image.fromarray(np.rint(bright * (255.0 / white)).astype(np.uint8))


@lru_cache(maxsize=1024)
def jpeg_quality(table: tuple[int, ...]) -> int:
    """The quality, 1 to 100, at which the IJG's encoder has the luminance table nearest to this one.

    table: 64 quantisation steps, row by row (Pillow's order). What other encoders call their quality differs.
    """
    return int(QUALITIES[np.abs(_TABLES - np.asarray(table)).sum(axis=1).argmin()])


def decode(path: Path, depth: Depth = OWN_DEPTH) -> Decoded:
    """The first frame of an image file.

    depth: of the data set that it belongs to, for values of more than 8 bits, which are scaled to 8 bits.
    Transparent pixels are laid on white, the EXIF rotation is applied. Raises whatever its decoder does for a
    file that can't be decoded, ValueError for values that are negative, not finite, or beyond the depth.
    """
    opened = open_image(path)
    content = opened.content
    picture = content if isinstance(content, Image.Image) else _eight_bit(content, depth, opened.inverted)
    if opened.opacity is not None:
        picture.putalpha(Image.fromarray(np.rint(opened.opacity * 255.0).astype(np.uint8)))
    upright = turned(picture, opened.left)
    quality = None if opened.table is None else jpeg_quality(opened.table)
    return Decoded(
        _plain(upright), Origin(opened.format, *upright.size, opened.mode, quality, opened.orientation)
    )


def _plain(picture: Image.Image) -> Image.Image:
    """In mode L or RGB."""
    grey = picture.mode in GREY_MODES
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("L" if grey else "RGB")
