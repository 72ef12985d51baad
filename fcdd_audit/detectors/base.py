"""What a detector is, and the registry of detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from fcdd_audit.detectors.receptive import ReceptiveField, receptive_field
from fcdd_audit.errors import InputError
from fcdd_audit.registry import Registry, check_options
from fcdd_audit.seeding import derive_seed

Side = Literal["nominal", "anomalous"]
MIN_SIDE = 8  # three poolings leave one cell
SIDES: tuple[Side, ...] = ("nominal", "anomalous")


class Scorer(Protocol):
    """All that explaining asks of every model; some explainers ask for more (see `unavailable`)."""

    def score(self, x: Tensor) -> Tensor:
        """Anomaly scores, (N,), higher is more anomalous, of images (N, C, H, W) in [0, 1]."""
        ...


class Detector(nn.Module, ABC):
    """A detector that this package trains.

    Subclasses set `features` (their convolutions) and define `score` and `loss`; those whose score is
    a mean over a map also define `anomaly_map(x) -> (N, 1, H, W)`, non-negative, which is their native
    explanation.

    shape: (C, H, W) of the images. mean, std: per channel, of the nominal training images in [0, 1].
    """

    learns_from: ClassVar[tuple[Side, ...]] = SIDES
    features: nn.Sequential

    def __init__(self, shape: tuple[int, int, int], mean: Tensor, std: Tensor) -> None:
        super().__init__()
        if min(shape[1:]) < MIN_SIDE:
            raise InputError(
                f"images of {shape[2]}x{shape[1]} px are too small for a detector; at least {MIN_SIDE} px "
                "are needed (--image-size)"
            )
        self.shape = shape
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1).float())
        self.register_buffer("std", std.reshape(1, -1, 1, 1).float())

    def normalise(self, x: Tensor) -> Tensor:
        """Images in [0, 1] to zero mean and unit variance over the nominal training images."""
        return (x - self.mean) / self.std

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """Anomaly scores, (N,), higher is more anomalous, of images (N, C, H, W) in [0, 1]."""

    @abstractmethod
    def loss(self, x: Tensor, label: Tensor) -> Tensor:
        """Mean training loss of a batch; label: (N,), 0 nominal, 1 anomalous. Any mix of labels."""

    def start(self, nominal: Tensor) -> None:
        """Called once before training with nominal training images, (N, C, H, W) in [0, 1]."""

    def end_epoch(self, epoch: int) -> None:
        """Called after each epoch, counted from 0."""

    @property
    def cam_layer(self) -> nn.Module:
        """The output of the last convolution block, after its batch norm and activation: what Grad-CAM
        looks at. (The bare convolution's output isn't a property of the network's function.)"""
        return self.features[-1]

    @property
    def cam_field(self) -> ReceptiveField:
        """Receptive field of that layer's cells."""
        return receptive_field(self.features)


DETECTORS: Registry[type[Detector]] = Registry("detector")


def _mean_and_std(images: Tensor) -> tuple[Tensor, Tensor]:
    """Per channel, of uint8 images (N, C, H, W) in [0, 1]; from histograms, so that nothing is copied."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in images.unbind(dim=1)])
    share = counts / counts.sum(dim=1, keepdim=True)
    mean = (share * levels).sum(dim=1)
    variance = (share * (levels - mean[:, None]).square()).sum(dim=1)
    return mean, variance.sqrt().clamp_min(1e-3)


def build(
    name: str,
    nominal: Tensor,
    seed: int,
    options: dict[str, object] | None = None,
) -> Detector:
    """A detector with its initial weights, which depend only on `seed`, the name, its options and the
    images' shape.

    nominal: the clean nominal training images, uint8 (N, C, H, W), for shape, mean and standard deviation.
    InputError for an unknown name or option.
    """
    kind = DETECTORS[name]
    check_options(name, kind, options or {})
    mean, std = _mean_and_std(nominal)
    channels, height, width = nominal.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, f"initial weights of {name}"))
        return kind((channels, height, width), mean, std, **(options or {}))
