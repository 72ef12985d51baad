"""Explainers: from a detector and images to heatmaps."""

# ruff: noqa: E402, I001
from fcdd_audit.core.late import import_matplotlib

import_matplotlib()  # before Captum does

from fcdd_audit.explainers import native, cam, gradients, contributions, rules, reference  # noqa: F401
from fcdd_audit.explainers.base import (
    EXPLAINERS,
    Explainer,
    lowering,
    make_explainer,
    raising,
    second_opinion,
)

__all__ = ["EXPLAINERS", "Explainer", "lowering", "make_explainer", "raising", "second_opinion"]
