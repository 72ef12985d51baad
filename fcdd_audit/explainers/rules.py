"""Contributions by rules for each layer, by captum.

They begin at what the network's last outputs contribute to the score (`Detector.shares`, `Detector.chords`):
no rule of captum's covers the pseudo-Huber norm, the squared distance or the squared residual.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeGuard

import torch
from captum.attr import LRP, DeepLift
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn

from fcdd_audit.detectors.base import Detector, Scorer
from fcdd_audit.explainers.base import EXPLAINERS, SHARE_OF_SCORE, PixelMap, over_channels
from fcdd_audit.explainers.baselines import baseline, check_baseline

# Linear or, for one value each, proportional: the epsilon rule passes their relevance on as it is.
PROPORTIONAL = (nn.LeakyReLU, nn.Flatten, nn.Identity, nn.BatchNorm1d, nn.ReLU6)
LINEAR = (
    *(nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.AvgPool2d),
    *(nn.Flatten, nn.Unflatten, nn.Upsample, nn.Identity, nn.Dropout, nn.Dropout2d),
    *(nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d),
)


NO_STACK = "the detector's network isn't one stack of layers, which LRP's rules are for"


def _unknown(method: str) -> str:
    return f"the detector doesn't say what its network's outputs contribute to its score (outputs, {method})"


def _says(detector: Scorer, method: str) -> TypeGuard[Detector]:
    """Whether the detector says what its outputs are and what they contribute."""
    return (
        isinstance(detector, Detector)
        and detector.defines(method)
        and (detector.layers is not None or detector.defines("outputs"))
    )


def _known(detector: Scorer, method: str) -> Detector:
    """The detector, which says what its outputs contribute; ValueError if it doesn't."""
    if not _says(detector, method):
        raise ValueError(_unknown(method))
    return detector


def _uncovered(layers: nn.Module, known: tuple[type, ...], method: str) -> str | None:
    leaf = next((one for one in layers.modules() if not any(one.children()) and type(one) not in known), None)
    return None if leaf is None else f"{method} has no rule for its {type(leaf).__name__} layers"


class _Chorded(nn.Module):
    """Sum of the network's outputs, weighted by their chords between images and empty ones, the two halves of
    the batch as captum puts it together."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.detector.outputs(x)
        weights = self.detector.chords(*outputs.detach().chunk(2))
        return (outputs * torch.cat([weights, weights])).flatten(1).sum(dim=1)


@EXPLAINERS.register("deep-lift")
@dataclass(frozen=True)
class DeepLiftMap(PixelMap):
    """DeepLIFT (rescale rule) against an empty image, summed over channels, signed.

    baseline: the empty image: mean (the image's mean colour), black or blur. Contributions add up to the
    difference of the two scores, the norm or residual at the network's end included.
    Source: Shrikumar et al. 2017 (arXiv 1704.02685).
    """

    signed = True
    unit = SHARE_OF_SCORE

    baseline: str = "mean"

    def __post_init__(self) -> None:
        check_baseline(self.baseline)

    def unavailable(self, detector: Scorer) -> str | None:
        if not _says(detector, "chords"):
            return _unknown("chords")
        return _uncovered(detector, (*SUPPORTED_NON_LINEAR, *LINEAR), "DeepLIFT")

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return over_channels(self.contributions(detector, x))

    def contributions(self, detector: Scorer, x: Tensor) -> Tensor:
        """Signed, like x."""
        known = _known(detector, "chords")
        with torch.no_grad():
            image, empty = known.normalise(x), known.normalise(baseline(x, self.baseline))
        model = DeepLift(_Chorded(known))
        with _apart(known), warnings.catch_warnings():
            # That it hooks modules; and that un-pooling may not repeat itself: places are unique here.
            warnings.simplefilter("ignore", UserWarning)
            return model.attribute(image.requires_grad_(), empty).detach()


@contextmanager
def _apart(detector: nn.Module) -> Iterator[None]:
    """Gives every rule a tensor of its own. Where a pooling follows an activation, captum hangs the rules of
    both on the tensor between them, in the wrong order: the activation's then passes on a bare gradient."""
    ruled = [module for module in detector.modules() if isinstance(module, tuple(SUPPORTED_NON_LINEAR))]
    hooks = [module.register_forward_pre_hook(lambda _, inputs: inputs[0].clone()) for module in ruled]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Relevance(nn.Module):
    """A stack whose sum of shares is its output, and whose gradient at the stack's outputs is their part of
    it: what captum's LRP takes for the relevance that it starts with."""

    def __init__(self, detector: Detector, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers, self.shares = layers, detector.shares

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.layers(x)
        with torch.no_grad():
            shares = self.shares(outputs).flatten(1)
            total = shares.sum(dim=1)
            parts = shares / torch.where(total == 0, 1.0, total)[:, None]
        moving = outputs.flatten(1)
        return total + (parts * (moving - moving.detach())).sum(dim=1)


@EXPLAINERS.register("lrp")
class LRPMap(PixelMap):
    """Layer-wise relevance propagation (epsilon rule), summed over channels, signed.

    Sources: Bach et al. 2015; for distances as scores Kauffmann et al. 2020 (arXiv 2006.10609).
    """

    signed = True
    unit = SHARE_OF_SCORE

    def unavailable(self, detector: Scorer) -> str | None:
        if not _says(detector, "shares"):
            return _unknown("shares")
        layers = detector.layers
        if layers is None:
            return NO_STACK
        known = (*SUPPORTED_LAYERS_WITH_RULES, *SUPPORTED_NON_LINEAR_LAYERS, *PROPORTIONAL)
        return _uncovered(layers, known, "LRP")

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return over_channels(self.contributions(detector, x))

    def contributions(self, detector: Scorer, x: Tensor) -> Tensor:
        """Relevances, signed, like x."""
        known = _known(detector, "shares")
        layers = known.layers
        if layers is None:
            raise ValueError(NO_STACK)
        for layer in layers.modules():
            if isinstance(layer, PROPORTIONAL):
                layer.rule = EpsilonRule()  # captum takes it off again
        image = known.normalise(x).detach().requires_grad_()
        with torch.enable_grad():
            return LRP(_Relevance(known, layers)).attribute(image).detach()
