"""Images moved by a few pixels, so that what they have in common lies at one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.colours import LUMA
from fcdd_audit.discovery.boxes import Box, cut

ROUNDS = 3  # of alignment
STORED = 2 / 255  # what 8 bits and compression add to every pixel
FLAT = 0.02  # root mean square gradient under which a window resembles nothing


@dataclass(frozen=True)
class Fields:
    """Gradients of images. padded: (N, 2, H + 2 shift, W + 2 shift). weights: (N,), inverse squares of each
    image's contrast outside the region, mean 1."""

    padded: Tensor
    weights: Tensor
    shift: int

    @staticmethod
    def of(images: Tensor, usual: Tensor, region: Box, shift: int) -> Fields:
        """usual: the mean gradient of images without the mark, (2, H, W), which is taken off."""
        field = gradients(images)
        outside = torch.ones(field.shape[2:])
        top, left, height, width = region
        outside[top : top + height, left : left + width] = 0
        if outside.mean() < 0.25:  # little is left of the image
            outside[:] = 1
        contrast = (field.square().sum(dim=1) * outside).sum(dim=(1, 2)) / outside.sum()
        # Half the usual contrast at least, or a few flat images would decide alone.
        weights = 1 / (contrast + contrast.median() / 4 + 1e-6)
        return Fields(F.pad(field - usual, (shift,) * 4), weights / weights.mean(), shift)

    def window(self, box: Box, moves: Tensor | None = None) -> Tensor:
        """The box in each image, displaced by its own move, (N, 2), or by the same, (2,): (N, 2, h, w)."""
        if moves is not None and moves.ndim == 2:
            return cut(self.padded, box, moves, self.shift)
        down, right = (0, 0) if moves is None else moves.tolist()
        top, left, height, width = box
        top, left = top + self.shift + down, left + self.shift + right
        return self.padded[:, :, top : top + height, left : left + width]

    def spread(self, box: Box) -> Tensor:
        """Weighted variance of each gradient, (2, h, w)."""
        windows = self.window(box)
        weights = self.weights[:, None, None, None]
        mean = (weights * windows).mean(dim=0)
        return (weights * (windows - mean).square()).mean(dim=0)

    def take(self, indices: Tensor) -> Fields:
        return Fields(self.padded[indices], self.weights[indices], self.shift)


def gradients(images: Tensor) -> Tensor:
    """Of the luminance, to the right and down: (N, 2, H, W)."""
    y = luminance(images)
    return torch.stack([F.pad(y.diff(dim=2), (0, 1)), F.pad(y.diff(dim=1), (0, 0, 0, 1))], dim=1)


def luminance(images: Tensor) -> Tensor:
    """(N, H, W) in [0, 1] of uint8 images."""
    x = images.float() / 255
    return x[:, 0] if x.shape[1] == 1 else torch.einsum("nchw,c->nhw", x, torch.tensor(LUMA))


def moves_within(shift: int) -> Tensor:
    """All displacements, (M, 2), the nearest first, so that ties go to them."""
    near = sorted(
        product(range(-shift, shift + 1), repeat=2), key=lambda move: (move[0] ** 2 + move[1] ** 2, move)
    )
    return torch.tensor(near)


def _unit(windows: Tensor) -> Tensor:
    """Windows as unit vectors, (N, d); shorter where they are flat."""
    flat = windows.flatten(1)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(FLAT * math.sqrt(flat.shape[1] / 2))


def likeness(fields: Fields, seeds: Tensor, region: Box) -> Tensor:
    """Correlation of the seeds' windows with those of all at their best move: (S, N)."""
    mine = _unit(fields.window(region)[seeds])
    best = torch.full((len(seeds), len(fields.padded)), -1.0)
    for move in moves_within(fields.shift):
        best = torch.maximum(best, mine @ _unit(fields.window(region, move)).T)
    best[torch.arange(len(seeds)), seeds] = 1
    return best


def aligned(fields: Fields, region: Box, template: Tensor, rounds: int = ROUNDS) -> tuple[Tensor, Tensor]:
    """The move of each image, (N, 2), at which its window is most like the template, and the last template.

    template: (2, h, w); the mean window times its size takes its place after each round.
    """
    moves = moves_within(fields.shift)
    views = torch.stack([_unit(fields.window(region, move)) for move in moves])
    aim = template.flatten()
    for _ in range(rounds):
        chosen = (views @ aim).argmax(dim=0)
        mean = views[chosen, torch.arange(len(chosen))].mean(dim=0)
        # What is repeated counts, and not the many pixels that happen to have a gradient.
        aim = mean * mean.abs()
    return moves[chosen], aim.unflatten(0, template.shape)
