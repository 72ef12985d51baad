"""What trainings draw, on the CPU, an epoch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fcdd_audit.core.recipe import Optimisation, Recipe
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors.training.augment import Augmenter, Choices
from fcdd_audit.detectors.training.members import Member
from fcdd_audit.detectors.training.schedule import Length


@dataclass(frozen=True)
class Epoch:
    """What M trainings draw for an epoch of N images a step: in each step what the first draws, then what the
    second does, and so on. chosen: numbers of images, nominal ones first, on the CPU; labels: on the device;
    (steps, M * N) both."""

    chosen: Tensor
    labels: Tensor
    choices: Choices


class Drawing:
    """Draws for several trainings of one length at once, for each as if it were alone."""

    def __init__(
        self, members: Sequence[Member], recipe: Recipe, length: Length, device: torch.device
    ) -> None:
        self.members, self.given, self.length, self.device = members, recipe.optimisation, length, device
        seeds = [member.seed for member in members]
        self.augment = Augmenter(recipe.augmentation, members[0].shape, seeds, device)
        self._generators = [torch_generator(seed, "batches") for seed in seeds]

    def first(self, count: int) -> list[Tensor]:
        """Before the first epoch: numbers of at most `count` nominal images, one tensor a training."""
        return [
            torch.randperm(len(member.nominal), generator=generator)[:count]
            for member, generator in zip(self.members, self._generators, strict=True)
        ]

    def epoch(self) -> Epoch:
        """The next epoch."""
        drawn = [
            draw_images(len(member.nominal), len(member.anomalous), self.given, self.length, generator)
            for member, generator in zip(self.members, self._generators, strict=True)
        ]
        chosen, labels = (torch.cat(parts, dim=1) for parts in zip(*drawn, strict=True))
        choices = self.augment.draw(self.length.per_epoch, self.length.batch, self._generators)
        return Epoch(chosen, labels.to(self.device), choices)


def draw_images(
    nominal: int, anomalous: int, given: Optimisation, length: Length, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """An epoch's images, from `nominal` on the anomalous ones, and labels: (steps, N) each, on the CPU.

    The numbers drawn are the same without anomalous images, so that all detectors see the same order.
    """
    steps, size = length.per_epoch, length.batch
    order = torch.cat([torch.randperm(nominal, generator=generator) for _ in range(given.repeats)])
    order = torch.cat([order, order])[: steps * size].reshape(steps, size)
    swap = torch.rand(steps, size, generator=generator) < given.oe_probability
    other = torch.rand(steps, size, generator=generator)
    if anomalous == 0:
        return order, torch.zeros(steps, size)
    other = (other * anomalous).long().clamp_max(anomalous - 1)
    return torch.where(swap, nominal + other, order), swap.float()
