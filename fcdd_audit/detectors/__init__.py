"""Detectors: what is audited."""

from fcdd_audit.core.recipe import Augmentation, Compute, Optimisation, Recipe
from fcdd_audit.detectors import ae, dsvdd, fcdd, hsc  # noqa: F401  (registers them)
from fcdd_audit.detectors.base import DETECTORS, Detector, Scorer, build, make_options
from fcdd_audit.detectors.inputs import NORMALISATIONS, Input, Normalisation, normalisation
from fcdd_audit.detectors.networks import NETWORKS, Frozen, Network, OwnNetwork
from fcdd_audit.detectors.training.loop import fit

__all__ = [
    "DETECTORS",
    "NETWORKS",
    "NORMALISATIONS",
    "Augmentation",
    "Compute",
    "Detector",
    "Frozen",
    "Input",
    "Network",
    "Normalisation",
    "Optimisation",
    "OwnNetwork",
    "Recipe",
    "Scorer",
    "build",
    "fit",
    "make_options",
    "normalisation",
]
