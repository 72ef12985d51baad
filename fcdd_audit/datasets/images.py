"""From image files to upright 8-bit pictures and masks."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fcdd_audit.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


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


def decode(path: Path) -> Image.Image:
    """The first frame of an image file in mode L or RGB, upright.

    16-bit values are scaled to 8 bits, transparent pixels laid on white, the EXIF rotation applied.
    Raises whatever its decoder does for a file that can't be decoded, ValueError for values out of range.
    """
    picture = ImageOps.exif_transpose(_open(path))
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
