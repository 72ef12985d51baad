"""From image files to uint8 tensors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

from fcdd_audit.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
NAMED = 5  # corrupt files named in an error


def find_images(folder: Path) -> list[Path]:
    """Image files below `folder`, sorted by path; by suffix, whatever its case."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


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


def load_images(
    paths: Sequence[Path], size: int, what: str, skip_corrupt: bool = False, progress: bool = False
) -> tuple[list[Image.Image], list[int], list[str]]:
    """Decode in parallel and resize to size x size (whatever the aspect).

    Returns the pictures (mode L or RGB), the indices of the paths they come from, and a line for each
    corrupt file that was skipped. InputError, naming them, if there are any and `skip_corrupt` is false.
    """

    def read(path: Path) -> Image.Image | str:
        try:
            return decode(path).resize((size, size), Image.Resampling.BILINEAR)
        except Exception as error:  # whatever a decoder raises on a damaged file
            reason = " ".join(str(error).split()).replace(str(path), "the file")
            return f"{path.parent.name}/{path.name}: {reason or type(error).__name__}"

    with ThreadPoolExecutor() as pool:
        results = list(
            tqdm(
                pool.map(read, paths),
                desc=f"decode {what}",
                total=len(paths),
                unit="image",
                leave=False,
                disable=None if progress else True,
            )
        )
    corrupt = [result for result in results if isinstance(result, str)]
    if corrupt and not skip_corrupt:
        more = f" and {len(corrupt) - NAMED} more" if len(corrupt) > NAMED else ""
        raise InputError(
            f"{len(corrupt)} of {len(paths)} images can't be decoded: {'; '.join(corrupt[:NAMED])}{more}"
            " - repair or remove them, or pass --skip-corrupt"
        )
    kept = [i for i, result in enumerate(results) if not isinstance(result, str)]
    return [r for r in results if not isinstance(r, str)], kept, corrupt


def to_tensor(pictures: Sequence[Image.Image], channels: int, size: int) -> Tensor:
    """Pictures of size x size as uint8 (N, channels, size, size), made grey or colour."""
    if not pictures:
        return torch.zeros((0, channels, size, size), dtype=torch.uint8)
    mode = "L" if channels == 1 else "RGB"
    pixels = np.stack([np.asarray(picture.convert(mode)) for picture in pictures])
    return torch.from_numpy(pixels.reshape(len(pictures), size, size, channels)).permute(0, 3, 1, 2)
