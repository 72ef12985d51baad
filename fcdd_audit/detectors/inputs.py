"""What a detector gets: the images' shape, what normalises them, and the network they go into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.detectors.networks import Network

MIN_SIDE = 8  # three poolings leave one cell
NORMALISATIONS = ("nominal", "imagenet", "contrast")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MIN_STD = 1e-3
FLAT = 1e-6  # a mean deviation below is rounding
CHUNK = 2**24  # values taken up at once


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


@dataclass(frozen=True)
class Input:
    """What a detector is made for.

    shape: (C, H, W) of the images; at least 8 px a side. network: a name in NETWORKS, or a network made for
    that shape. InputError for images that are too small.
    """

    shape: tuple[int, int, int]
    normalisation: Normalisation
    network: str | Network = "small"

    def __post_init__(self) -> None:
        _, height, width = self.shape
        if min(height, width) < MIN_SIDE:
            raise InputError(
                f"images of {width}x{height} px are too small for a detector; at least {MIN_SIDE} px "
                "are needed (--image-size)"
            )


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
