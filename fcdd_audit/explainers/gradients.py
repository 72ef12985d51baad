"""Gradients of the score with respect to the image: how it would change with a pixel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from captum.attr import NoiseTunnel, Saliency
from torch import Tensor, nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.base import Scorer
from fcdd_audit.explainers.base import EXPLAINERS, SLOPE, GradientMap, magnitude, no_gradient
from fcdd_audit.explainers.smoothing import Smoothing

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU)


def _gradient(detector: Scorer, x: Tensor) -> Tensor:
    """Signed, like x."""
    return Saliency(detector.score).attribute(x.clone().requires_grad_(), abs=False)


@EXPLAINERS.register("gradient")
class Gradient(GradientMap):
    """Absolute gradient of the anomaly score, summed over channels (Simonyan et al., arXiv 1312.6034)."""

    either_way = True
    unit = SLOPE

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return magnitude(_gradient(detector, x))


@EXPLAINERS.register("blurred-gradient")
@dataclass(frozen=True)
class BlurredGradient(Smoothing):
    """The gradient map, blurred as wide as FCDD's map; the paper's heatmap for HSC.

    sigma: of the Gaussian, in pixels; default 0.4 of the stride of the detector's features.
    """

    reference = False
    either_way = True
    unit = SLOPE
    signed = False

    def unavailable(self, detector: Scorer) -> str | None:
        return no_gradient(detector) or self.no_field(detector)

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return self.smooth(detector, magnitude(_gradient(detector, x)))


@EXPLAINERS.register("smooth-grad")
@dataclass(frozen=True)
class SmoothGrad(GradientMap):
    """SmoothGrad: mean gradient over noisy copies of the image, its absolute value summed over channels.

    samples: noisy copies. noise: standard deviation of the noise, for images in [0, 1].
    Source: Smilkov et al. 2017 (arXiv 1706.03825).
    """

    either_way = True
    unit = SLOPE
    shares_stream: ClassVar[bool] = True  # captum draws from torch's one: no two may explain at a time

    samples: int = 10
    noise: float = 0.1

    def __post_init__(self) -> None:
        if self.samples < 1 or self.noise <= 0:
            raise InputError(
                f"smooth-grad has {self.samples} samples with noise {self.noise}; at least 1 sample and "
                "noise over 0 are needed"
            )

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        tunnel = NoiseTunnel(Saliency(detector.score))
        with _drawing_from(generator, x.device):
            mean = tunnel.attribute(
                x.clone().requires_grad_(),
                nt_samples=self.samples,
                nt_samples_batch_size=1,  # bounds the memory
                stdevs=self.noise,
                abs=False,
            )
        return magnitude(mean)


@contextmanager
def _drawing_from(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """captum draws from torch's global stream: seed it from the generator, and leave it as it was."""
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        torch.manual_seed(seed)
        yield


@EXPLAINERS.register("guided-backprop")
class GuidedBackprop(GradientMap):
    """Gradient that passes rectifiers only where it is positive, its absolute value summed over channels.

    captum's guides `nn.ReLU` only and would give the bare gradient of the networks here; this one guides
    leaky ones too, and equals captum's where there is no other.
    Source: Springenberg et al. 2015 (arXiv 1412.6806).
    """

    either_way = True
    unit = SLOPE

    def unavailable(self, detector: Scorer) -> str | None:
        found = _rectifiers(detector)
        if (reason := no_gradient(detector)) is not None:
            return reason
        if not found:
            return "the detector has no module with a (leaky) ReLU whose gradient could be guided"
        if any(module.inplace for module in found):
            return "its rectifiers work in place (inplace=True), so that their gradient can't be guided"
        return None

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        hooks = [module.register_full_backward_hook(_positive) for module in _rectifiers(detector)]
        try:
            return magnitude(_gradient(detector, x))
        finally:
            for hook in hooks:
                hook.remove()


def _rectifiers(detector: Scorer) -> list[nn.ReLU | nn.ReLU6 | nn.LeakyReLU]:
    modules = detector.modules() if isinstance(detector, nn.Module) else ()
    return [module for module in modules if isinstance(module, RECTIFIERS)]


def _positive(module: nn.Module, inputs: tuple[Tensor, ...], outputs: object) -> tuple[Tensor, ...]:
    return tuple(gradient.clamp_min(0) for gradient in inputs)
