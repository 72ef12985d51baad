"""Random displacements, flips, colours and noise of training images, a batch at a time.

An epoch's choices are drawn beforehand on the CPU and moved to the device at once; only the noise itself
is drawn on the device. Nothing is drawn for what is switched off, displacements excepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.colours import LUMA
from fcdd_audit.core.recipe import Augmentation, Border
from fcdd_audit.core.seeding import torch_generator

IN_PHASE, QUADRATURE = (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)  # the chroma axes of YIQ


@dataclass(frozen=True)
class Choices:
    """What was drawn for the images of an epoch, (S, N, ...), or of a step, (N, ...); None: switched off.

    down, across: which lines of the tables of `origins` make up the image: displacements in
    [0, 2 * reach], where `reach` is none; with 2 * reach + 1 added to `across` the image is flipped.
    colours: (..., C, C) and offsets: (..., C), as of `colour_maps`. noisy: (...), 1 where noise is added,
    else 0.
    """

    down: Tensor
    across: Tensor
    colours: Tensor | None = None
    offsets: Tensor | None = None
    noisy: Tensor | None = None

    def _each(self, change: Callable[[Tensor], Tensor]) -> Choices:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Choices(**{name: change(value) for name, value in values.items() if value is not None})

    def to(self, device: torch.device) -> Choices:
        return self._each(lambda value: value.to(device))

    def at(self, step: Tensor) -> Choices:
        """Those of a step whose number, (1,), is on the device."""
        return self._each(lambda value: value.index_select(0, step)[0])

    def of(self, part: slice) -> Choices:
        """Of a step's, those of some of its images."""
        return self._each(lambda value: value[part])

    def copy_(self, other: Choices) -> None:
        """Take over another's values, where they are."""
        for field in fields(self):
            if (value := getattr(self, field.name)) is not None:
                value.copy_(getattr(other, field.name))

    @staticmethod
    def joined(parts: Sequence[Choices]) -> Choices:
        """Those of several trainings, whose images are one after the other in each step."""
        if len(parts) == 1:
            return parts[0]
        values = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Choices)}
        return Choices(
            **{name: torch.cat(each, dim=1) for name, each in values.items() if each[0] is not None}
        )


def origins(reach: int, side: int, border: Border) -> Tensor:
    """For each displacement in [0, 2 * reach], in which line of an image of `side` lines those of the
    displaced image come from, (2 * reach + 1, side); `side` stands for a black one."""
    line = torch.arange(2 * reach + 1)[:, None] - reach + torch.arange(side)
    if border == "mirror":
        return side - 1 - (side - 1 - line.abs()).abs()
    return torch.where((line >= 0) & (line < side), line, side)


def displaced(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images (N, C, H, W) of any type, put together of these rows, (N, H), and columns, (N, W)."""
    count, channels, height, width = images.shape
    framed = F.pad(images, (0, 1, 0, 1))  # with a black row and column
    starts = torch.arange(0, count * channels * (height + 1), height + 1, device=images.device)
    lines = (starts.reshape(count, channels, 1) + rows[:, None]).flatten()
    cut = framed.reshape(-1, width + 1).index_select(0, lines)  # whole rows: far cheaper than pixels
    return cut.reshape(count, channels, height, -1).gather(
        3, columns[:, None, None].expand(-1, channels, height, -1)
    )


def colour_maps(
    brightness: Tensor, contrast: Tensor, saturation: Tensor, turn: Tensor
) -> tuple[Tensor, Tensor]:
    """One affine map of the colours an image, for factors (and a share of a full turn of hue) of shape (...).

    A pixel p of an image of mean m becomes matrix @ p + offset @ m: brightness, contrast, saturation and
    hue in this order. Returns matrices (..., 3, 3) and offsets (..., 3).
    """
    grey = brightness.new_tensor(LUMA).expand(3, 3)
    basis = brightness.new_tensor([LUMA, IN_PHASE, QUADRATURE])
    angle = 2 * math.pi * turn
    rotation = torch.zeros(*turn.shape, 3, 3, dtype=turn.dtype)
    rotation[..., 0, 0] = 1
    rotation[..., 1, 1] = rotation[..., 2, 2] = angle.cos()
    rotation[..., 1, 2] = angle.sin()
    rotation[..., 2, 1] = -angle.sin()
    share = saturation[..., None, None]
    saturated = share * torch.eye(3, dtype=share.dtype) + (1 - share) * grey
    hue = torch.linalg.inv(basis) @ rotation @ basis
    offsets = ((1 - contrast) * brightness)[..., None] * grey[0]
    return (brightness * contrast)[..., None, None] * (hue @ saturated), offsets


def grey_maps(brightness: Tensor, contrast: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """The same of images without colours: (..., channels, channels) and (..., channels)."""
    offsets = ((1 - contrast) * brightness)[..., None].expand(*contrast.shape, channels) / channels
    return (brightness * contrast)[..., None, None] * torch.eye(channels), offsets


def recoloured(pixels: Tensor, matrices: Tensor, offsets: Tensor) -> Tensor:
    """Images with values in [0, 255] in their new colours, in [0, 1] and cut off there.

    pixels: float (N, C, H, W); matrices: (N, C, C); offsets: (N, C). Returns (N, C, H, W).
    """
    flat = pixels.flatten(2)
    added = (flat.mean(dim=2) * offsets).sum(dim=1)[:, None, None].expand(-1, flat.shape[1], 1)
    mapped = torch.baddbmm(added, matrices, flat, beta=1 / 255, alpha=1 / 255)
    return mapped.clamp_(0, 1).reshape(pixels.shape)


def deviation(x: Tensor) -> Tensor:
    """Standard deviation of each image over all its pixels and channels: (N, C, H, W) to (N, 1, 1, 1)."""
    centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
    return centred.square_().mean(dim=(1, 2, 3), keepdim=True).sqrt_()


class _Draws:
    """What is drawn for the images of one training."""

    def __init__(self, given: Augmentation, reach: int, channels: int, seed: int) -> None:
        self.given, self.reach, self.channels = given, reach, channels
        self._flips = torch_generator(seed, "flips")
        self._colours = torch_generator(seed, "colours")
        self._noisy = torch_generator(seed, "noisy images")

    def draw(self, steps: int, size: int, moves: torch.Generator) -> Choices:
        given, count = self.given, (steps, size)
        down, across = torch.randint(0, 2 * self.reach + 1, (*count, 2), generator=moves).unbind(dim=-1)
        colours = offsets = noisy = None
        if given.flip > 0:
            flips = torch.rand(count, generator=self._flips) < given.flip
            across = across + (2 * self.reach + 1) * flips
        if given.jitter > 0:
            colours, offsets = self._draw_colours(count)
        if _adds_noise(given) and given.noise_share < 1:
            noisy = (torch.rand(count, generator=self._noisy) < given.noise_share).float()
        return Choices(down.contiguous(), across.contiguous(), colours, offsets, noisy)

    def _draw_colours(self, count: tuple[int, int]) -> tuple[Tensor, Tensor]:
        given = self.given
        colour = self.channels == 3
        change = (2 * torch.rand(4 if colour else 2, *count, generator=self._colours) - 1) * given.jitter
        if given.jitter_share < 1:
            change *= torch.rand(count, generator=self._colours) < given.jitter_share
        if colour:
            return colour_maps(1 + change[0], 1 + change[1], 1 + change[2], change[3])
        return grey_maps(1 + change[0], 1 + change[1], self.channels)


def _adds_noise(given: Augmentation) -> bool:
    return given.noise > 0 or given.relative_noise > 0


class Augmenter:
    """Makes the random changes that are `given` of images (C, H, W) of one training or of several at once.

    seeds: one a training, which decides its changes. A step's images are those of the first training, then
    those of the second, and so on, as many of each.
    """

    def __init__(
        self, given: Augmentation, shape: tuple[int, int, int], seeds: Sequence[int], device: torch.device
    ) -> None:
        self.given, self.device = given, device
        reach = int(given.shift * min(shape[1:]))
        columns = origins(reach, shape[2], given.border)
        self.rows = origins(reach, shape[1], given.border).to(device)
        self.columns = torch.cat([columns, columns.flip(1)]).to(device)
        self._draws = [_Draws(given, reach, shape[0], seed) for seed in seeds]
        self.noise = [torch_generator(seed, "noise", device) for seed in seeds]
        self._scratch = torch.empty(0, device=device)  # kept: fresh memory costs more than the work in it
        self._moves = reach > 0 or given.flip > 0

    def draw(self, steps: int, size: int, moves: Sequence[torch.Generator]) -> Choices:
        """An epoch's choices for `size` images a step and training, on the device; the displacements from the
        generators `moves`, one a training."""
        drawn = [one.draw(steps, size, generator) for one, generator in zip(self._draws, moves, strict=True)]
        return Choices.joined(drawn).to(self.device)

    def __call__(
        self, images: Tensor, choices: Choices, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Images in [0, 1] before noise that isn't relative, float (N, C, H, W), and their masks.

        images: uint8 (N, C, H, W). choices: a step's. mask: bool (N, 1, H, W), displaced and flipped like
        the images; what comes in is False, or mirrored.
        """
        images = self.moved(images, choices)
        mask = None if mask is None else self.moved(mask, choices)
        if self._scratch.shape != images.shape:
            self._scratch = torch.empty(images.shape, device=images.device)
        if choices.colours is None or choices.offsets is None:
            x = images.float().div_(255)
        else:
            x = recoloured(self._scratch.copy_(images), choices.colours, choices.offsets)
        return (self._with_noise(x, choices.noisy) if _adds_noise(self.given) else x), mask

    def moved(self, images: Tensor, choices: Choices) -> Tensor:
        """The same displacements and flips of anything else that belongs to a step's images, (N, ...)."""
        if not self._moves:
            return images
        rows = self.rows.index_select(0, choices.down)
        columns = self.columns.index_select(0, choices.across)
        return displaced(images, rows, columns)

    def _with_noise(self, x: Tensor, noisy: Tensor | None) -> Tensor:
        given = self.given
        noise = self._scratch
        deviations = 1.0 if given.relative_noise > 0 else given.noise
        for part, generator in zip(noise.chunk(len(self.noise)), self.noise, strict=True):
            part.normal_(0, deviations, generator=generator)
        if given.relative_noise > 0:
            own = given.relative_noise * deviation(x)
            noise.mul_((own.square() + given.noise**2).sqrt())
        if noisy is not None:
            noise *= noisy[:, None, None, None]
        x.add_(noise)
        return x.clamp_(0, 1) if given.relative_noise > 0 else x
