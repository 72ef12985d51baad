"""What the error rates of verdicts from twins depend on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.experiment.setup import Setup


def conditions(config: AuditConfig, setup: Setup) -> dict[str, Any]:
    """What the error rates of an audit's verdicts depend on, besides its detectors, as plain values."""
    return {
        "dataset": setup.data.name,
        "nominal_class": setup.data.nominal_class,
        "shape": list(setup.data.shape),
        "images": {part: len(images) for part, images in setup.data.parts().items()},
        "outliers": [
            config.data.oe,
            config.data.oe_limit,
            config.data.masks_per_defect,
            config.data.confetti_mask,
        ],
        "probe": " beside ".join([repr(setup.artifact), *_beside(config, setup)]),
        "plant_on": ",".join(config.artifact.plant_on),
        "seeds": [look.pairs for look in config.design.looks],
        "recipe": config.detector.recipe.flat(),
        "precision": setup.training_device["precision"],
        "options": {name: dict(config.options[name]) for name in config.options if name in DETECTORS},
        "thresholds": asdict(config.design.thresholds),
    }


def _beside(config: AuditConfig, setup: Setup) -> list[str]:
    """The other artifacts that both twins are trained with."""
    if not config.artifact.together:
        return []
    return [repr(artifact) for name, artifact in setup.plantable.items() if name != setup.probe]
