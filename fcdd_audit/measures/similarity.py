"""How alike two heatmaps of an image are, one number an image.

Both measures take maps a and b, (N, 1, H, W), float and finite, and return (N,) float64 on their device.
ValueError for other input.
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.metrics import structural_similarity as ssim
from torch import Tensor

from fcdd_audit.measures.table import Measure, register

WINDOW = 7  # pixels, of the structural similarity


def _check(a: Tensor, b: Tensor) -> None:
    for maps in (a, b):
        if maps.ndim != 4 or maps.shape[1] != 1 or maps.shape != a.shape:
            raise ValueError(f"maps must be (N, 1, H, W) and alike, not {tuple(a.shape)}, {tuple(b.shape)}")
        if not maps.is_floating_point() or not torch.isfinite(maps).all():
            raise ValueError("maps must be float and finite")


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation over the pixels; ties share their middle rank.

    NaN where one of the maps is flat.
    """
    _check(a, b)
    first, second = _centred_ranks(a), _centred_ranks(b)
    spread = (first.square().sum(dim=1) * second.square().sum(dim=1)).sqrt()
    return torch.where(spread > 0, (first * second).sum(dim=1) / spread, torch.nan).clamp(-1, 1)


def _centred_ranks(maps: Tensor) -> Tensor:
    """(N, P) float64, ranks less their mean."""
    values = maps.flatten(1).contiguous()
    ordered = values.sort(dim=1).values
    first = torch.searchsorted(ordered, values)
    last = torch.searchsorted(ordered, values, right=True)
    return (first + last - values.shape[1]).double() / 2


register(
    Measure(
        name="rank_correlation",
        label="rank correlation",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=rank_correlation,
        source="Spearman 1904; on heatmaps Adebayo et al. 2018 (arXiv 1810.03292)",
        family="similarity",
        row=None,
    )
)


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of the maps, each scaled to [0, 1] by its own least and largest value.

    A flat map is 0 everywhere, so that two flat ones are alike: 1. Even windows of 7 pixels, or the largest
    odd number that fits, as scikit-image has them by default (Wang et al. weigh theirs by a Gaussian).
    ValueError for maps smaller than 3 pixels.
    """
    _check(a, b)
    side = min(a.shape[-2:])
    if side < 3:
        raise ValueError(f"maps must have at least 3 pixels a side, not {side}")
    window = min(WINDOW, side - (side + 1) % 2)
    pairs = zip(_scaled(a), _scaled(b), strict=True)
    values = [ssim(one, other, win_size=window, data_range=1.0) for one, other in pairs]
    return torch.tensor(values, dtype=torch.float64, device=a.device)


register(
    Measure(
        name="structural_similarity",
        label="SSIM",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=structural_similarity,
        source="Wang et al. 2004; on heatmaps Adebayo et al. 2018 (arXiv 1810.03292)",
        family="similarity",
        row=None,
    )
)


def _scaled(maps: Tensor) -> np.ndarray:
    """(N, H, W) float64 on the CPU."""
    maps = maps.double()  # first: a difference of halves may overflow
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    scaled = (maps - low) / torch.where(high > low, high - low, 1.0)
    return scaled[:, 0].cpu().numpy()
