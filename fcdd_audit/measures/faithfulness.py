"""What the anomaly score does when pixels are replaced in the order of a heatmap."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fcdd_audit.measures.table import Measure, register

STEPS = 16
SCALE = "inter-quartile ranges of the clean nominal scores"
SOURCE = "Samek et al. 2017; Petsiuk et al. 2018 (arXiv 1806.07421)"
TIES = 0  # seed of the order of equally hot pixels


def deletion_curve(
    score: Callable[[Tensor], Tensor], x: Tensor, heatmap: Tensor, baseline: Tensor, steps: int = STEPS
) -> Tensor:
    """Scores after a share 0, 1/steps, ..., 1 of the pixels, hottest first, was replaced by the baseline's.

    score: (N, C, H, W) to (N,). x, baseline: images (N, C, H, W). heatmap: (N, 1, H, W). Returns
    (N, steps + 1) float64. Equally hot pixels go in one random order, the same for all images, so that a flat
    map is a random one. With more steps than pixels some change nothing. ValueError for other shapes, of
    scores too, a heatmap that isn't finite, or no step.
    """
    return _curve(score, x, baseline, heatmap, steps)


def insertion_curve(
    score: Callable[[Tensor], Tensor], x: Tensor, heatmap: Tensor, baseline: Tensor, steps: int = STEPS
) -> Tensor:
    """Scores after a share 0, 1/steps, ..., 1 of the baseline's pixels, hottest first, was replaced by the
    image's; the rest is as in `deletion_curve`."""
    return _curve(score, baseline, x, heatmap, steps)


@torch.no_grad()
def _curve(
    score: Callable[[Tensor], Tensor], before: Tensor, after: Tensor, heatmap: Tensor, steps: int
) -> Tensor:
    if before.ndim != 4 or before.shape != after.shape:
        raise ValueError(
            f"images and baseline must be (N, C, H, W), not {tuple(before.shape)} and {tuple(after.shape)}"
        )
    if heatmap.shape != (len(before), 1, *before.shape[2:]):
        raise ValueError(f"heatmap must be (N, 1, H, W) like the images, not {tuple(heatmap.shape)}")
    if not torch.isfinite(heatmap).all():
        raise ValueError("heatmap must be finite")
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be at least 1")
    places = _places(heatmap)
    pixels = places.shape[-2:].numel()
    scores = [
        score(torch.where(places < round(step * pixels / steps), after, before)) for step in range(steps + 1)
    ]
    if scores[0].shape != (len(before),):
        raise ValueError(f"score must give (N,), one number an image, not {tuple(scores[0].shape)}")
    return torch.stack(scores, dim=1).double()


def _places(heatmap: Tensor) -> Tensor:
    """Place of each pixel in the order, hottest 0, (N, 1, H, W) int64."""
    heat = heatmap.flatten(1)
    shuffle = torch.randperm(heat.shape[1], generator=torch.Generator().manual_seed(TIES)).to(heat.device)
    order = shuffle[heat[:, shuffle].argsort(dim=1, descending=True, stable=True)]
    return order.argsort(dim=1).reshape(heatmap.shape)


def mean_fall(curve: Tensor) -> Tensor:
    """How far the score lies below its start on average, while pixels are replaced by the mean colour, the
    hottest first; larger: the order found what raises the score.

    curve: (N, steps + 1), averaged by the trapezoid rule. Returns (N,) in units of the curve.
    """
    return curve[:, 0] - _mean(curve)


register(
    Measure(
        name="mean_fall",
        label="mean fall, deletion",
        unit=SCALE,
        bounds=(-math.inf, math.inf),
        chance=None,
        function=mean_fall,
        source=SOURCE,
        family="faithfulness",
        row=("deletion", "mean_fall"),
    )
)


def mean_rise(curve: Tensor) -> Tensor:
    """How far the score lies above its start on average, while pixels of a blurred image are replaced by the
    image's, hottest first; larger: the order found what raises the score.

    The rest is as in `mean_fall`.
    """
    return _mean(curve) - curve[:, 0]


register(
    Measure(
        name="mean_rise",
        label="mean rise, insertion",
        unit=SCALE,
        bounds=(-math.inf, math.inf),
        chance=None,
        function=mean_rise,
        source=SOURCE,
        family="faithfulness",
        row=("insertion", "mean_rise"),
    )
)


def _mean(curve: Tensor) -> Tensor:
    return torch.trapezoid(curve, dim=1) / (curve.shape[1] - 1)
