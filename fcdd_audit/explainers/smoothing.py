"""Pixel-wise maps, blurred as wide as FCDD's map is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.base import Scorer
from fcdd_audit.detectors.receptive import SIGMA_PER_STRIDE, ReceptiveField, upsample


@dataclass(frozen=True)
class Smoothing:
    """The Gaussian of FCDD's upsampling on a map that has image size already: cut at the receptive field of
    the detector's features, and normalised at the borders.

    Source: FCDD (arXiv 2007.01760), which blurs the maps that it compares itself with so.
    """

    sigma: float | None = None

    def __post_init__(self) -> None:
        if self.sigma is not None and self.sigma <= 0:
            raise InputError(f"sigma is {self.sigma}; it must be over 0")

    def no_field(self, detector: Scorer) -> str | None:
        """Why the blur's width isn't known; None if it is."""
        if getattr(detector, "map_field", None) is None:
            return "the detector names no receptive field to blur by (map_field)"
        return None

    def smooth(self, detector: Scorer, heat: Tensor) -> Tensor:
        """(N, 1, H, W) to the same."""
        field: ReceptiveField = detector.map_field  # type: ignore[attr-defined]
        kernel = ReceptiveField(size=field.size)
        return upsample(heat, kernel, (heat.shape[-2], heat.shape[-1]), self._sigma(field))

    def grain(self, detector: Scorer, side: int) -> ReceptiveField | None:
        """As wide as the Gaussian at half its height."""
        field: ReceptiveField = detector.map_field  # type: ignore[attr-defined]
        return ReceptiveField(field.size, max(1, round(2.355 * self._sigma(field))))

    def _sigma(self, field: ReceptiveField) -> float:
        return SIGMA_PER_STRIDE * field.stride if self.sigma is None else self.sigma
