"""What an explainer is, and the registry of explainers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from fcdd_audit.detectors.base import Scorer
from fcdd_audit.registry import Registry


class Explainer(Protocol):
    """Turns a detector and images into heatmaps. What is explained is always the anomaly score.

    reference: whether the map knows nothing of the model, and is there for comparison only.
    """

    reference: bool

    def unavailable(self, detector: Scorer) -> str | None:
        """Why this explainer can't work on this detector, in one line; None if it can."""
        ...

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        """Heatmaps of the images x, (N, C, H, W) in [0, 1], on the detector's device.

        Returns (N, 1, H, W), non-negative, higher is more responsible for a high score, without graph.
        generator: on the CPU, for explainers that draw at random.
        """
        ...


EXPLAINERS: Registry[type[Explainer]] = Registry("explainer")
