"""Simple features of how images were made: facts about their files, traces of coding, appearance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from fcdd_audit.core.colours import LUMA
from fcdd_audit.images.sets import ImageSet

Group = Literal["file", "coding", "appearance"]

GROUPS: dict[Group, str] = {
    "file": "facts about the files",
    "coding": "borders and traces of coding",
    "appearance": "sharpness, noise and colours",
}
CONTENT_FREE: tuple[Group, ...] = ("file", "coding")  # what an image shows is no reason to differ in these

BLOCK = 8  # px, side of a JPEG block
UNIFORM = 2.0  # levels of standard deviation up to which a line of pixels counts as uniform
SMALLEST = 3  # px a side, for the Laplacian
BATCH_VALUES = 1 << 23  # pixel values looked at together


@dataclass(frozen=True)
class Feature:
    """What a column of `features` means: its group, its name for people, its unit.

    typical: how a side is summed up; of what is mostly zero, the mean says more than the median. binned:
    whether single values and ranges of it count, or only whether there is more of it.
    """

    group: Group
    label: str
    unit: str = ""
    typical: Literal["median", "mean"] = "median"
    binned: bool = True


CATEGORIES = {
    "format": Feature("file", "{} files", "%", "mean"),
    "mode": Feature("file", "files of mode {}", "%", "mean"),
}
MEASURED = {
    "width": Feature("file", "original width", "px"),
    "height": Feature("file", "original height", "px"),
    "aspect": Feature("file", "original width / height"),
    "jpeg_quality": Feature("file", "JPEG quality"),
    "border": Feature("coding", "uniform edges", "%", "mean"),
    # Smooth images scatter more around 0, and that is due to what they show.
    "blockiness": Feature("coding", "JPEG blockiness", binned=False),
    "sharpness": Feature("appearance", "sharpness"),
    "noise": Feature("appearance", "fine noise", "levels"),
    "mean_grey": Feature("appearance", "mean grey", "levels"),
    "mean_red": Feature("appearance", "mean red", "levels"),
    "mean_green": Feature("appearance", "mean green", "levels"),
    "mean_blue": Feature("appearance", "mean blue", "levels"),
    "std_grey": Feature("appearance", "spread of grey", "levels"),
    "std_red": Feature("appearance", "spread of red", "levels"),
    "std_green": Feature("appearance", "spread of green", "levels"),
    "std_blue": Feature("appearance", "spread of blue", "levels"),
    "saturation": Feature("appearance", "saturation", "%"),
    "clipped_low": Feature("appearance", "values at 0", "%", "mean"),
    "clipped_high": Feature("appearance", "values at 255", "%", "mean"),
}


def features(images: ImageSet) -> pd.DataFrame:
    """One row an image; columns as in CATEGORIES (text) and MEASURED (floats).

    Of the file, where every image has one: format, mode; width, height (px), aspect (width / height);
    jpeg_quality (1 to 100, NaN for other formats).

    Of the pixels as the detector gets them:
    - border: % of the four outermost lines whose standard deviation is at most 2 levels in every channel.
    - blockiness, in [-1, 1]: (on - off) / (on + off), where on is the mean step of grey across the borders
      of 8 px blocks, off that of the steps just beside them. 0 without blocks; what is shown moves it a
      little. Resizing blurs blocks and moves them off this grid, so it finds hardly more than JPEG coding at
      the very size that the images are decoded to.
    - sharpness: log10(1 + variance of the Laplacian), of grey, four neighbours, without the edges.
    - noise: standard deviation of white noise that would explain what is left of grey after an operator that
      removes planes and straight edges, in levels (Immerkaer 1996, CVIU 64(2)). Fine texture counts as noise.
    - mean_*, std_*: of each channel, in levels. saturation: mean of (max - min) / max over the channels,
      in %. clipped_low, clipped_high: % of all values that are 0 and 255.

    ValueError for images of less than 3 px a side.
    """
    if min(images.images.shape[2:]) < SMALLEST:
        raise ValueError(f"images must have at least {SMALLEST} px a side, not {tuple(images.images.shape)}")
    parts = [_of_pixels(batch) for batch in _batches(images)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return pd.DataFrame({**_of_files(images), **columns})


def _of_files(images: ImageSet) -> dict[str, Any]:
    if images.origins is None:
        return {}
    width, height, quality = (
        np.array([(o.width, o.height, o.jpeg_quality or np.nan) for o in images.origins], float)
        .reshape(-1, 3)
        .T
    )
    return {
        "format": [origin.format for origin in images.origins],
        "mode": [origin.mode for origin in images.origins],
        "width": width,
        "height": height,
        "aspect": width / height,
        "jpeg_quality": quality,
    }


def _batches(images: ImageSet) -> Iterator[np.ndarray]:
    size = max(1, BATCH_VALUES // images.images[:1].numel()) if len(images) else 1
    for batch in images.images.split(size):
        yield batch.numpy()


def _of_pixels(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """pixels: uint8 (N, C, H, W)."""
    values = pixels.astype(np.float32)
    count, channels = pixels.shape[:2]
    grey = values[:, 0]
    if channels > 1:
        red, green, blue = (np.float32(share) * values[:, i] for i, share in enumerate(LUMA))
        grey = red + green + blue
    found = {
        "border": _border(values),
        "blockiness": _blockiness(grey),
        "sharpness": np.log10(1 + _laplacian(grey).reshape(count, -1).var(axis=1, dtype=float)),
        "noise": _noise(grey),
    }
    flat = values.reshape(count, channels, -1)
    for index, name in enumerate(("grey",) if channels == 1 else ("red", "green", "blue")):
        found[f"mean_{name}"] = flat[:, index].mean(axis=1, dtype=float)
        found[f"std_{name}"] = flat[:, index].std(axis=1, dtype=float)
    if channels > 1:
        brightest = flat.max(axis=1)
        saturation = (brightest - flat.min(axis=1)) / np.maximum(brightest, 1)
        found["saturation"] = 100 * saturation.mean(axis=1, dtype=float)
    found["clipped_low"] = 100 * (pixels == 0).reshape(count, -1).mean(axis=1)
    found["clipped_high"] = 100 * (pixels == 255).reshape(count, -1).mean(axis=1)
    return found


def _border(values: np.ndarray) -> np.ndarray:
    lines = (values[..., 0, :], values[..., -1, :], values[..., 0], values[..., -1])
    return 25.0 * sum((line.std(axis=-1) <= UNIFORM).all(axis=1) for line in lines)


def _laplacian(grey: np.ndarray) -> np.ndarray:
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return around - 4 * grey[:, 1:-1, 1:-1]


def _noise(grey: np.ndarray) -> np.ndarray:
    residual = np.diff(np.diff(grey, n=2, axis=1), n=2, axis=2)  # [1, -2, 1] both ways: 36 times the variance
    return np.sqrt(np.pi / 2) / 6 * np.abs(residual).reshape(len(grey), -1).mean(axis=1, dtype=float)


def _blockiness(grey: np.ndarray) -> np.ndarray:
    on, beside = np.zeros(len(grey)), np.zeros(len(grey))
    for lines in (grey, grey.swapaxes(1, 2)):
        last = np.arange(BLOCK - 1, lines.shape[-1] - 2, BLOCK)  # pixels of a block, with two more after them
        before, inner, outer, after = (lines[..., last + offset] for offset in (-1, 0, 1, 2))
        on += np.abs(outer - inner).sum(axis=(1, 2), dtype=float)
        beside += (np.abs(inner - before) + np.abs(after - outer)).sum(axis=(1, 2), dtype=float) / 2
    return np.divide(on - beside, on + beside, out=np.zeros(len(grey)), where=on + beside > 0)
