"""Detectors: what is audited."""

from fcdd_audit.detectors import ae, dsvdd, fcdd, hsc  # noqa: F401  (registers them)
from fcdd_audit.detectors.base import DETECTORS, SIDES, Detector, Scorer, Side, build
from fcdd_audit.detectors.training import Recipe, fit

__all__ = ["DETECTORS", "SIDES", "Detector", "Recipe", "Scorer", "Side", "build", "fit"]
