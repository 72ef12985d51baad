"""How well a heatmap coincides with a mask, one number an image.

Every measure takes

    heatmap: (N, 1, H, W), float, finite, non-negative, higher is more responsible; or the same, `Ranked`,
        to sort it once for several measures and masks
    mask:    (N, 1, H, W), bool

and returns (N,) float64 on the same device, higher is better. An empty mask gives NaN: there is nothing
to find; pixel AUROC, which compares with the pixels outside, is NaN for a full mask too. Ties share their
credit equally, so that a flat map gets the value of chance. ValueError for other input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Ranked:
    """Heatmaps with their pixels sorted.

    shape: of the heatmaps, (N, 1, H, W). heat: (N, P), P = H * W. ordered: its rows sorted ascending.
    order: where each sorted pixel comes from. first, last: for each sorted pixel, how many are colder, and
    how many are at most as hot; all (N, P).
    """

    shape: torch.Size
    heat: Tensor
    ordered: Tensor
    order: Tensor
    first: Tensor
    last: Tensor

    @classmethod
    def of(cls, heatmap: Tensor) -> Ranked:
        """Check and sort heatmaps, (N, 1, H, W); ValueError if they aren't finite and non-negative."""
        if heatmap.ndim != 4 or heatmap.shape[1] != 1:
            raise ValueError(f"heatmap must be (N, 1, H, W), not {tuple(heatmap.shape)}")
        if not heatmap.is_floating_point() or not torch.isfinite(heatmap).all() or (heatmap < 0).any():
            raise ValueError("heatmap must be float, finite and non-negative")
        heat = heatmap.flatten(1)
        ordered, order = heat.sort(dim=1)
        first = torch.searchsorted(ordered, ordered)
        last = torch.searchsorted(ordered, ordered, right=True)
        return cls(heatmap.shape, heat, ordered, order, first, last)


def _prepare(heatmap: Tensor | Ranked, mask: Tensor) -> tuple[Ranked, Tensor]:
    ranked = heatmap if isinstance(heatmap, Ranked) else Ranked.of(heatmap)
    if mask.dtype != torch.bool or mask.shape != ranked.shape:
        raise ValueError(
            f"mask must be bool and of the heatmap's shape {tuple(ranked.shape)}, not {mask.dtype} "
            f"{tuple(mask.shape)}"
        )
    return ranked, mask.flatten(1)


def _where_defined(values: Tensor, defined: Tensor) -> Tensor:
    return torch.where(defined, values, torch.nan)


def pixel_auroc(heatmap: Tensor | Ranked, mask: Tensor) -> Tensor:
    """Chance that a random pixel of the mask is hotter than one outside, in [0, 1]; 0.5 is chance."""
    ranked, inside = _prepare(heatmap, mask)
    labels = inside.gather(1, ranked.order)
    middle_rank = (ranked.first + ranked.last + 1).double() / 2
    positives = labels.sum(dim=1).double()
    negatives = labels.shape[1] - positives
    above = (middle_rank * labels).sum(dim=1) - positives * (positives + 1) / 2
    return _where_defined(above / (positives * negatives), (positives > 0) & (negatives > 0))


def pixel_ap(heatmap: Tensor | Ranked, mask: Tensor) -> Tensor:
    """Average precision of the pixels as a classifier of the mask, in [0, 1]; chance: the mask's area.

    The step-wise sum over distinct thresholds, as scikit-learn defines it.
    """
    ranked, inside = _prepare(heatmap, mask)
    labels = inside.gather(1, ranked.order).double()
    hits_from = labels.flip(1).cumsum(1).flip(1)  # mask pixels at least as hot as the k-th
    precision = hits_from.gather(1, ranked.first) / (labels.shape[1] - ranked.first)
    positives = labels.sum(dim=1)
    return _where_defined((precision * labels).sum(dim=1) / positives, positives > 0)


def relevance_mass(heatmap: Tensor | Ranked, mask: Tensor) -> Tensor:
    """Share of the heat inside the mask, in [0, 1]; chance: the mask's area.

    A map of zeros counts as flat. Source: Arras et al. 2022 (arXiv 2003.07258).
    """
    ranked, inside = _prepare(heatmap, mask)
    # Divided by the maximum first, so that tiny heat neither vanishes nor overflows in the sum.
    heat = ranked.heat.double() / ranked.ordered[:, -1:].double()
    heat = torch.where(heat.isnan(), 1.0, heat)
    share = (heat * inside).sum(dim=1) / heat.sum(dim=1)
    return _where_defined(share, inside.any(dim=1))


def _hottest_inside(heatmap: Tensor | Ranked, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Expected number of mask pixels among the k hottest, k being the mask's size; and k. Both (N,)."""
    ranked, inside = _prepare(heatmap, mask)
    size = inside.sum(dim=1)
    limit = ranked.ordered.gather(1, (inside.shape[1] - size.clamp_min(1))[:, None])
    above, tied = ranked.heat > limit, ranked.heat == limit
    room = (size - above.sum(dim=1)).double() / tied.sum(dim=1)
    hits = (above & inside).sum(dim=1) + room * (tied & inside).sum(dim=1)
    return hits, size.double()


def relevance_rank(heatmap: Tensor | Ranked, mask: Tensor) -> Tensor:
    """Share of the mask among the k hottest pixels, k being the mask's size, in [0, 1]; chance: its area.

    Source: Arras et al. 2022 (arXiv 2003.07258).
    """
    hits, size = _hottest_inside(heatmap, mask)
    return _where_defined(hits / size, size > 0)


def iou_at_mask_area(heatmap: Tensor | Ranked, mask: Tensor) -> Tensor:
    """Intersection over union of the mask and as many hottest pixels, in [0, 1].

    Chance: about a / (2 - a) for a mask of area a.
    """
    hits, size = _hottest_inside(heatmap, mask)
    return _where_defined(hits / (2 * size - hits), size > 0)


def pointing_game(heatmap: Tensor | Ranked, mask: Tensor) -> Tensor:
    """1 if the hottest pixel is in the mask, else 0; ties: the share of them inside; chance: its area.

    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop".
    """
    ranked, inside = _prepare(heatmap, mask)
    hottest = ranked.heat == ranked.ordered[:, -1:]
    share = (hottest & inside).sum(dim=1).double() / hottest.sum(dim=1)
    return _where_defined(share, inside.any(dim=1))


@dataclass(frozen=True)
class Measure:
    """A localisation measure and its chance level, as a function of the mask's share of the area."""

    function: Callable[[Tensor | Ranked, Tensor], Tensor]
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
