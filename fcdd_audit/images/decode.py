"""From image files to upright 8-bit pictures and masks."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fcdd_audit.core.errors import InputError

Fit = Literal["squash", "centre"]  # what makes a picture square: all of it is squeezed, or its centre cut out

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
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
    upright picture. jpeg_quality: 1 to 100 (see `jpeg_quality`); None for other formats.
    """

    format: str
    width: int
    height: int
    mode: str
    jpeg_quality: int | None = None


class Decoded(NamedTuple):
    """A picture in mode L or RGB, upright; and where it comes from, None if from no file of its own."""

    picture: Image.Image
    origin: Origin | None


def find_images(folder: Path) -> list[Path]:
    """Image files below `folder`, by suffix in any case, sorted by path. Linked folders count, but once."""
    found, seen = [], set()
    for base, below, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(base)
        if place in seen:
            below.clear()
            continue
        seen.add(place)
        paths = (Path(base, name) for name in names)
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(found)


def _eight_bit(values: np.ndarray) -> Image.Image:
    """Grey or RGB values of 16 bits, or floats in [0, 1], as an 8-bit picture."""
    if values.dtype.kind == "f":
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError("its values are floats outside [0, 1]")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if values.dtype.itemsize > 2 and 0 <= values.min() <= values.max() <= 255:  # 8-bit values in a wide type
        return Image.fromarray(values.astype(np.uint8))
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its values need more than 16 bits")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


def _open(path: Path) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(path.read_bytes()))
    except UnidentifiedImageError:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise
        return _eight_bit(tifffile.imread(path))  # wide RGB and some floats
    picture.load()
    return picture


@lru_cache(maxsize=1024)
def jpeg_quality(table: tuple[int, ...]) -> int:
    """The quality, 1 to 100, at which the IJG's encoder has the luminance table nearest to this one.

    table: 64 quantisation steps, row by row (Pillow's order). What other encoders call their quality differs.
    """
    return int(QUALITIES[np.abs(_TABLES - np.asarray(table)).sum(axis=1).argmin()])


def _origin(opened: Image.Image, size: tuple[int, int]) -> Origin:
    """opened: as Pillow opened it, because what is made of it forgets its file. size: upright."""
    tables = getattr(opened, "quantization", None)
    quality = jpeg_quality(tuple(tables[min(tables)])) if tables else None
    return Origin(opened.format or "TIFF", *size, opened.mode, quality)  # tifffile's pictures have no format


def decode(path: Path) -> Decoded:
    """The first frame of an image file.

    16-bit values are scaled to 8 bits, transparent pixels laid on white, the EXIF rotation applied.
    Raises whatever its decoder does for a file that can't be decoded, ValueError for values out of range.
    """
    opened = _open(path)
    picture = ImageOps.exif_transpose(opened)
    return Decoded(_plain(picture), _origin(opened, picture.size))


def _plain(picture: Image.Image) -> Image.Image:
    """In mode L or RGB."""
    if picture.mode in DEEP_MODES:
        return _eight_bit(np.asarray(picture))
    grey = picture.mode in GREY_MODES
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("L" if grey else "RGB")


def decode_mask(path: Path, size: int) -> Tensor:
    """A mask file as bool (1, size, size): a pixel counts where any of the marked area falls into it.

    Marked is what isn't black and isn't transparent; in JPEG files, whose edges ring, what is brighter than
    half. InputError for a file that can't be decoded.
    """
    try:
        picture = ImageOps.exif_transpose(_open(path))
        alpha = picture.getchannel("A") if "A" in picture.getbands() else None
        values = np.asarray(picture if picture.mode in DEEP_MODES else picture.convert("L"))
    except Exception as error:  # whatever a decoder raises on a damaged file
        raise InputError(
            f"mask {path.parent.name}/{path.name} can't be decoded ({type(error).__name__}); "
            "repair or remove it"
        ) from None
    marked = values > (127 if path.suffix.lower() in (".jpg", ".jpeg") else 0)
    if alpha is not None:
        marked &= np.asarray(alpha) > 0
    return F.adaptive_max_pool2d(torch.from_numpy(marked)[None].float(), size).bool()
