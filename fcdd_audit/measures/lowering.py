"""What lowered the score: the negative part of a signed map against a mask, one number an image.

Measures of the family `signed` take

    heatmap: (N, 1, H, W), float, finite; what is positive raised the score, what is negative lowered it
    mask:    (N, 1, H, W), bool, on the same device

and return (N,) float64 on that device. An empty mask gives NaN. ValueError for other input.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.measures.localization import excess, pixel_auroc
from fcdd_audit.measures.table import Measure, family, register


def lowering_pixel_auroc(heatmap: Tensor, mask: Tensor) -> Tensor:
    """Pixel AUROC of the negative part of a signed heatmap: how often a random pixel of the mask lowered the
    score more than a random one outside; ties count half.

    What avoids the mask is under 0.5. Its level of chance isn't 0.5 but `lowering_chance`.
    """
    return pixel_auroc((-heatmap).clamp_min(0), mask)


LOWERING = register(
    Measure(
        name="lowering_pixel_auroc",
        label="pixel AUROC of what lowers",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=lowering_pixel_auroc,
        source=None,
        family="signed",
        row=None,
    )
)


def signed_relevance(heatmap: Tensor, mask: Tensor) -> Tensor:
    """What is in the mask of a signed heatmap, raising less lowering, over all that raises or lowers.
    Negative: what is there lowered the score. It stands beside what the score does when that is taken off.

    A map of zeros gives 0.
    """
    inside = (heatmap * mask).flatten(1).sum(dim=1, dtype=torch.float64)
    total = heatmap.abs().flatten(1).sum(dim=1, dtype=torch.float64)
    share = torch.where(total > 0, inside / torch.where(total > 0, total, 1), 0)
    return torch.where(mask.flatten(1).any(dim=1), share, torch.nan)


SIGNED_RELEVANCE = register(
    Measure(
        name="signed_relevance",
        label="signed relevance in the mask",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=signed_relevance,
        source=None,
        family="signed",
        row=None,
    )
)


def lowering_chance(heatmap: Tensor, mask: Tensor) -> Tensor:
    """`lowering_pixel_auroc` on images without the artifact, each with the mask of another image: what the
    negative part of the same explainer's map has at that place anyway.

    heatmap: of images without the artifact. mask: where it is on the same images when they bear it. Each map
    is compared with the mask of the image before it, the first one with that of the last.
    """
    return lowering_pixel_auroc(heatmap, mask.roll(1, dims=0))


LOWERING_CHANCE = register(
    Measure(
        name="lowering_chance",
        label="chance level of what lowers",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=lowering_chance,
        source=None,
        family="elsewhere",
        row=None,
    )
)


def lowering_excess(planted: np.ndarray, control: np.ndarray) -> float:
    """`lowering_pixel_auroc` of the planted twin's map less that of its control's on the same images, the
    mean. A control that avoids the artifact makes it positive too: it says nothing without
    `lowering_above_chance`.

    planted, control: (images,); an image that is NaN for one of them doesn't count.
    """
    return excess(planted, control)


LOWERING_EXCESS = register(
    Measure(
        name="lowering_excess",
        label="excess pixel AUROC of what lowers",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=lowering_excess,
        source=None,
        family="pair",
        row=None,
    )
)


def lowering_above_chance(planted: np.ndarray, chance: np.ndarray) -> float:
    """`lowering_pixel_auroc` of the planted twin's map less its own level of chance, `lowering_chance`, the
    mean. At 0 what lowers the score lies in the mask no more than it does without the artifact.

    planted, chance: (images,); NaN don't count.
    """
    return float(np.nanmean(planted) - np.nanmean(chance))


LOWERING_ABOVE_CHANCE = register(
    Measure(
        name="lowering_above_chance",
        label="what lowers, above its own chance",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=lowering_above_chance,
        source=None,
        family="pair",
        row=None,
    )
)


def measure_signed(heatmap: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """All measures of the family `signed` by name."""
    return {measure.name: measure.function(heatmap, mask) for measure in family("signed")}
