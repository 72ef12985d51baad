"""Opening image files: what they hold, as they hold it."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from fcdd_audit.images.depth import Peak

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
PNG = b"\x89PNG\r\n\x1a\n"
PNG_BITS = 24  # the byte of a PNG file that says how many bits a channel has
POINTERS = (b"version https://git-lfs.github.com/", b"/annex/objects/")  # that stand for a file not pulled
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BITS_TAG, PHOTOMETRIC_TAG, ORIENTATION_TAG = 258, 262, 0x0112
MIN_IS_WHITE = 0  # of the photometric interpretation


class NotPulledError(ValueError):
    """A file is only the text that Git keeps in a picture's place."""

    def __init__(self) -> None:
        super().__init__("a pointer of Git LFS or git-annex in its place: get its data")


@dataclass(frozen=True)
class Opened:
    """What an image file holds, not upright yet.

    content: a picture of 8 bits a channel or, where there are more, their values as they are stored, (H, W)
    or (H, W, 3). format, mode: as Pillow calls them. opacity: of such values, (H, W) in [0, 1]; None: opaque.
    table: the luminance quantisation of a JPEG file, 64 steps, row by row. orientation: EXIF's, 1 (upright)
    to 8, of the file. left: the same of `content`: some readers put it upright themselves. inverted:
    whether 0 is white among values as they are stored; pictures come with 0 as black.
    """

    content: Image.Image | np.ndarray
    format: str
    mode: str
    opacity: np.ndarray | None = None
    table: tuple[int, ...] | None = None
    orientation: int = 1
    left: int = 1
    inverted: bool = False


def open_image(path: Path) -> Opened:
    """The first frame of an image file. Raises whatever its decoder does."""
    data = path.read_bytes()
    picture = _header(data)
    if picture is None:
        values, orientation, inverted = _tiff(data)
        values, opacity = _split(values)
        mode = "L" if values.ndim == 2 else "RGB"
        if values.dtype.itemsize > 1:
            return Opened(values, "TIFF", mode, opacity, None, orientation, orientation, inverted)
        content = Image.fromarray(~values if inverted else values)
        return Opened(content, "TIFF", mode, opacity, None, orientation, orientation)
    about, orientation = (picture.format or "", picture.mode), _orientation(picture)
    if picture.mode not in DEEP_MODES and _holds_more(picture, data):
        values, inverted = (_png(data), False) if data.startswith(PNG) else _tiff(data)[::2]
        values, opacity = _split(values)
        if opacity is None:
            opacity = _keyed(values, picture)
        return Opened(values, *about, opacity, None, orientation, orientation, inverted)
    picture.load()
    left = _orientation(picture)
    if picture.mode in DEEP_MODES:
        values = np.asarray(picture)
        return Opened(
            values, *about, _keyed(values, picture), None, orientation, left, _is_min_white(picture)
        )
    tables = getattr(picture, "quantization", None)
    table = tuple(tables[min(tables)]) if tables else None
    return Opened(picture, *about, None, table, orientation, left)


def peak(path: Path) -> Peak | None:
    """The largest value of a file's channels; None if they have 8 bits, which only its header is read for.

    None, too, for what can't be decoded or has values that no picture has: decoding says so.
    """
    try:
        with path.open("rb") as file:
            head = file.read(PNG_BITS + 1)
        if not (head.startswith(TIFF) or (head.startswith(PNG) and head[PNG_BITS] == 16)):
            return None
        if head.startswith(TIFF):
            with contextlib.suppress(UnidentifiedImageError), Image.open(path) as picture:
                if picture.mode not in DEEP_MODES and not _holds_more(picture, head):
                    return None
        values = open_image(path).content
    except Exception:  # whatever a decoder raises on a damaged file
        return None
    if isinstance(values, Image.Image) or reason_against(values):
        return None
    return Peak(float(values.max()), values.dtype.kind == "f")


def reason_against(values: np.ndarray) -> str | None:
    """Why these can't be a picture's values; None if they can."""
    if not np.isfinite(values).all():
        return "some of its values are no finite numbers"
    if values.min() < 0:
        return f"some of its values are negative (down to {values.min():g})"
    if values.dtype.kind != "f" and values.max() > np.iinfo(np.uint16).max:
        return f"its values need more than 16 bits (up to {values.max()})"
    return None


def _keyed(values: np.ndarray, picture: Image.Image) -> np.ndarray | None:
    """The opacity, (H, W), of a PNG file in which one value or colour stands for transparency."""
    key = picture.info.get("transparency")
    return None if key is None else (np.atleast_3d(values) != np.asarray(key)).any(axis=2).astype(float)


def _is_min_white(picture: Image.Image) -> bool:
    """Whether it is a TIFF file in which 0 is white; Pillow inverts those of 8 bits only."""
    return (
        isinstance(picture, TiffImagePlugin.TiffImageFile)
        and picture.tag_v2.get(PHOTOMETRIC_TAG) == MIN_IS_WHITE
    )


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """A picture in memory put upright, from how a file with this EXIF orientation stores it."""
    picture.getexif()[ORIENTATION_TAG] = orientation
    return ImageOps.exif_transpose(picture)


def _orientation(picture: Image.Image) -> int:
    return _valid(picture.getexif().get(ORIENTATION_TAG))


def _valid(orientation: object) -> int:
    """EXIF's orientation; upright where a file has none, or one that doesn't exist."""
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _header(data: bytes) -> Image.Image | None:
    """As Pillow opens it, not decoded yet; None for a TIFF that it can't."""
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        if data.startswith(TIFF):
            return None
        if data.startswith(POINTERS):
            raise NotPulledError from None
        raise


def _holds_more(picture: Image.Image, data: bytes) -> bool:
    """Whether the file has channels of more than 8 bits, which Pillow would cut off."""
    if data.startswith(PNG):
        return data[PNG_BITS] == 16
    # Inks stay Pillow's: nobody measures with them.
    if not isinstance(picture, TiffImagePlugin.TiffImageFile) or picture.mode == "CMYK":
        return False
    return max(picture.tag_v2.get(BITS_TAG, (8,))) > 8


def _png(data: bytes) -> np.ndarray:
    """(H, W, C), of which Pillow would only keep the upper 8 bits."""
    from torchvision.io import decode_png

    try:
        values = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    except RuntimeError:
        raise ValueError("its data are damaged or incomplete") from None
    if values.dtype != torch.uint16:
        raise ValueError("this torchvision cuts off all but 8 of its 16 bits; install 0.20 or later")
    return values.numpy().transpose(1, 2, 0)


def _tiff(data: bytes) -> tuple[np.ndarray, int, bool]:
    """The values of the first page, (H, W) or (H, W, C), its orientation, and whether 0 is white."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        values = page.asarray()
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
        tag = page.tags.get(ORIENTATION_TAG)
        colours = 1 if values.ndim == 2 else values.shape[2] - len(page.extrasamples)
        alpha = [int(kind) in (1, 2) for kind in page.extrasamples]
        if values.ndim not in (2, 3) or colours not in (1, 3) or alpha not in ([], [True]):
            raise ValueError(f"its shape is {values.shape}, which is no grey or colour picture")
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        return values, 1 if tag is None else _valid(tag.value), inverted


def _split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W), or (H, W, C) with 1 to 4 channels, of which the second or fourth is the opacity, as (H, W) or
    (H, W, 3), and the opacity."""
    if values.ndim == 2:
        return values, None
    opacity = None
    if values.shape[2] in (2, 4):
        full = 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
        opacity = values[:, :, -1] / full
        values = values[:, :, :-1]
    return (values[:, :, 0] if values.shape[2] == 1 else values), opacity
