"""The score is to depend on what lies outside the artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fcdd_audit.detectors.base import Detector
from fcdd_audit.detectors.training.members import Term
from fcdd_audit.edits.base import TrainingSet
from fcdd_audit.edits.pasting import Pool
from fcdd_audit.remedies.base import REMEDIES, ByLoss

TINY = 1e-12  # of a gradient's energy: less is none


@REMEDIES.register("outside")
@dataclass(frozen=True)
class Outside(ByLoss):
    """Penalises how much of the score's gradient lies on the artifact, on the images that bear it.

    strength: what the share of the input gradient's energy inside the artifact's mask, mean over the bearers
        of a batch, is multiplied by; over 0.

    Source: Ross, Hughes & Doshi-Velez 2017 (arXiv 1703.03717), with the share in place of the energy itself,
    so that a strength means the same for all detectors.
    """

    does: ClassVar[str] = "a score whose gradient lies on it costs as much in training"

    slower: ClassVar[float] = 5.0

    strength: float = 10.0

    def term(self, training: TrainingSet, artifact: str, seed: int, device: torch.device) -> Term:
        return _Inside(Pool.of(training, artifact), self.strength, torch.device(device))


@dataclass
class _Inside:
    pool: Pool
    strength: float
    device: torch.device

    def __call__(
        self, detector: Detector, x: Tensor, chosen: Tensor, move: Callable[[Tensor], Tensor]
    ) -> Tensor:
        mask = move(self.pool.mask(chosen).to(self.device))
        bears = mask.flatten(1).any(dim=1)
        if not bears.any():
            return x.new_zeros(())
        seen = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(detector.score(seen).sum(), seen, create_graph=True)
        energy = gradient.square().sum(dim=1, keepdim=True)[bears]
        inside = (energy * mask[bears]).sum(dim=(1, 2, 3))
        return self.strength * (inside / (energy.sum(dim=(1, 2, 3)) + TINY)).mean()
