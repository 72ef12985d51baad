"""Tones: changes of the whole image, such as another JPEG quality. They have no place, so no mask."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes.base import PROBES
from fcdd_audit.probes.checks import check_interval
from fcdd_audit.probes.colours import colour_for, parse_colour


def _single(x: Tensor) -> Tensor:
    """In single precision at least: half has no filters on the CPU, and rounds 8-bit values."""
    return x if x.dtype == torch.float64 else x.float()


@PROBES.register("tint")
@dataclass(frozen=True)
class Tint:
    """Mixes one colour into the whole image, as a warm lamp or a filter does.

    colour: a name or #rrggbb; grey images get its luminance.
    strength: share of the colour in the mixture, in (0, 1].

    Has no place, so no mask.
    """

    placed: ClassVar[bool] = False

    colour: str = "#ff8800"
    strength: float = 0.2

    def __post_init__(self) -> None:
        parse_colour("tint", "colour", self.colour)
        check_interval("tint", "(0, 1]", strength=self.strength)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        colour = colour_for(x, parse_colour("tint", "colour", self.colour))
        return (x * (1 - self.strength) + colour * self.strength).clamp(0, 1), None


@PROBES.register("brightness")
@dataclass(frozen=True)
class Brightness:
    """Makes the whole image brighter or darker, as another exposure does.

    factor: by which values in [0, 1] are multiplied before they are cut off at 1, in [0, 10] and not 1. Black
        stays black, and white stays white where the factor is over 1.

    Has no place, so no mask.
    """

    placed: ClassVar[bool] = False

    factor: float = 1.25

    def __post_init__(self) -> None:
        check_interval("brightness", "[0, 10]", factor=self.factor)
        if self.factor == 1:
            raise InputError(
                "brightness factor is 1, which changes nothing; use another, such as 1.25 or 0.8"
            )

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        return (x * self.factor).clamp(0, 1), None


@PROBES.register("blur")
@dataclass(frozen=True)
class Blur:
    """Blurs the whole image by a Gaussian, as a lens out of focus does.

    sigma: standard deviation as a share of the image's shorter side, in (0, 0.25]; the kernel ends at three
        of them, and the image is mirrored at its edges.

    Has no place, so no mask.
    """

    placed: ClassVar[bool] = False

    sigma: float = 0.015

    def __post_init__(self) -> None:
        check_interval("blur", "(0, 0.25]", sigma=self.sigma)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        from torchvision.transforms.functional import gaussian_blur  # takes more than a second to import

        sigma = self.sigma * min(x.shape[2:])
        kernel = 2 * math.ceil(3 * sigma) + 1
        blurred = _single(x)
        for size in ([kernel, 1], [1, kernel]):  # one direction after the other takes far less time
            blurred = gaussian_blur(blurred, size, [sigma, sigma])
        return blurred.clamp(0, 1).to(x.dtype), None


@PROBES.register("jpeg")
@dataclass(frozen=True)
class Jpeg:
    """Encodes the image as JPEG and decodes it again, with the traces that this leaves.

    quality: as Pillow and libjpeg count it, in [1, 100]; colour is stored at half the resolution below 100.

    Has no place, so no mask.
    """

    placed: ClassVar[bool] = False

    quality: int = 25

    def __post_init__(self) -> None:
        check_interval("jpeg", "[1, 100]", quality=self.quality)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        stored = (_single(x) * 255).round().clamp(0, 255).to(torch.uint8).cpu().movedim(1, -1).numpy()
        decoded = np.zeros_like(stored)
        for image, pixels in zip(decoded, stored, strict=True):  # Pillow knows no batches
            file = io.BytesIO()
            Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(
                file, "JPEG", quality=self.quality
            )
            image[:] = np.asarray(Image.open(file)).reshape(image.shape)
        return (torch.from_numpy(decoded).movedim(-1, 1).float() / 255).to(x), None


@PROBES.register("noise")
@dataclass(frozen=True)
class Noise:
    """Adds Gaussian noise to every pixel, as a sensor does in the dark.

    std: standard deviation, where the image's values are in [0, 1]; in (0, 1]. Sums are cut off at 0 and 1.

    Has no place, so no mask.
    """

    placed: ClassVar[bool] = False

    std: float = 0.08

    def __post_init__(self) -> None:
        check_interval("noise", "(0, 1]", std=self.std)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        noise = torch.randn(x.shape, generator=generator) * self.std
        return (x + noise.to(x)).clamp(0, 1), None


@PROBES.register("resize")
@dataclass(frozen=True)
class Resize:
    """Makes the image smaller and as large as before again, which leaves less detail.

    factor: from the image's sides to the smaller ones, in (0, 1), at least 1 px; bilinear both ways, and
        anti-aliased on the way down.

    Has no place, so no mask.
    """

    placed: ClassVar[bool] = False

    factor: float = 0.5

    def __post_init__(self) -> None:
        check_interval("resize", "(0, 1)", factor=self.factor)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        sides = x.shape[2:]
        smaller = [max(1, round(self.factor * side)) for side in sides]
        small = F.interpolate(_single(x), smaller, mode="bilinear", antialias=True)
        return F.interpolate(small, sides, mode="bilinear").clamp(0, 1).to(x.dtype), None
