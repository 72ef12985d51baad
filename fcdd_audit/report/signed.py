"""Maps with a sign: what raised a score and what lowered it, in two colours that mean nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcdd_audit.core.colours import LOWERS, NEITHER, RAISES
from fcdd_audit.report.display import limits, share_inside
from fcdd_audit.report.strips import DARK, coloured_uri

TWINS = ("planted", "control")
Arrays = Mapping[str, np.ndarray]


def signed_maps(heat: Arrays, explainer: str) -> dict[str, np.ndarray]:
    """By twin, what raises less what lowers, (N, H, W) float32; empty where an explainer has no sign here.

    heat: a file of heatmaps (`designs.twins.drawn.heat`).
    """
    if f"lowers.planted.{explainer}" not in heat:
        return {}
    return {
        twin: _floats(heat, "maps", "scale", twin, explainer)
        - _floats(heat, "lowers", "lowers-scale", twin, explainer)
        for twin in TWINS
    }


def _floats(heat: Arrays, values: str, scale: str, twin: str, explainer: str) -> np.ndarray:
    found: np.ndarray = heat[f"{values}.{twin}.{explainer}"].astype(np.float32)
    return found * heat[f"{scale}.{twin}.{explainer}"]


def signed_limit(heat: Arrays, explainer: str, quantile: float) -> float:
    """The heat, up or down, that is shown in the full colour: the greater of that of both halves on the test
    images. 0 where there is none."""
    return max(
        limits(np.concatenate([heat[f"{levels}.{twin}.{explainer}"] for twin in TWINS]), quantile)[1]
        for levels in ("levels", "lowers-levels")
    )


def signed_scale(explainer: str, unit: str, limit: float) -> dict[str, Any]:
    """As `strips.scales` gives it of a map without sign."""
    return {"name": explainer, "unit": unit, "low": -limit, "high": limit, "signed": True}


def signed_tiles(maps: np.ndarray, masks: Sequence[np.ndarray | None], limit: float) -> list[dict[str, Any]]:
    """Of each map, (N, H, W), its `uri` and the `share` of what lowers the score that is in the mask, None
    without a mask and where nearly nothing does."""
    tiles = []
    for one, mask in zip(maps, masks, strict=True):
        lowered = np.clip(-one, 0, None)
        bright = lowered.max() >= DARK * limit if limit else False
        share = share_inside(lowered, mask) if mask is not None and bright else None
        tiles.append({"uri": signed_uri(one, limit, mask), "share": share})
    return tiles


def signed_uri(one: np.ndarray, limit: float, mask: np.ndarray | None = None) -> str:
    """A signed map, (H, W), with the outline of `mask`, bool (H, W): 0 is dark, `limit` either way is the
    full colour of what raises or lowers."""
    strength = np.clip(np.abs(one) / limit, 0, 1) if limit else np.zeros_like(one)
    full = np.where((one > 0)[..., None], RAISES, LOWERS)
    pixels = np.asarray(NEITHER) + strength[..., None] * (full - np.asarray(NEITHER))
    return coloured_uri(pixels.round().astype(np.uint8), mask)
