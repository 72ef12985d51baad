"""Windows of images, and pasting them onto others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError

SMALLEST = 2  # px, a window's side
PARTS = (4, 2)  # windows of the smaller side / part


@dataclass(frozen=True)
class Window:
    """A square part of an image, in pixels."""

    top: int
    left: int
    side: int

    def of(self, images: Tensor) -> Tensor:
        """The same part of every image, (..., C, H, W): a view."""
        return images[..., self.top : self.top + self.side, self.left : self.left + self.side]


def windows_of(height: int, width: int, parts: Sequence[int] = PARTS) -> tuple[Window, ...]:
    """Windows of all sizes, each on a grid with half overlap of which, but for halves and the whole, every
    second place is left out, as on a chessboard: neighbours on both sides cover it.

    InputError where a window has less than 2 px a side.
    """
    found = []
    for part in parts:
        side = min(height, width) // part
        if side < SMALLEST:
            raise InputError(
                f"a window of 1/{part} of images of {width}x{height} px has under {SMALLEST} px a side; "
                "use larger windows or images"
            )
        step = max(1, side // 2)
        found += [
            Window(top, left, side)
            for row, top in enumerate(range(0, height - side + 1, step))
            for column, left in enumerate(range(0, width - side + 1, step))
            if part <= 2 or (row + column) % 2 == 0
        ]
    return tuple(found)


def paste(donors: Tensor, receivers: Tensor, window: Window) -> Tensor:
    """Every donor's window on every receiver, (D * R, C, H, W): a donor's images follow one another.

    donors: (D, C, H, W). receivers: (R, C, H, W), alike in type.
    """
    images = receivers[None].repeat(len(donors), 1, 1, 1, 1)
    window.of(images)[:] = window.of(donors)[:, None]
    return images.flatten(0, 1)


def floats(images: Tensor) -> Tensor:
    """uint8 or float in [0, 1] to float in [0, 1]."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()
