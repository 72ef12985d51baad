"""How well a heatmap coincides with a mask, one number an image.

Every measure takes

    heatmap: (N, 1, H, W), float, finite, non-negative, higher is more responsible
    mask:    (N, 1, H, W), bool

and returns (N,) float64 on the same device, higher is better. An empty mask gives NaN: there is nothing
to find; where a measure compares with the pixels outside, a full mask gives NaN too. Ties share their
credit equally, so that a flat map gets the value of chance. ValueError for other input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def _flatten(heatmap: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    if heatmap.ndim != 4 or heatmap.shape[1] != 1 or heatmap.shape != mask.shape:
        raise ValueError(
            f"heatmap and mask must both be (N, 1, H, W), not {tuple(heatmap.shape)} and {tuple(mask.shape)}"
        )
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, not {mask.dtype}")
    if not torch.isfinite(heatmap).all() or (heatmap < 0).any():
        raise ValueError("heatmap must be finite and non-negative")
    return heatmap.flatten(1), mask.flatten(1)


def _where_defined(values: Tensor, defined: Tensor) -> Tensor:
    return torch.where(defined, values, torch.nan)


def pixel_auroc(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Chance that a random pixel of the mask is hotter than one outside, in [0, 1]; 0.5 is chance."""
    heat, inside = _flatten(heatmap, mask)
    ordered, order = heat.sort(dim=1)
    labels = inside.gather(1, order)
    first = torch.searchsorted(ordered, ordered)
    last = torch.searchsorted(ordered, ordered, right=True)
    middle_rank = (first + last + 1).double() / 2
    positives = labels.sum(dim=1).double()
    negatives = labels.shape[1] - positives
    above = (middle_rank * labels).sum(dim=1) - positives * (positives + 1) / 2
    return _where_defined(above / (positives * negatives), (positives > 0) & (negatives > 0))


def pixel_ap(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Average precision of the pixels as a classifier of the mask, in [0, 1]; chance: the mask's area.

    The step-wise sum over distinct thresholds, as scikit-learn defines it.
    """
    heat, inside = _flatten(heatmap, mask)
    ordered, order = heat.sort(dim=1)
    labels = inside.gather(1, order).double()
    first = torch.searchsorted(ordered, ordered)
    hits_from = labels.flip(1).cumsum(1).flip(1)  # mask pixels at least as hot as the k-th
    precision = hits_from.gather(1, first) / (labels.shape[1] - first)
    positives = labels.sum(dim=1)
    return _where_defined((precision * labels).sum(dim=1) / positives, positives > 0)


def relevance_mass(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Share of the heat inside the mask, in [0, 1]; chance: the mask's area.

    A map of zeros counts as flat. Source: Arras et al. 2022 (arXiv 2003.07258).
    """
    heat, inside = _flatten(heatmap, mask)
    # Divided by the maximum first, so that tiny heat neither vanishes nor overflows in the sum.
    heat = heat.double() / heat.amax(dim=1, keepdim=True).double()
    heat = torch.where(heat.isnan(), 1.0, heat)
    share = (heat * inside).sum(dim=1) / heat.sum(dim=1)
    return _where_defined(share, inside.any(dim=1))


def _hottest_inside(heatmap: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Expected number of mask pixels among the k hottest, k being the mask's size; and k. Both (N,)."""
    heat, inside = _flatten(heatmap, mask)
    size = inside.sum(dim=1)
    ordered = heat.sort(dim=1, descending=True).values
    limit = ordered.gather(1, (size - 1).clamp_min(0)[:, None])
    above, tied = heat > limit, heat == limit
    room = (size - above.sum(dim=1)).double() / tied.sum(dim=1)
    hits = (above & inside).sum(dim=1) + room * (tied & inside).sum(dim=1)
    return hits, size.double()


def relevance_rank(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Share of the mask among the k hottest pixels, k being the mask's size, in [0, 1]; chance: its area.

    Source: Arras et al. 2022 (arXiv 2003.07258).
    """
    hits, size = _hottest_inside(heatmap, mask)
    return _where_defined(hits / size, size > 0)


def iou_at_mask_area(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Intersection over union of the mask and as many hottest pixels, in [0, 1]; chance: about a / (2 - a)."""
    hits, size = _hottest_inside(heatmap, mask)
    return _where_defined(hits / (2 * size - hits), size > 0)


def pointing_game(heatmap: Tensor, mask: Tensor) -> Tensor:
    """1 if the hottest pixel is in the mask, else 0; ties: the share of them inside; chance: its area.

    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop".
    """
    heat, inside = _flatten(heatmap, mask)
    hottest = heat == heat.amax(dim=1, keepdim=True)
    share = (hottest & inside).sum(dim=1).double() / hottest.sum(dim=1)
    return _where_defined(share, inside.any(dim=1))


@dataclass(frozen=True)
class Measure:
    """A localisation measure and its chance level, as a function of the mask's share of the area."""

    function: Callable[[Tensor, Tensor], Tensor]
    chance: Callable[[float], float]


LOCALIZATION: dict[str, Measure] = {
    "pixel_auroc": Measure(pixel_auroc, lambda area: 0.5),
    "pixel_ap": Measure(pixel_ap, lambda area: area),
    "relevance_mass": Measure(relevance_mass, lambda area: area),
    "relevance_rank": Measure(relevance_rank, lambda area: area),
    "pointing_game": Measure(pointing_game, lambda area: area),
    "iou_at_mask_area": Measure(iou_at_mask_area, lambda area: area / (2 - area)),
}


def area_share(mask: Tensor) -> Tensor:
    """Share of each image that its mask covers, (N,) float64 in [0, 1]."""
    return mask.flatten(1).double().mean(dim=1)


def dilate(mask: Tensor, pixels: int) -> Tensor:
    """The mask, bool (N, 1, H, W), grown by `pixels` in each direction, diagonals included."""
    if pixels == 0:
        return mask
    grown = F.max_pool2d(mask.float(), 2 * pixels + 1, stride=1, padding=pixels)
    return grown.bool()
