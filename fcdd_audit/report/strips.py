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
DARK = 0.05  # of the scale; a map without brighter heat is nearly dark


def photos(
    examples: Mapping[str, np.ndarray], variants: Sequence[str], rows: Sequence[int]
) -> list[dict[str, Any]]:
    """Of each of these rows: name, side, the mask's share of the `area`, and a picture a variant.

    examples: images by variant, uint8 (N, C, H, W), their `mask`, bool (N, 1, H, W), where the artifact has a
    place, `name` and `side`.
    """
    return [
        {
            "name": str(examples["name"][row]),
            "side": str(examples["side"][row]),
            "area": float(examples["mask"][row].mean()) if "mask" in examples else None,
            **{variant: photo_uri(examples[variant][row]) for variant in variants},
        }
        for row in rows
    ]


def heat_tiles(
    maps: Mapping[str, Mapping[str, np.ndarray]],
    masks: Sequence[np.ndarray | None],
    reference: Mapping[str, np.ndarray],
    quantile: float,
) -> list[dict[str, dict[str, dict[str, Any]]]]:
    """Of each image, by explainer and column, the `uri` of its map with the mask's outline and the `share` of
    its heat inside, None without a mask and of a map that is nearly dark.

    maps: by explainer and column, (N, H, W). masks: of the N images, bool (H, W). reference: by explainer,
    heat of any shape that sets the range that its maps share, as `scales` gives it.
    """
    drawn = {
        name: {column: _tiles(heat, masks, quantile, reference[name]) for column, heat in columns.items()}
        for name, columns in maps.items()
    }
    return [
        {name: {key: shown[turn] for key, shown in columns.items()} for name, columns in drawn.items()}
        for turn in range(len(masks))
    ]


def scales(
    reference: Mapping[str, np.ndarray], units: Mapping[str, str], quantile: float
) -> list[dict[str, Any]]:
    """Of each explainer: `name`, the heat that is darkest and brightest, `low` and `high`, its `unit`, and
    whether it is `signed`."""
    return [
        {"name": name, "unit": units.get(name, ""), **shown_limits(heat, quantile), "signed": False}
        for name, heat in reference.items()
    ]


def mask_list(examples: Mapping[str, np.ndarray], rows: Sequence[int]) -> list[np.ndarray | None]:
    """The masks of these rows, bool (H, W); None where the artifact has no place."""
    return [examples["mask"][row, 0] if "mask" in examples else None for row in rows]


def _tiles(
    heat: np.ndarray, masks: Sequence[np.ndarray | None], quantile: float, reference: np.ndarray
) -> list[dict[str, Any]]:
    """Each map on the scale of `reference`, and its share of heat in the mask; None without a mask, and of a
    map that is nearly dark, where a share would be of next to nothing."""
    with ThreadPoolExecutor() as pool:
        shown = normalise(heat, quantile, reference)
        uris = pool.map(heat_uri, shown, masks)
        return [
            {"uri": uri, "share": None if mask is None or bright.max() < DARK else share_inside(one, mask)}
            for one, bright, mask, uri in zip(heat, shown, masks, uris, strict=True)
        ]


def photo_uri(image: np.ndarray, size: int = TILE) -> str:
    """A picture from uint8 (C, H, W). size: its smaller side, at least; enlarged in whole pixels."""
    pixels = np.moveaxis(image, 0, -1)
    return _uri(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, None, size)


def heat_uri(heat: np.ndarray, mask: np.ndarray | None = None) -> str:
    """A normalised heatmap, (H, W) in [0, 1], in viridis, with the outline of `mask`, bool (H, W)."""
    colours = colormaps["viridis"](heat)[..., :3]
    return coloured_uri((colours * 255).round().astype(np.uint8), mask)


def coloured_uri(pixels: np.ndarray, mask: np.ndarray | None = None) -> str:
    """A heatmap in colours, uint8 (H, W, 3), with the outline of `mask`, bool (H, W)."""
    return _uri(pixels, mask, HEAT_TILE)


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
