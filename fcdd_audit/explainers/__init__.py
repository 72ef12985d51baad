"""Explainers: from a detector and images to heatmaps."""

from fcdd_audit.explainers import native, gradients, reference  # noqa: F401, I001  (registers them)
from fcdd_audit.explainers.base import EXPLAINERS, Explainer

__all__ = ["EXPLAINERS", "Explainer"]
