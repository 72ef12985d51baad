"""The networks: ordinary `nn.Sequential` stacks, built from the image's shape."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from fcdd_audit.errors import InputError

WIDTHS = (16, 32, 64)
WIDE_FROM = 128  # from this image side on, one more block keeps the map from growing


def widths_for(side: int) -> tuple[int, ...]:
    """Channels of the convolution blocks for images of `side` px."""
    return WIDTHS if side < WIDE_FROM else (*WIDTHS, WIDTHS[-1])


def convolutions(channels: int, widths: tuple[int, ...], bias: bool = True) -> nn.Sequential:
    """Blocks of 3x3 convolution, batch norm and leaky ReLU, with 2x2 max pooling between them.

    (N, channels, H, W) to (N, widths[-1], H / 2^(n-1), W / 2^(n-1)). The convolutions have no bias, which
    batch norm would undo; without `bias` batch norm has none either, as Deep SVDD needs.
    """
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise((channels, *widths))):
        if index:
            layers.append(nn.MaxPool2d(2))
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after, affine=bias),
            nn.LeakyReLU(0.01),
        ]
    return nn.Sequential(*layers)


def transposed(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """The mirror of `convolutions`: nearest-neighbour upsampling before each convolution but the first.

    (N, widths[-1], h, w) to (N, channels, h * 2^(n-1), w * 2^(n-1)); the last convolution is bare.
    """
    layers: list[nn.Module] = []
    steps = list(pairwise((*reversed(widths), channels)))
    for index, (before, after) in enumerate(steps):
        if index:
            layers.append(nn.Upsample(scale_factor=2))
        layers.append(nn.Conv2d(before, after, 3, padding=1))
        if index < len(steps) - 1:
            layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers)


def _grid(widths: tuple[int, ...], shape: tuple[int, int, int]) -> tuple[int, int]:
    scale = 2 ** (len(widths) - 1)
    return shape[1] // scale, shape[2] // scale


def embedding(
    widths: tuple[int, ...], shape: tuple[int, int, int], dimensions: int, bias: bool = True
) -> nn.Sequential:
    """Features of images of `shape` (C, H, W), as `convolutions` gives them, to (N, dimensions)."""
    if dimensions < 1:
        raise InputError(f"dimensions is {dimensions}; it must be at least 1")
    height, width = (side // 2 for side in _grid(widths, shape))
    return nn.Sequential(
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(widths[-1] * height * width, dimensions, bias=bias),
    )


def expansion(widths: tuple[int, ...], shape: tuple[int, int, int], dimensions: int) -> nn.Sequential:
    """(N, dimensions) to features of images of `shape`: the mirror of `embedding`."""
    height, width = (side // 2 for side in _grid(widths, shape))
    return nn.Sequential(
        nn.Linear(dimensions, widths[-1] * height * width),
        nn.Unflatten(1, (widths[-1], height, width)),
        nn.Upsample(size=_grid(widths, shape)),
    )
