"""How heat becomes brightness: the normalisation of Liznerski et al. (ICLR 2021, arXiv 2007.01760)."""

from __future__ import annotations

import numpy as np


def normalise(maps: np.ndarray, quantile: float, reference: np.ndarray | None = None) -> np.ndarray:
    """Heat for display, I(A)_j = min((A_j - min) / q(A - min), 1), with q the `quantile`.

    maps: (N, H, W), finite, usually >= 0. reference: None for the local normalisation, where minimum and
    quantile are each map's own; or heat of any shape for the global one, where they are those of all its
    values together. Heat below the reference's minimum is 0.
    Returns float64 (N, H, W) in [0, 1].

    A constant map is all 0. Where the quantile is 0 but there is some heat, the maximum takes its place.
    Above a constant reference all heat is 1. ValueError for other shapes, an empty reference, values that
    aren't finite, and a quantile outside [0, 1].
    """
    maps = _finite(maps)
    if maps.ndim != 3:
        raise ValueError(f"heatmaps are (N, H, W), not {maps.shape}")
    if reference is None:
        ranges = [_range(one, quantile) for one in maps]
    else:
        ranges = [_range(_finite(reference), quantile)] * len(maps)
    low, top = np.array(ranges, np.float64).reshape(-1, 2).T[..., None, None]
    heat = np.clip(maps - low, 0, top)
    return np.where(top > 0, heat / np.where(top > 0, top, 1), maps > low)


def limits(reference: np.ndarray, quantile: float) -> tuple[float, float]:
    """The heat that is shown as 0, and the least that is shown as 1, on the scale of `reference`.

    reference: heat of any shape. Equal if all heat is. ValueError as in `normalise`.
    """
    low, top = _range(_finite(reference), quantile)
    return low, low + top


def shown_limits(reference: np.ndarray, quantile: float) -> dict[str, float]:
    """`limits` as a caption gives them, `low` and `high`: "2e-05 to 4.6" says no more than "0 to 4.6"."""
    low, high = limits(reference, quantile)
    return {"low": low if abs(low) > high / 200 else 0.0, "high": high}


def share_inside(heat: np.ndarray, mask: np.ndarray) -> float:
    """Share of a map's heat, (H, W), in the mask, bool (H, W), in [0, 1]; of a map of zeros its area."""
    return float(heat[mask].sum() / heat.sum()) if heat.any() else float(mask.mean())


def _range(heat: np.ndarray, quantile: float) -> tuple[float, float]:
    """The least heat, and how much above it is shown as 1; 0 if all heat is the same."""
    if not 0 <= quantile <= 1:
        raise ValueError(f"the quantile is between 0 and 1, not {quantile}")
    if not heat.size:
        raise ValueError("no heat to set the scale by")
    above = heat - heat.min()
    return float(heat.min()), float(np.quantile(above, quantile)) or float(above.max())


def _finite(heat: np.ndarray) -> np.ndarray:
    heat = np.asarray(heat, np.float64)
    if not np.isfinite(heat).all():
        raise ValueError("heatmaps have to be finite")
    return heat
