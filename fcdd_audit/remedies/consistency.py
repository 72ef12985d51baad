"""The score is to stay as it is when the artifact is put on an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors.base import Detector
from fcdd_audit.detectors.training.members import Term
from fcdd_audit.edits.base import TrainingSet
from fcdd_audit.edits.pasting import Pool
from fcdd_audit.natural.transplant import soft
from fcdd_audit.remedies.base import REMEDIES, ByLoss, Case


@REMEDIES.register("consistency")
@dataclass(frozen=True)
class Consistency(ByLoss):
    """Penalises how far the score of an image moves when a bearer's artifact is pasted on it.

    strength: what the mean of |score(x) - score(x with it)|, over the images of a batch that don't bear it,
        is multiplied by; over 0.
    """

    does: ClassVar[str] = "a score that moves when it is pasted on an image costs as much in training"

    slower: ClassVar[float] = 3.0

    strength: float = 1.0

    def unfit(self, case: Case) -> str | None:
        if min(case.share.values()) == 1:
            return "every training image bears the artifact, so that it can be pasted on none"
        return super().unfit(case)

    def term(self, training: TrainingSet, artifact: str, seed: int, device: torch.device) -> Term:
        pool = Pool.of(training, artifact)
        return _Moves(
            pool, pool.bears, self.strength, torch_generator(seed, "pasted in training"), torch.device(device)
        )


@dataclass
class _Moves:
    """bears: of the training images, which bear the artifact, bool (N,)."""

    pool: Pool
    bears: Tensor
    strength: float
    generator: torch.Generator
    device: torch.device

    def __call__(
        self, detector: Detector, x: Tensor, chosen: Tensor, move: Callable[[Tensor], Tensor]
    ) -> Tensor:
        bearers = self.bears.nonzero().flatten()
        donors = bearers[torch.randint(len(bearers), (len(x),), generator=self.generator)]
        without = (~self.bears[chosen]).nonzero().flatten().to(self.device)
        if not len(without):
            return x.new_zeros(())
        alpha = move(soft(self.pool.mask(donors)).to(self.device))
        pasted = move(self.pool.image(donors).to(self.device)) / 255 * alpha + x * (1 - alpha)
        # Together, so that normalisation over the batch moves neither.
        before, after = detector.score(torch.cat([x[without], pasted[without]])).chunk(2)
        return self.strength * (after - before).abs().mean()
