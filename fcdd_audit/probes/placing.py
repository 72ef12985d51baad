"""Stamps in a corner: a margin away from both its edges, displaced at random, inside the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes.checks import check_choice, check_interval

CORNERS = ("upper-left", "upper-right", "lower-left", "lower-right")


@dataclass(frozen=True)
class Drawing:
    """A stamp at the size that it has on the images.

    colour: in [0, 1], of a shape that broadcasts to (N, C, h, w). opacity: (h, w) in [0, 1]. mask: bool
    (h, w), what counts as the artifact; the opacity is 0 outside.
    """

    colour: Tensor
    opacity: Tensor
    mask: Tensor


def check_corner(probe: str, corner: str, margin: float, jitter: float) -> None:
    """InputError for an unknown corner, and for a margin or jitter outside [0, 0.5)."""
    check_choice(probe, "corner", corner, CORNERS)
    check_interval(probe, "[0, 0.5)", margin=margin, jitter=jitter)


def check_fit(x: Tensor, what: str, size: tuple[int, int], margin: float, least: int, remedy: str) -> None:
    """InputError unless a stamp of so many rows and columns fits on the images and has at least so many."""
    (h, w), (height, width) = size, x.shape[2:]
    edge = round(margin * width)
    if h < least or w + edge > width or h + edge > height:
        raise InputError(
            f"the {what} would be {w}x{h} px, {edge} px from the edge, which doesn't "
            f"fit on images of {width}x{height} px or is under {least} px high; "
            f"use larger images (--image-size), {remedy}"
        )


def paste(
    x: Tensor, drawing: Drawing, corner: str, margin: float, jitter: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images x, (N, C, H, W), with the drawing laid over each, and its masks, bool (N, 1, H, W).

    margin, jitter: shares of the image's width; every image draws a displacement of up to `jitter` in each
    direction.
    """
    count, _, height, width = x.shape
    h, w = drawing.opacity.shape
    edge, reach = round(margin * width), round(jitter * width)
    vertical, horizontal = corner.split("-")
    top = edge if vertical == "upper" else height - h - edge
    left = edge if horizontal == "left" else width - w - edge
    moves = torch.randint(-reach, reach + 1, (count, 2), generator=generator)
    tops = (top + moves[:, 0]).clamp(0, height - h)
    lefts = (left + moves[:, 1]).clamp(0, width - w)

    image = torch.arange(count, device=x.device)[:, None, None]
    rows = (tops[:, None] + torch.arange(h)).to(x.device)[:, :, None]
    columns = (lefts[:, None] + torch.arange(w)).to(x.device)[:, None, :]
    opacity = drawing.opacity.to(x)[..., None]
    colour = drawing.colour.to(x).movedim(-3, -1)
    marked = x.clone()
    pixels = marked.movedim(1, -1)  # a view: writing to it writes to `marked`
    pixels[image, rows, columns] = pixels[image, rows, columns] * (1 - opacity) + colour * opacity
    mask = torch.zeros(count, 1, height, width, dtype=torch.bool, device=x.device)
    mask[image, 0, rows, columns] = drawing.mask.to(x.device)
    return marked, mask
