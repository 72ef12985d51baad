"""What the embedded data sets share: crops of photos without a giveaway, and what is refused."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets.base import DataRequest, refuse_masks

TARGET_MEAN, TARGET_STD, ROUNDS = 0.5, 0.2, 50
MIN_EVEN_STD = 0.19  # what clipping may leave of TARGET_STD in one round

Crops = tuple[np.ndarray, tuple[str, ...]]  # float (N, H, W, 1) in [0, 1], and their names


def size_of(name: str, request: DataRequest, default: int, sizes: tuple[int, int]) -> int:
    """The size of the crops, within `sizes`. InputError for another, and for other refused requests."""
    if request.data_root is not None:
        raise InputError(f"data set '{name}' is embedded and takes no --data-root; drop it")
    refuse_masks(name, request)
    if request.bit_depth is not None:
        raise InputError(
            f"data set '{name}' is embedded and has 8 bits a channel, bit depth "
            f"{request.bit_depth} can't be used with it; drop --bit-depth"
        )
    for flag, value in (
        ("oe", None if request.oe == "photos" else request.oe),
        ("oe-limit", request.oe_limit),
    ):
        if value is not None:
            raise InputError(
                f"data set '{name}' has its own outlier exposure, '--{flag} {value}' can't be used "
                f"with it; drop --{flag}"
            )
    size = request.image_size or default
    if not sizes[0] <= size <= sizes[1]:
        raise InputError(
            f"data set '{name}' is cut in crops of {sizes[0]} to {sizes[1]} px, not {size}; "
            "change --image-size"
        )
    return size


def tiles(name: str, region: np.ndarray, size: int, top: int = 0, left: int = 0) -> Crops:
    """Crops on a grid of half a crop's side: as many as there are without near-copies.

    region: of photo `name`, (H, W, 1); top, left: where it lies in the photo.
    """
    step = size // 2
    corners = [
        (row, column)
        for row in range(0, region.shape[0] - size + 1, step)
        for column in range(0, region.shape[1] - size + 1, step)
    ]
    crops = np.stack([region[row : row + size, column : column + size] for row, column in corners])
    return crops, tuple(f"{name}-{left + column}-{top + row}" for row, column in corners)


def chosen(crops: Crops, keep: np.ndarray) -> Crops:
    """The crops that are kept, bool (N,)."""
    pixels, names = crops
    return pixels[keep], tuple(name for name, kept in zip(names, keep, strict=True) if kept)


def even_crops(crops: Crops) -> Crops:
    """The crops that need no more than one round to the common contrast.

    Forced there, a nearly flat crop with a few bright spots becomes black and white: a cue of its own.
    """
    return chosen(crops, _round(crops[0]).std(axis=(1, 2, 3)) > MIN_EVEN_STD)


def _round(crops: np.ndarray) -> np.ndarray:
    mean = crops.mean(axis=(1, 2, 3), keepdims=True)
    std = crops.std(axis=(1, 2, 3), keepdims=True)
    return ((crops - mean) / std * TARGET_STD + TARGET_MEAN).clip(0, 1)


def equalise(crops: np.ndarray) -> Tensor:
    """Give each crop the same mean and contrast, so that neither is a cue.

    crops: float (N, H, W, 1) in [0, 1]. Returns uint8 (N, 1, H, W).
    """
    for _ in range(ROUNDS):  # clipping takes contrast away, so that once isn't enough
        crops = _round(crops)
    pixels = np.rint(crops * 255).astype(np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
