"""An artifact as it was found on some images, put on others at the same places."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import as_bytes

DRAWN = 16  # hex digits


@dataclass(frozen=True, repr=False, eq=False)
class Placed:
    """Lays one of several layers over each image: x becomes x * (1 - alpha) + paint.

    alpha: float (P, 1, H, W) in [0, 1]; paint: float (P, C, H, W); mask: bool (P, 1, H, W), outside which
    alpha and paint are 0. A layer is as one image bore the artifact. ValueError for shapes that don't fit.
    """

    alpha: Tensor
    paint: Tensor
    mask: Tensor

    placed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count, _, *frame = self.paint.shape
        if not count or self.alpha.shape != (count, 1, *frame) or self.mask.shape != (count, 1, *frame):
            shapes = [tuple(one.shape) for one in (self.alpha, self.paint, self.mask)]
            raise ValueError(f"the layers' alpha, paint and mask are {shapes}, which don't fit")

    def __len__(self) -> int:
        """How many layers there are."""
        return len(self.paint)

    def __repr__(self) -> str:
        digest = hashlib.sha256()
        for part in (self.alpha, self.paint, self.mask):
            digest.update(as_bytes(part))
        return f"Placed({len(self.paint)} layers, {digest.hexdigest()[:DRAWN]})"

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Marked images and masks, as of `Probe`: of each image a layer is drawn. InputError for images of
        another shape."""
        if x.shape[1:] != self.paint.shape[1:]:
            own, theirs = ("x".join(map(str, shape)) for shape in (self.paint.shape[1:], x.shape[1:]))
            raise InputError(
                f"the artifact was found on images of {own} (channels, height, width) and can't be put on "
                f"images of {theirs}"
            )
        drawn = torch.randint(len(self.paint), (len(x),), generator=generator)
        alpha, paint = self.alpha[drawn].to(x), self.paint[drawn].to(x)
        return (x * (1 - alpha) + paint).clamp(0, 1), self.mask[drawn].to(x.device)

    def taking(self, layers: list[int]) -> Placed:
        """These layers alone, in their order."""
        return Placed(self.alpha[layers], self.paint[layers], self.mask[layers])

    def sized(self, frame: tuple[int, int]) -> Placed:
        """The same on images of another height and width."""
        if frame == tuple(self.paint.shape[2:]):
            return self
        alpha, paint, covered = (
            F.interpolate(one.float(), frame, mode="bilinear", antialias=True)
            for one in (self.alpha, self.paint, self.mask)
        )
        # A thin artifact must not vanish: then what is covered half as much as the best pixel counts.
        least = covered.amax(dim=(1, 2, 3), keepdim=True).clamp_max(1) / 2
        mask = (covered >= least) & (covered > 0)
        return Placed(alpha * mask, paint * mask, mask)
