"""The detector's own map."""

from __future__ import annotations

import torch
from torch import Tensor

from fcdd_audit.detectors.base import Scorer
from fcdd_audit.explainers.base import EXPLAINERS


@EXPLAINERS.register("native")
class Native:
    """The detector's own anomaly map: FCDD's upsampled response, the autoencoder's squared residual."""

    reference = False

    def unavailable(self, detector: Scorer) -> str | None:
        if not callable(getattr(detector, "anomaly_map", None)):
            return "the detector has no anomaly map of its own"
        return None

    @torch.no_grad()
    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return detector.anomaly_map(x)  # type: ignore[attr-defined]
