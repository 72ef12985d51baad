"""Rows of pictures: example images and their heatmaps, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from matplotlib import colormaps
from PIL import Image
from scipy.ndimage import binary_dilation

from fcdd_audit.core.colours import OUTLINE
from fcdd_audit.report.display import normalise, share_inside, shown_limits

TILE, HEAT_TILE = 160, 128  # smallest side of a photo and of a heatmap in the page, in pixels
LINE = 2  # pixels


def picture_rows(
    examples: Mapping[str, np.ndarray],
    variants: Sequence[str],
    maps: Mapping[str, Mapping[str, np.ndarray]],
    reference: Mapping[str, np.ndarray],
    quantile: float,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A row for each example, and each explainer with the range of heat that its maps share.

    examples: images by variant, uint8 (N, C, H, W), their `mask`, bool (N, 1, H, W), where the artifact has a
    place, `name` and `side`. variants: those shown. maps: by explainer and column, (N, H, W); with the mask's
    outline. reference: by explainer, heat of any shape that sets the range that its maps share.
    """
    count = len(examples["name"])
    masks = list(examples["mask"][:, 0]) if "mask" in examples else [None] * count
    tiles = {
        name: {key: _tiles(heat, masks, quantile, reference[name]) for key, heat in columns.items()}
        for name, columns in maps.items()
    }
    rows = [
        {
            "name": str(examples["name"][row]),
            "side": str(examples["side"][row]),
            "area": None if mask is None else float(mask.mean()),
            **{variant: photo_uri(examples[variant][row]) for variant in variants},
            "maps": {
                name: {key: shown[row] for key, shown in columns.items()} for name, columns in tiles.items()
            },
        }
        for row, mask in enumerate(masks)
    ]
    return rows, [{"name": name, **shown_limits(reference[name], quantile)} for name in maps]


def _tiles(
    heat: np.ndarray, masks: Sequence[np.ndarray | None], quantile: float, reference: np.ndarray
) -> list[dict[str, Any]]:
    """Each map on the scale of `reference`, and its share of heat in the mask, or None."""
    with ThreadPoolExecutor() as pool:
        uris = pool.map(heat_uri, normalise(heat, quantile, reference), masks)
        return [
            {"uri": uri, "share": None if mask is None else share_inside(one, mask)}
            for one, mask, uri in zip(heat, masks, uris, strict=True)
        ]


def photo_uri(image: np.ndarray, size: int = TILE) -> str:
    """A picture from uint8 (C, H, W). size: its smaller side, at least; enlarged in whole pixels."""
    pixels = np.moveaxis(image, 0, -1)
    return _uri(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, None, size)


def heat_uri(heat: np.ndarray, mask: np.ndarray | None = None) -> str:
    """A normalised heatmap, (H, W) in [0, 1], in viridis, with the outline of `mask`, bool (H, W)."""
    colours = colormaps["viridis"](heat)[..., :3]
    return _uri((colours * 255).round().astype(np.uint8), mask, HEAT_TILE)


def _uri(pixels: np.ndarray, mask: np.ndarray | None, tile: int) -> str:
    factor = max(1, -(-tile // min(pixels.shape[:2])))
    large = np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)
    if mask is not None:
        grown = np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)
        outline = binary_dilation(grown, iterations=LINE) & ~grown  # around it: what is inside stays seen
        large = np.where(outline[..., None], OUTLINE, large)
    buffer = io.BytesIO()
    Image.fromarray(large.astype(np.uint8)).save(buffer, "WEBP", quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
