"""Colours of artifacts, on colour and on grey images."""

from __future__ import annotations

import torch
from PIL import ImageColor
from torch import Tensor

from fcdd_audit.core.colours import LUMA
from fcdd_audit.core.errors import InputError


def parse_colour(probe: str, option: str, text: str) -> tuple[float, float, float]:
    """Red, green and blue in [0, 1] of a colour's CSS name or #rrggbb; InputError for anything else."""
    try:
        channels: tuple[int, ...] = ImageColor.getrgb(text)
    except ValueError:
        channels = ()
    if len(channels) != 3:
        raise InputError(
            f"{probe} {option} is '{text}'; it must be an opaque colour such as white, orange or #ff8800"
        )
    red, green, blue = (value / 255 for value in channels)
    return red, green, blue


def in_channels(colour: Tensor, channels: int) -> Tensor:
    """Colours (1, 3, h, w) for images of so many channels: their luminance, (1, 1, h, w), for grey ones."""
    if channels == 3:
        return colour
    return (colour * colour.new_tensor(LUMA).reshape(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def colour_for(x: Tensor, rgb: tuple[float, float, float]) -> Tensor:
    """One colour for images x, (N, C, H, W): (1, C, 1, 1), of x's type and on its device."""
    return in_channels(torch.tensor(rgb).reshape(1, 3, 1, 1), x.shape[1]).to(x)
