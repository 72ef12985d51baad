"""Detectors: what is audited."""

from fcdd_audit.detectors import ae, dsvdd, fcdd, hsc  # noqa: F401  (registers them)
from fcdd_audit.detectors.base import (
    DETECTORS,
    NORMALISATIONS,
    SIDES,
    Detector,
    Normalisation,
    Scorer,
    Side,
    build,
    normalisation,
)
from fcdd_audit.detectors.networks import NETWORKS, Frozen, Network, OwnNetwork
from fcdd_audit.detectors.training import Recipe, fit

__all__ = [
    "DETECTORS",
    "NETWORKS",
    "NORMALISATIONS",
    "SIDES",
    "Detector",
    "Frozen",
    "Network",
    "Normalisation",
    "OwnNetwork",
    "Recipe",
    "Scorer",
    "Side",
    "build",
    "fit",
    "normalisation",
]
