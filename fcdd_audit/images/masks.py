"""Mask files: where in an image something is marked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.decode import OWN_DEPTH, Origin
from fcdd_audit.images.listing import listed
from fcdd_audit.images.opening import NotPulledError, Opened, open_image, turned

BLOCK = 8  # px: JPEG files are encoded in squares of this side
LEAST_AREA = 0.1  # of a level in a JPEG file, as a share of what is brighter than half its brightest
ROUNDING = 0.5  # grey levels by which black may come back brighter from a JPEG file than computed
NEARLY_ALL = 0.95  # of an image: more is taken for a slip


def read_mask(path: Path) -> np.ndarray:
    """Where a mask file is marked, bool (H, W), upright.

    Zero is background and every other value is marked, in any channel, so that black and white, labels and
    colours all do; what is transparent isn't marked. JPEG files blur their values around edges, so that there
    the darkest level decides that isn't background: what is brighter than half of it is marked. A level is a
    value that fills whole blocks of 8 x 8 px, as labels do, together at least a tenth of the area that is
    brighter than half of the brightest value; if there is none, the brightest value is taken for it. So 127
    is the limit in black and white, and in labels of 0 and 1 every 1 is marked.

    InputError for a file that can't be decoded.
    """
    try:
        opened = open_image(path)
        marked = _marked(opened)
        return np.array(turned(Image.fromarray(marked), opened.left))
    except Exception as error:  # whatever a decoder raises on a damaged file
        reason = str(error) if isinstance(error, NotPulledError) else type(error).__name__
        raise InputError(f"mask '{path}' can't be decoded ({reason}); repair or remove it") from None


def shrunk(mask: np.ndarray, size: int) -> Tensor:
    """A mask, bool (H, W), as bool (1, size, size): a pixel counts where any of the mark falls into it."""
    return F.adaptive_max_pool2d(torch.from_numpy(mask)[None].float(), size).bool()


def turned_along(mask: np.ndarray, origin: Origin | None, shape: tuple[int, int] | None = None) -> np.ndarray:
    """A mask, bool (H, W), as its photo is seen, if the photo's file is stored lying on its side.

    If the mask has the height and width that are stored, it is turned along with the photo; if it has those
    of the upright photo, or others, it is upright already. So is one of a square photo, and of one that is
    stored upside down or mirrored: there the sizes don't tell. shape: the mask's own, where `mask` is a
    square made of it.
    """
    height, width = shape or mask.shape
    if origin is None or not origin.lies or origin.height == origin.width:
        return mask
    if (height, width) != (origin.width, origin.height):
        return mask
    return np.array(turned(Image.fromarray(mask), origin.orientation))


def mask_notes(shares: Mapping[str, float]) -> list[str]:
    """What people must know of masks: which mark nothing, or nearly everything.

    shares: by the mask's name, how much of its image it marks, in [0, 1].
    """
    nothing = [name for name, share in shares.items() if share == 0]
    everything = [name for name, share in shares.items() if share > NEARLY_ALL]
    return [
        f"{len(names)} of {len(shares)} masks {what}: {listed(names)}."
        for names, what in (
            (nothing, "mark nothing and are not used"),
            (everything, f"mark more than {NEARLY_ALL:.0%} of their image"),
        )
        if names
    ]


def _marked(opened: Opened) -> np.ndarray:
    """As the file stores it, not upright."""
    content, opacity = opened.content, opened.opacity
    if isinstance(content, Image.Image):
        if opened.table is not None:
            return _marked_in_jpeg(np.asarray(content.convert("L")), opened.table[0])
        values = np.asarray(content.convert("RGBA"))
        values, opacity = values[:, :, :3], values[:, :, 3]
    else:
        values = np.nan_to_num(content)
        if opened.inverted:  # as a file of 8 bits, which comes inverted
            values = values != OWN_DEPTH.white(values)
    marked = values != 0 if values.ndim == 2 else (values != 0).any(axis=2)
    return marked if opacity is None else marked & (opacity > 0)


def _marked_in_jpeg(values: np.ndarray, step: int) -> np.ndarray:
    """values: grey, uint8 (H, W). step: by which its file divides a block's brightness."""
    # A black block is stored as one number, -1024 divided by the step: this is what comes back.
    black = max(0.0, 128 + round(-1024 / step) * step / 8)
    bright = int(values.max())
    least = LEAST_AREA * (values > bright / 2).sum()
    levels = [
        level for level, area in _flat_areas(values).items() if level - black > ROUNDING and area >= least
    ]
    lowest = min(levels, default=bright)
    if lowest - black <= ROUNDING:
        return np.zeros(values.shape, bool)
    return values > (black + lowest) / 2


def _flat_areas(values: np.ndarray) -> dict[int, int]:
    """How many pixels of each value are in blocks that have no other."""
    rows, columns = (side // BLOCK for side in values.shape)
    blocks = values[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    low, high = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    found, counts = np.unique(low[low == high], return_counts=True)
    return {int(level): int(count) * BLOCK**2 for level, count in zip(found, counts, strict=True)}
