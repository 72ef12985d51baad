"""What a detector is, and the registry of detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import Registry, check_options, suggest
from fcdd_audit.core.seeding import derive_seed
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.detectors.networks import Network
from fcdd_audit.detectors.receptive import ACTIVATIONS, ReceptiveField, leaves, receptive_field

MIN_SIDE = 8  # three poolings leave one cell
NORMALISATIONS = ("nominal", "imagenet", "contrast")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MIN_STD = 1e-3
FLAT = 1e-6  # a mean deviation below is rounding
CHUNK = 2**24  # values taken up at once


class Scorer(Protocol):
    """All that explaining asks of every model; some explainers ask for more (see `unavailable`)."""

    def score(self, x: Tensor) -> Tensor:
        """Anomaly scores, (N,), higher is more anomalous, of images (N, C, H, W) in [0, 1]."""
        ...


class Detector(nn.Module, ABC):
    """A detector that this package trains.

    Subclasses set `features` (their convolutions) and define `score` and `loss`; those whose score is
    a mean over a map also define `anomaly_map(x) -> (N, 1, H, W)`, non-negative, which is their native
    explanation, and `anomaly_field`, the receptive field of that map's cells. Those that define `layers` or
    `outputs` can be explained by rules for each layer: with `shares` by LRP, with `chords` by DeepLIFT.

    shape: (C, H, W) of the images. mean, std, scale: a `Normalisation`'s mean, std and mode.
    """

    learns_from: ClassVar[tuple[Side, ...]] = SIDES
    uses_masks: bool = False  # whether `loss` does
    features: nn.Sequential
    anomaly_field: ReceptiveField | None = None

    def __init__(
        self, shape: tuple[int, int, int], mean: Tensor, std: Tensor, scale: str = "nominal"
    ) -> None:
        super().__init__()
        if min(shape[1:]) < MIN_SIDE:
            raise InputError(
                f"images of {shape[2]}x{shape[1]} px are too small for a detector; at least {MIN_SIDE} px "
                "are needed (--image-size)"
            )
        self.shape, self.scale = shape, scale
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1).float())
        self.register_buffer("std", std.reshape(1, -1, 1, 1).float())

    def normalise(self, x: Tensor) -> Tensor:
        """Images in [0, 1] as the network gets them (see `Normalisation`); differentiable."""
        return ((local_contrast(x) if self.scale == "contrast" else x) - self.mean) / self.std

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """Anomaly scores, (N,), higher is more anomalous, of images (N, C, H, W) in [0, 1]."""

    @abstractmethod
    def loss(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean training loss of a batch; label: (N,), 0 nominal, 1 anomalous. Any mix of labels.

        mask: (N, 1, H, W), bool or in [0, 1], where the anomaly is, of detectors that use masks.
        """

    @property
    def layers(self) -> nn.Sequential | None:
        """The whole network as one stack, normalised images to outputs; None where it isn't one."""
        return None

    def outputs(self, normalised: Tensor) -> Tensor:
        """What the network makes of normalised images, (N, ...): what its score is computed from."""
        if self.layers is None:
            raise NotImplementedError(f"{type(self).__name__} doesn't say what its outputs are")
        return self.layers(normalised)

    def shares(self, outputs: Tensor) -> Tensor:
        """What each of the outputs contributes to the score, like `outputs`; they add up to the score, but
        for a constant."""
        raise NotImplementedError(f"{type(self).__name__} doesn't say what its outputs contribute")

    def chords(self, after: Tensor, before: Tensor) -> Tensor:
        """Weights of the outputs, like them, by which their change from `before` to `after` adds up to the
        score's: (chords * (after - before)) summed is the difference of the scores, exactly."""
        raise NotImplementedError(f"{type(self).__name__} doesn't say what changes of its outputs do")

    def defines(self, method: str) -> bool:
        """Whether `outputs`, `shares` or `chords` is the detector's own: rules begin there."""
        return getattr(type(self), method) is not getattr(Detector, method)

    def start(self, nominal: Tensor) -> None:
        """Called once before training with up to 512 nominal training images, uint8 (N, C, H, W), on the
        detector's device; images in [0, 1] are these divided by 255."""

    def end_epoch(self, epoch: int) -> None:
        """Called after each epoch, counted from 0."""

    def _to_cam_layer(self) -> list[nn.Module]:
        layers = leaves(self.features)
        active = [place for place, layer in enumerate(layers, 1) if isinstance(layer, ACTIVATIONS)]
        return layers[: active[-1]] if active else layers

    @property
    def cam_layer(self) -> nn.Module:
        """What Grad-CAM looks at: the features' last activation, or last layer if they have none. (A bare
        convolution's output isn't a property of the network's function.)"""
        return self._to_cam_layer()[-1]

    @property
    def cam_field(self) -> ReceptiveField:
        """Receptive field of that layer's cells."""
        return receptive_field(nn.Sequential(*self._to_cam_layer()))

    @property
    def map_field(self) -> ReceptiveField:
        """Receptive field of the features' cells."""
        return receptive_field(self.features)


DETECTORS: Registry[type[Detector]] = Registry("detector")


@dataclass(frozen=True)
class Normalisation:
    """What turns images in [0, 1] into a network's input, (f(x) - mean) / std.

    mode: `nominal` (f is nothing; mean and standard deviation of the nominal training images, per
    channel), `imagenet` (those of ImageNet; of grey images the mean over its channels), or `contrast`
    (f is `local_contrast`; minimum and range of the nominal training images after it, per channel).
    mean, std: (C,).
    """

    mode: str
    mean: Tensor
    std: Tensor


def normalisation(mode: str, nominal: Tensor) -> Normalisation:
    """The `Normalisation` by that mode for nominal training images, uint8 (N, C, H, W).

    InputError for an unknown mode, or for `imagenet` and neither 1 nor 3 channels.
    """
    if mode not in NORMALISATIONS:
        known = ", ".join(NORMALISATIONS)
        raise InputError(
            f"unknown normalisation '{mode}'{suggest(mode, list(NORMALISATIONS))} (known: {known})"
        )
    if mode == "imagenet":
        mean, std = _imagenet(nominal.shape[1])
    else:
        mean, std = _mean_and_std(nominal) if mode == "nominal" else _contrast_range(nominal)
    return Normalisation(mode, mean, std)


def local_contrast(x: Tensor) -> Tensor:
    """Each image minus its mean, over its mean absolute deviation, both over channels and pixels.

    (N, C, H, W) to the same; an image without any contrast becomes 0, up to rounding.
    Source: FCDD (arXiv 2007.01760), its Fashion-MNIST and MVTec-AD experiments.
    """
    centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
    deviation = centred.abs().mean(dim=(1, 2, 3), keepdim=True)
    return centred / torch.where(deviation < FLAT, 1.0, deviation)


def _imagenet(channels: int) -> tuple[Tensor, Tensor]:
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    if channels == 1:
        return mean.mean(dim=0, keepdim=True), std.mean(dim=0, keepdim=True)
    if channels != 3:
        raise InputError(
            f"imagenet normalisation needs images of 1 or 3 channels, and these have {channels}; "
            "choose nominal"
        )
    return mean, std


def _chunks(images: Tensor) -> Iterator[Tensor]:
    """A few images at a time, so that memory-mapped ones aren't copied whole."""
    yield from images.split(max(1, CHUNK // prod(images.shape[1:])))


def _contrast_range(images: Tensor) -> tuple[Tensor, Tensor]:
    """Minimum and range per channel of uint8 images (N, C, H, W) after `local_contrast`."""
    changed = (local_contrast(chunk.float() / 255) for chunk in _chunks(images))
    ends = [torch.stack(torch.aminmax(x.transpose(0, 1).flatten(1), dim=1)) for x in changed]
    lowest, highest = torch.stack(ends).unbind(dim=1)
    lowest, highest = lowest.amin(dim=0), highest.amax(dim=0)
    return lowest, (highest - lowest).clamp_min(MIN_STD)


def _mean_and_std(images: Tensor) -> tuple[Tensor, Tensor]:
    """Per channel, of uint8 images (N, C, H, W) in [0, 1]; from histograms."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for chunk in _chunks(images):
        counts += torch.stack([channel.flatten().bincount(minlength=256) for channel in chunk.unbind(dim=1)])
    share = counts / counts.sum(dim=1, keepdim=True)
    mean = (share * levels).sum(dim=1)
    variance = (share * (levels - mean[:, None]).square()).sum(dim=1)
    return mean, variance.sqrt().clamp_min(MIN_STD)


def build(
    name: str,
    nominal: Tensor,
    seed: int,
    options: dict[str, object] | None = None,
    network: str | Network = "small",
    normalise: str = "nominal",
) -> Detector:
    """A detector with its initial weights, which depend only on `seed`, the name, its options, the network
    and the images' shape.

    nominal: the clean nominal training images, uint8 (N, C, H, W), for shape and normalisation.
    network: a name in NETWORKS, or a network. normalise: a mode of `Normalisation`.
    InputError for an unknown name, option, network or normalisation, or images that they can't take.
    """
    kind = DETECTORS[name]
    check_options(name, kind, options or {})
    scale = normalisation(normalise, nominal)
    channels, height, width = nominal.shape[1:]
    given: dict[str, Any] = {"network": network, "scale": scale.mode, **(options or {})}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, f"initial weights of {name}"))
        return kind((channels, height, width), scale.mean, scale.std, **given)
