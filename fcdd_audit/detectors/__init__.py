"""Detectors: what is audited."""

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors import ae, dsvdd, fcdd, hsc  # noqa: F401  (registers them)
from fcdd_audit.detectors.base import (
    DETECTORS,
    NORMALISATIONS,
    Detector,
    Normalisation,
    Scorer,
    build,
    normalisation,
)
from fcdd_audit.detectors.networks import NETWORKS, Frozen, Network, OwnNetwork
from fcdd_audit.detectors.training.loop import fit

__all__ = [
    "DETECTORS",
    "NETWORKS",
    "NORMALISATIONS",
    "Detector",
    "Frozen",
    "Network",
    "Normalisation",
    "OwnNetwork",
    "Recipe",
    "Scorer",
    "build",
    "fit",
    "normalisation",
]
