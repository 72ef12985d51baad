"""How long a training is, and when its learning rate falls."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from fcdd_audit.core.recipe import Optimisation


@dataclass(frozen=True)
class Length:
    """steps: of the whole training. epochs: that have begun by its end, at least 1. per_epoch: steps of an
    epoch that isn't cut short. batch: images a step."""

    steps: int
    epochs: int
    per_epoch: int
    batch: int

    def __str__(self) -> str:
        epochs = self.steps / self.per_epoch
        return f"{self.steps:,} steps of {self.batch} images ({epochs:,.{int(epochs < 10)}f} epochs)"


def length_of(optimisation: Optimisation, images: int) -> Length:
    """Of a training on so many nominal images.

    An epoch draws every one of them as often as they are repeated; its last batch is topped up. A batch is
    never larger than the number of draws.
    """
    draws = images * optimisation.repeats
    batch = min(optimisation.batch_size, draws)
    per_epoch = -(-draws // batch)
    steps = optimisation.epochs * per_epoch if optimisation.steps is None else optimisation.steps
    return Length(steps, -(-steps // per_epoch), per_epoch, batch)


def rate_falls(optimisation: Optimisation, length: Length) -> Collection[int]:
    """After how many steps the rate falls, each once. Milestones are rounded up, to the epoch or, where the
    training is given in steps, to the step; without any it falls after every epoch but the last."""
    if not optimisation.milestones:
        return range(length.per_epoch, length.steps, length.per_epoch)
    unit = length.per_epoch if optimisation.steps is None else 1
    whole = length.steps // unit
    ends = {math.ceil(whole * share - 1e-9) for share in optimisation.milestones}  # 2/3 is no float
    return frozenset(unit * end for end in ends - {whole})
