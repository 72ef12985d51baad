"""Confetti: synthetic anomalies made from nominal images.

As in the experiments on MVTec-AD of Liznerski et al., "Explainable Deep One-Class Classification"
(ICLR 2021, arXiv 2007.01760): smoothed, rotated squares darken an image, or brighten one that is too dark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

REFERENCE_SIDE = 224  # px; what the numbers below are for
COLOURED, BLACK = 1.8e-5, 1.2e-5  # probability that a pixel is the centre of a blob, by layer
SIDES = (8.0, 54.0)  # px
MAX_ANGLE = math.radians(45)
RADIUS, SIGMA = 12, 5.0  # px; of the Gaussian, whose kernel is 2 * RADIUS + 1 px wide
DARKEST = -255.0
LEAST_CHANGE = 0.025  # grey levels
MIN_SIDE = 16


@dataclass(frozen=True)
class _Plan:
    """What all images of one size share: `scale` to the reference side, the margin that smoothing needs,
    and the Gaussian as two matrices, (H, H + 2 * margin) and (W + 2 * margin, W)."""

    height: int
    width: int
    scale: float
    margin: int
    down: Tensor
    across: Tensor


def confetti(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Malformed copies of nominal images, and where they differ.

    images: uint8, (N, C, H, W) on the CPU, C is 1 or 3, H and W at least 16 px. generator: on the CPU; images
    are drawn one after the other, so that the first n of a longer batch equal a batch of n.
    Returns uint8 (N, C, H, W) and bool (N, 1, H, W): the pixels that differ in any channel.

    Two layers of squares are added up. In the coloured one each pixel is a square's centre with
    probability 1.8e-5, and each square adds one random value from -256 to 0 to each channel (grey
    images: one); in the black one it is 1.2e-5 and -255. A layer without a centre gets one. Sides are
    uniform in 8 to 54 px, angles in ±45°; within a layer a later square covers an earlier one. The sum is
    smoothed (Gaussian, 25 px, sigma 5; squares go on beyond the image's edge), added and clamped to
    0 to 255. Where this changes an image by less than 0.025 grey levels on average, and
    subtracting would change it more, the noise is subtracted. So a black image, which nothing darkens, is
    brightened, and no image stays as it was.

    These numbers are for 224 px. At another size, sides, kernel and sigma scale with sqrt(H W) / 224 and the
    probabilities with its inverse square: number and relative size of the squares stay the same. (Near
    16 px a square is at least one pixel and the kernel at least 3 px.)

    ValueError for images of another type, shape or size.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images are uint8 (N, 1 or 3, H, W), not {images.dtype} {tuple(images.shape)}")
    if min(images.shape[2:]) < MIN_SIDE:
        raise ValueError(f"confetti needs images of at least {MIN_SIDE} px, not {tuple(images.shape[2:])}")
    plan = _plan(*images.shape[2:])
    malformed = torch.empty_like(images, memory_format=torch.contiguous_format)
    for image, target in zip(images, malformed, strict=True):
        target.copy_(_malform(image, _noise(plan, len(image), generator)))
    return malformed, (malformed != images).any(dim=1, keepdim=True)


def _plan(height: int, width: int) -> _Plan:
    scale = math.sqrt(height * width) / REFERENCE_SIDE
    margin = max(1, round(RADIUS * scale))
    offsets = torch.arange(-margin, margin + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / (SIGMA * scale)) ** 2)
    kernel = (kernel / kernel.sum()).float()
    across = _band(kernel, width).T.contiguous()
    return _Plan(height, width, scale, margin, _band(kernel, height), across)


def _band(kernel: Tensor, side: int) -> Tensor:
    """(side, side + len(kernel) - 1): row i holds the kernel from column i on."""
    band = torch.zeros(side, side + len(kernel) - 1)
    for row in range(side):
        band[row, row : row + len(kernel)] = kernel
    return band


def _noise(plan: _Plan, channels: int, generator: torch.Generator) -> Tensor:
    """One image's smoothed noise, float (C, H, W), nowhere above 0."""
    drawn = torch.rand((2, plan.height * plan.width), generator=generator)
    canvas = torch.zeros(channels, plan.height + 2 * plan.margin, plan.width + 2 * plan.margin)
    for chance, probability in zip(drawn, (COLOURED, BLACK), strict=True):
        centres = (chance < probability / plan.scale**2).nonzero().flatten()
        if not len(centres):
            centres = torch.randint(len(chance), (1,), generator=generator)
        count = len(centres)
        halves = (SIDES[0] + (SIDES[1] - SIDES[0]) * torch.rand(count, generator=generator)) * plan.scale / 2
        angles = (2 * torch.rand(count, generator=generator) - 1) * MAX_ANGLE
        if probability == COLOURED:
            values = torch.randint(-256, 1, (count, channels, 1), generator=generator).float()
        else:
            values = torch.full((count, channels, 1), DARKEST)
        layer = torch.zeros_like(canvas)
        for centre, half, angle, value in zip(
            centres.tolist(), halves.tolist(), angles.tolist(), values, strict=True
        ):
            row, column = divmod(centre, plan.width)
            _square(layer, row + plan.margin, column + plan.margin, half, angle, value)
        canvas += layer
    return plan.down @ canvas @ plan.across


def _square(layer: Tensor, row: int, column: int, half: float, angle: float, value: Tensor) -> None:
    """Paint one square onto `layer`, (C, H, W): the pixels whose rotated offset is at most `half`."""
    reach = math.ceil(half * math.sqrt(2))
    top, left = max(row - reach, 0), max(column - reach, 0)
    part = layer[:, top : row + reach + 1, left : column + reach + 1]
    down = torch.arange(top - row, top - row + part.shape[1], dtype=torch.float32)[:, None]
    across = torch.arange(left - column, left - column + part.shape[2], dtype=torch.float32)
    cos, sin = math.cos(angle), math.sin(angle)
    furthest = torch.maximum((across * cos + down * sin).abs(), (down * cos - across * sin).abs())
    part[:, furthest <= half] = value


def _malform(image: Tensor, noise: Tensor) -> Tensor:
    """`image` plus `noise`, or minus where that changes it enough and plus doesn't."""
    before = image.float()
    after = _pixels(before + noise)
    change = (after - before).abs().mean()
    if change < LEAST_CHANGE:
        brightened = _pixels(before - noise)
        if (brightened - before).abs().mean() > change:
            after = brightened
    return after.to(torch.uint8)


def _pixels(values: Tensor) -> Tensor:
    return values.clamp_(0, 255).round_()
