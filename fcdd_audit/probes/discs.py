"""Discs: a coloured disc that every image has at another place, such as a sticker or a marker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fcdd_audit.probes.base import PROBES
from fcdd_audit.probes.checks import check_interval
from fcdd_audit.probes.colours import colour_for, parse_colour

SMALLEST = 3  # pixels: fewer are no disc


@PROBES.register("disc")
@dataclass(frozen=True)
class Disc:
    """Puts a coloured disc, such as a sticker, at a random place of each image.

    colour: a name or #rrggbb; grey images get its luminance.
    size: diameter as a share of the image's shorter side, in (0, 1], at least 3 px.
    opacity: 1 hides the pixels below the disc, towards 0 it vanishes; in (0, 1].
    jitter: largest random displacement from the image's middle as a share of its height and of its width, in
        [0, 0.5]; the disc stays inside the image. 0.5: anywhere. 0: in the middle.

    The mask is the disc, pixel by pixel; its edge is hard.
    """

    placed: ClassVar[bool] = True

    colour: str = "red"
    size: float = 0.2
    opacity: float = 1.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        parse_colour("disc", "colour", self.colour)
        check_interval("disc", "(0, 1]", size=self.size, opacity=self.opacity)
        check_interval("disc", "[0, 0.5]", jitter=self.jitter)

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        diameter = max(SMALLEST, round(self.size * min(x.shape[2:])))
        down, right = (
            _offsets(len(x), side, diameter, round(self.jitter * side), generator) for side in x.shape[2:]
        )
        away = down.square()[:, None, :, None] + right.square()[:, None, None, :]
        mask = (away <= (diameter / 2) ** 2).to(x.device)
        colour = colour_for(x, parse_colour("disc", "colour", self.colour))
        # Opaque paint is the colour itself, to the last bit.
        painted = colour if self.opacity == 1 else x * (1 - self.opacity) + colour * self.opacity
        return torch.where(mask, painted, x), mask


def _offsets(count: int, side: int, diameter: int, reach: int, generator: torch.Generator) -> Tensor:
    """Along one axis, how far every pixel's middle is from the disc's, (count, side) in pixels.

    reach: largest displacement of the disc from the middle, in whole pixels.
    """
    room = max(0, side - diameter)
    first, last = max(0, room // 2 - reach), min(room, room // 2 + reach)
    starts = torch.randint(first, last + 1, (count, 1), generator=generator)
    return torch.arange(side) - starts - (diameter - 1) / 2
