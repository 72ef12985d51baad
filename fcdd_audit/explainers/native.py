"""The detector's own map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fcdd_audit.detectors.base import Scorer
from fcdd_audit.detectors.receptive import ReceptiveField
from fcdd_audit.explainers.base import EXPLAINERS, OWN, PIXELS
from fcdd_audit.explainers.smoothing import Smoothing


@EXPLAINERS.register("native")
class Native:
    """The detector's own anomaly map: FCDD's upsampled response, the autoencoder's squared residual."""

    reference = False
    either_way = False
    signed = False
    unit = OWN

    def unavailable(self, detector: Scorer) -> str | None:
        if not callable(getattr(detector, "anomaly_map", None)):
            return "the detector has no anomaly map of its own"
        return None

    @torch.no_grad()
    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return detector.anomaly_map(x)  # type: ignore[attr-defined]

    def grain(self, detector: Scorer, side: int) -> ReceptiveField | None:
        return getattr(detector, "anomaly_field", None)


@EXPLAINERS.register("blurred-residual")
@dataclass(frozen=True)
class BlurredResidual(Smoothing):
    """The autoencoder's squared residual, blurred as wide as FCDD's map; the paper's heatmap for AE.

    sigma: of the Gaussian, in pixels; default 0.4 of the stride of the detector's features.
    """

    reference = False
    either_way = False
    signed = False
    unit = OWN

    def unavailable(self, detector: Scorer) -> str | None:
        if getattr(detector, "anomaly_field", None) != PIXELS:
            return "the detector has no residual, pixel by pixel"
        return self.no_field(detector)

    @torch.no_grad()
    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return self.smooth(detector, detector.anomaly_map(x))  # type: ignore[attr-defined]
