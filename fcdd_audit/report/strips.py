"""Example images and heatmaps as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image
from skimage.segmentation import find_boundaries

TILE = 160  # smallest side of a picture in the page, in pixels
SCALE_QUANTILE = 0.995
OUTLINE = (255, 64, 160)


def photo_uri(image: np.ndarray, mask: np.ndarray | None = None) -> str:
    """A picture from uint8 (C, H, W), with the outline of `mask`, bool (H, W)."""
    pixels = np.moveaxis(image, 0, -1)
    return _uri(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, mask)


def heat_uri(heat: np.ndarray, top: float, mask: np.ndarray) -> str:
    """A heatmap, (H, W), in viridis from 0 to `top`, with the outline of `mask`."""
    colours = colormaps["viridis"](np.clip(heat / top, 0, 1))[..., :3]
    return _uri((colours * 255).round().astype(np.uint8), mask)


def shared_top(*maps: np.ndarray) -> float:
    """Upper end of the scale that these heatmaps share: their 99.5 % quantile, their maximum if
    that is 0, or 1 if all heat is."""
    heat = np.concatenate([part.ravel() for part in maps])
    return float(np.quantile(heat, SCALE_QUANTILE)) or float(heat.max()) or 1.0


def _uri(pixels: np.ndarray, mask: np.ndarray | None) -> str:
    factor = max(1, -(-TILE // min(pixels.shape[:2])))
    large = np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)
    if mask is not None:
        grown = np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)
        large = np.where(find_boundaries(grown, mode="thick")[..., None], OUTLINE, large)
    buffer = io.BytesIO()
    Image.fromarray(large.astype(np.uint8)).save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
