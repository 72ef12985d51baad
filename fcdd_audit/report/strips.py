"""Example images and heatmaps as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image
from skimage.segmentation import find_boundaries

TILE, HEAT_TILE = 160, 128  # smallest side of a photo and of a heatmap in the page, in pixels
OUTLINE = (255, 64, 160)


def photo_uri(image: np.ndarray, mask: np.ndarray | None = None) -> str:
    """A picture from uint8 (C, H, W), with the outline of `mask`, bool (H, W)."""
    pixels = np.moveaxis(image, 0, -1)
    return _uri(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, mask, TILE)


def heat_uri(heat: np.ndarray, mask: np.ndarray | None = None) -> str:
    """A normalised heatmap, (H, W) in [0, 1], in viridis, with the outline of `mask`, bool (H, W)."""
    colours = colormaps["viridis"](heat)[..., :3]
    return _uri((colours * 255).round().astype(np.uint8), mask, HEAT_TILE)


def _uri(pixels: np.ndarray, mask: np.ndarray | None, tile: int) -> str:
    factor = max(1, -(-tile // min(pixels.shape[:2])))
    large = np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)
    if mask is not None:
        grown = np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)
        large = np.where(find_boundaries(grown, mode="thick")[..., None], OUTLINE, large)
    buffer = io.BytesIO()
    Image.fromarray(large.astype(np.uint8)).save(buffer, "WEBP", quality=80, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
