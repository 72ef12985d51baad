"""What an explainer is, and the registry of explainers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from fcdd_audit.core.options import check_options
from fcdd_audit.core.registry import Registry
from fcdd_audit.detectors.base import Scorer
from fcdd_audit.detectors.receptive import ReceptiveField


class Explainer(Protocol):
    """Turns a detector and images into heatmaps. What is explained is always the anomaly score.

    Sign rule: a gradient says how the score would change with a pixel, up or down, so that its size counts
    (`magnitude`) and its map has no sign; a contribution says what a pixel did to the score, and its map is
    signed: the positive part raises the score, the negative part lowers it. What measures or shows a map
    takes its `raising` part; where an artifact lowers the score, its `lowering` part too.

    reference: whether the map knows nothing of the model, and is there for comparison only. either_way:
    whether a map without sign shows what lowers the score too. signed: whether maps may be negative. unit:
    what one unit of heat is, in a few words; "" for reference maps, whose heat means nothing.
    """

    reference: bool
    either_way: bool
    signed: bool
    unit: str

    def unavailable(self, detector: Scorer) -> str | None:
        """Why this explainer can't work on this detector, in one line; None if it can."""
        ...

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        """Heatmaps of the images x, (N, C, H, W) in [0, 1], on the detector's device.

        Returns (N, 1, H, W), without graph: higher is more responsible for a high score. Non-negative,
        unless the explainer is `signed`: then what is negative lowers the score.
        generator: on the CPU, for explainers that draw at random.
        """
        ...

    def grain(self, detector: Scorer, side: int) -> ReceptiveField | None:
        """The cells that the map is made of, on images whose smaller side is `side` pixels: an artifact is
        shown no smaller than a cell's stride, and may be shown anywhere in a cell's field. Field and stride
        of 1: pixels. None: not known."""
        ...


EXPLAINERS: Registry[type[Explainer]] = Registry("explainer")

PIXELS = ReceptiveField()
# Units of heat.
SHARE_OF_SCORE = "of the score"
SLOPE = "of the score per unit of brightness"
OWN = "in the unit of the detector's own map"


class PixelMap:
    """A map that has a value of its own for each pixel, and works on any model."""

    reference = False
    either_way = False
    signed = False
    unit = ""

    def unavailable(self, detector: Scorer) -> str | None:
        return None

    def grain(self, detector: Scorer, side: int) -> ReceptiveField | None:
        return PIXELS


def no_gradient(detector: Scorer) -> str | None:
    """Why the gradient of its score can't be had, in one line, if the detector says so; None if it can."""
    return getattr(detector, "no_gradient", None)


class GradientMap(PixelMap):
    """A map of single pixels that is made from gradients of the score."""

    def unavailable(self, detector: Scorer) -> str | None:
        return no_gradient(detector)


def make_explainer(name: str, options: Mapping[str, Mapping[str, Any]]) -> Explainer:
    """The explainer of that name with its options, of all `options` by name.

    InputError for an unknown name or option, or a value that it can't have.
    """
    kind, own = EXPLAINERS[name], options.get(name, {})
    check_options(name, kind, own)
    return kind(**own)


def magnitude(gradient: Tensor) -> Tensor:
    """Signed (N, C, H, W) to (N, 1, H, W): absolute values, summed over channels."""
    return gradient.detach().abs().sum(dim=1, keepdim=True)


def over_channels(contribution: Tensor) -> Tensor:
    """Signed (N, C, H, W) to signed (N, 1, H, W): summed over channels."""
    return contribution.detach().sum(dim=1, keepdim=True)


def raising(heatmap: Tensor) -> Tensor:
    """The part of a map that raises the score, like the map and >= 0; all of one without sign."""
    return heatmap.clamp_min(0)


def lowering(heatmap: Tensor) -> Tensor:
    """How far each pixel lowers the score, like the map and >= 0; nothing in one without sign."""
    return (-heatmap).clamp_min(0)


def second_opinion(explainer: Explainer) -> Explainer | None:
    """The same method with another baseline, on which what it says lowers the score depends, and which has to
    say the same; None where the method has one map to go by."""
    other = getattr(explainer, "other_baseline", None)
    return None if other is None else other()
