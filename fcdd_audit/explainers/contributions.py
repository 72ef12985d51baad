"""What pixels contribute to the score, up or down, of any model: only its score is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import cast

import torch
from captum.attr import InputXGradient, IntegratedGradients
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.base import Scorer
from fcdd_audit.detectors.receptive import ReceptiveField
from fcdd_audit.explainers.base import EXPLAINERS, SHARE_OF_SCORE, GradientMap, PixelMap, over_channels
from fcdd_audit.explainers.baselines import baseline, check_baseline
from fcdd_audit.explainers.local import remembering


@EXPLAINERS.register("input-x-gradient")
class InputTimesGradient(GradientMap):
    """Pixel times gradient, summed over channels, signed; a black pixel gets none.

    Source: Shrikumar et al. 2016 (arXiv 1605.01713).
    """

    signed = True
    unit = SHARE_OF_SCORE

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return over_channels(InputXGradient(detector.score).attribute(x.clone().requires_grad_()))


@EXPLAINERS.register("integrated-gradients")
@dataclass(frozen=True)
class IntegratedGradientsMap(GradientMap):
    """Integrated gradients from an empty image, summed over channels, signed.

    baseline: the empty image: mean (the image's mean colour), black or blur. steps: of the integral.
    Source: Sundararajan et al. 2017 (arXiv 1703.01365).
    """

    signed = True
    unit = SHARE_OF_SCORE

    baseline: str = "mean"
    steps: int = 16

    def __post_init__(self) -> None:
        check_baseline(self.baseline)
        if self.steps < 1:
            raise InputError(f"integrated-gradients has {self.steps} steps; at least 1 is needed")

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        found = IntegratedGradients(detector.score).attribute(
            x.clone().requires_grad_(),
            baseline(x, self.baseline),
            n_steps=self.steps,
            internal_batch_size=len(x),  # a step at a time, to bound the memory
        )
        return over_channels(cast(Tensor, found))


@EXPLAINERS.register("occlusion")
@dataclass(frozen=True)
class OcclusionMap(PixelMap):
    """Occlusion: how far the score falls when a sliding square is emptied, signed; it may rise.

    baseline: what is put there: mean (the image's mean colour), black or blur. window: the square's side, as
    a share of the image's smaller side; it moves by half of that.
    Source: Zeiler & Fergus 2014 (arXiv 1311.2901).
    """

    signed = True
    unit = SHARE_OF_SCORE

    baseline: str = "mean"
    window: float = 0.25

    def __post_init__(self) -> None:
        check_baseline(self.baseline)
        if not 0 < self.window <= 1:
            raise InputError(f"occlusion window is {self.window}; it is a share and must be in (0, 1]")

    def other_baseline(self) -> OcclusionMap:
        """Emptied in another way: a square of the mean colour may itself be unusual, and so may a blurred
        one. What lowers the score must lower it by both."""
        return replace(self, baseline="mean" if self.baseline == "blur" else "blur")

    def grain(self, detector: Scorer, side: int) -> ReceptiveField:
        window = max(1, round(self.window * side))
        return ReceptiveField(window, max(1, window // 2), (window - 1) / 2)

    @torch.no_grad()
    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        cell, empty = self.grain(detector, min(x.shape[-2:])), baseline(x, self.baseline)
        falls, times = x.new_zeros(len(x), 1, *x.shape[-2:]), x.new_zeros(x.shape[-2:])
        with remembering(detector):
            score = detector.score(x)
            # One window of all images at a time: a larger batch doesn't fit a core's cache, and takes longer.
            for rows, columns in product(*(_windows(side, cell.size, cell.stride) for side in x.shape[-2:])):
                hidden = x.clone()
                hidden[..., rows, columns] = empty[..., rows, columns]
                falls[..., rows, columns] += (score - detector.score(hidden)).view(-1, 1, 1, 1)
                times[rows, columns] += 1
        return falls / times


def _windows(side: int, size: int, stride: int) -> list[slice]:
    """Windows along a side, from border to border; the last may be cut off."""
    count = math.ceil(max(0, side - size) / stride) + 1
    return [slice(place * stride, min(side, place * stride + size)) for place in range(count)]
