"""Artifacts as blends: what a stamp lays over an image, so that it can be weakened, shrunk and moved."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.probes.base import Probe

LINEAR = 1e-3  # largest error of a linear blend, a quarter of a step of 8 bits
HALF = 0.5


@dataclass(frozen=True)
class Blend:
    """A stamp as it lies on some images: x becomes x * (1 - alpha) + paint.

    alpha, paint: float (N, C, H, W). mask: bool (N, 1, H, W), where the artifact is.
    """

    alpha: Tensor
    paint: Tensor
    mask: Tensor

    def on(self, x: Tensor) -> Tensor:
        """The images x, (N, C, H, W) in [0, 1], marked, and rounded as if they had been stored so."""
        return ((x * (1 - self.alpha) + self.paint) * 255).round().clamp(0, 255) / 255

    @property
    def shade(self) -> Tensor:
        """How the stamp changes a grey of 0.5, mean over channels: (N, H, W) in [-0.5, 0.5]."""
        return (self.paint - self.alpha / 2).mean(dim=1)

    def faded(self, share: float) -> Blend:
        """The same stamp at a share of its opacity, in (0, 1]."""
        return Blend(self.alpha * share, self.paint * share, self.mask)


def blend_of(probe: Probe, shape: torch.Size, generator: torch.Generator, device: torch.device) -> Blend:
    """What the probe lays on images of that shape, (N, C, H, W): black shows the paint, white the alpha.

    The generator, on the CPU, is left as one application leaves it. InputError for a probe without a mask, or
    one that isn't such a blend.
    """
    state = generator.get_state()
    noise = torch.rand(shape, generator=torch_generator(0, "is the probe a blend")).to(device)
    applied = []
    for x in (torch.zeros(shape, device=device), torch.ones(shape, device=device), noise):
        generator.set_state(state)  # the same places
        applied.append(probe.apply(x, generator))
    (black, mask), (white, _), (marked, _) = applied
    name = type(probe).__name__
    if mask is None or not mask.any():
        raise InputError(f"{name} has no mask, so there is no place for placebos to be put in")
    blend = Blend(1 - (white - black), black, mask)
    if (noise * (1 - blend.alpha) + blend.paint - marked).abs().max() > LINEAR:
        raise InputError(
            f"{name} isn't laid over the image in fixed shares, so that it can't be taken off and rearranged"
        )
    return blend


@dataclass(frozen=True)
class Patch:
    """A stamp cut out of its images, with the place where it lies on each.

    alpha, paint: float (N, C, h, w). mask: bool (N, 1, h, w). tops, lefts: int64 (N,). frame: the images'
    height and width.
    """

    alpha: Tensor
    paint: Tensor
    mask: Tensor
    tops: Tensor
    lefts: Tensor
    frame: tuple[int, int]

    @property
    def room(self) -> tuple[int, int]:
        """How many pixels it could move down and right, in all."""
        height, width = self.mask.shape[2:]
        return self.frame[0] - height, self.frame[1] - width

    def laid(self) -> Blend:
        """The stamp at its places."""
        count, channels = self.alpha.shape[:2]
        height, width = self.mask.shape[2:]
        device = self.alpha.device
        image = torch.arange(count, device=device)[:, None, None]
        rows = (self.tops[:, None] + torch.arange(height, device=device))[:, :, None]
        columns = (self.lefts[:, None] + torch.arange(width, device=device))[:, None, :]
        alpha = torch.zeros(count, channels, *self.frame, device=device, dtype=self.alpha.dtype)
        paint, mask = torch.zeros_like(alpha), torch.zeros(count, 1, *self.frame, device=device).bool()
        for whole, part in ((alpha, self.alpha), (paint, self.paint), (mask, self.mask)):
            whole.movedim(1, -1)[image, rows, columns] = part.movedim(1, -1)
        return Blend(alpha, paint, mask)

    def at(self, top: int, left: int) -> Patch:
        """The same stamp at one place on all images."""
        return Patch(
            self.alpha,
            self.paint,
            self.mask,
            torch.full_like(self.tops, top),
            torch.full_like(self.lefts, left),
            self.frame,
        )

    def shrunk(self, share: float) -> Patch:
        """The stamp at a share of its height and width, in (0, 1], at the same distance from the edges that
        it is nearest to. Its values are means over areas."""
        height, width = self.mask.shape[2:]
        size = max(1, round(height * share)), max(1, round(width * share))
        alpha, paint, mask = (
            F.interpolate(values.float(), size, mode="area") for values in (self.alpha, self.paint, self.mask)
        )
        tops, lefts = (
            torch.where(start + whole / 2 > side / 2, start + whole - part, start)
            for start, whole, part, side in zip(
                (self.tops, self.lefts), (height, width), size, self.frame, strict=True
            )
        )
        return Patch(alpha, paint, mask >= HALF, tops, lefts, self.frame)


def patch_of(blend: Blend) -> Patch | None:
    """The stamp cut out by the box of its mask; None where the boxes of the images differ in size, or one has
    no mask."""
    masks = blend.mask[:, 0]
    if not masks.flatten(1).any(dim=1).all():
        return None
    spans = [_span(masks.any(dim=axis)) for axis in (2, 1)]
    (tops, heights), (lefts, widths) = spans
    if (heights != heights[0]).any() or (widths != widths[0]).any():
        return None
    height, width = int(heights[0]), int(widths[0])

    def cut(values: Tensor) -> Tensor:
        boxes = zip(values, tops.tolist(), lefts.tolist(), strict=True)
        return torch.stack([one[:, top : top + height, left : left + width] for one, top, left in boxes])

    frame = blend.mask.shape[2], blend.mask.shape[3]
    return Patch(cut(blend.alpha), cut(blend.paint), cut(blend.mask), tops, lefts, frame)


def _span(holds: Tensor) -> tuple[Tensor, Tensor]:
    """Of bool (N, L), where the first that holds is, and how many there are from it to the last."""
    first = holds.int().argmax(dim=1)
    last = holds.shape[1] - 1 - holds.flip(1).int().argmax(dim=1)
    return first, last - first + 1
