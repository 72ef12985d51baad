"""From settings to a finished detector, its test images and what explains it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.datasets import DATASETS, AuditData
from fcdd_audit.designs.finished.measuring import Score
from fcdd_audit.designs.finished.placebos import check_placebos
from fcdd_audit.detectors import Detector, build
from fcdd_audit.detectors.weights import Weights, fill, read_weights
from fcdd_audit.explainers import Explainer, make_explainer, raising
from fcdd_audit.images.sets import ImageSet

SEED = 0  # of the artifact's places, the placebos' contents and the bootstrap


@dataclass(frozen=True)
class Loaded:
    """All that the test of a finished detector needs.

    data: without training images. explainers: those that work on the detector, by name.
    """

    data: AuditData
    weights: Weights
    detector: Detector
    explainers: dict[str, Score]
    device: torch.device


def load(config: AuditConfig, quiet: bool) -> Loaded:
    """The detector with the configured weights, the test images, and the explainers that work on it.

    A bar on stderr, for images that have to be decoded, unless `quiet`. InputError for what can't be audited.
    """
    if config.detector.weights is None:
        raise ValueError("no weights of a finished detector")
    device = config.resolve_device()
    weights = read_weights(config.detector.weights)
    request = config.data_request(config.nominal_classes()[0], progress=not quiet)
    channels = weights.channels or request.channels
    data = DATASETS[config.data.dataset]().load(replace(request, channels=channels, test_only=True))
    none = ImageSet(data.test_nominal.images[:0], ())
    data = replace(data, train_nominal=none, train_anomalous=none, validation=none)
    (name,), recipe = config.detector.detectors, config.detector.recipe
    options = dict(config.options.get(name, {}))
    # Shape and mode are all that counts of these images: their mean and deviation give way to the weights'.
    detector = build(name, data.test_nominal.images[:1], 0, options, recipe.network, recipe.normalise)
    what = f"{name} with the network {recipe.network} for images of {'x'.join(map(str, data.shape))}"
    fill(detector, weights, what).to(device)
    explainers = _explainers(config, detector)
    check_placebos(config.design.placebos, len(explainers), config.design.thresholds)
    return Loaded(data, weights, detector, explainers, device)


def _explainers(config: AuditConfig, detector: Detector) -> dict[str, Score]:
    """Without reference maps, which know nothing of the detector: here placebos say what a map is worth."""
    found: dict[str, Score] = {}
    asked = config.explainers_of(config.detector.detectors[0])
    for name in asked:
        explainer = make_explainer(name, config.options)
        if not explainer.reference and explainer.unavailable(detector) is None:
            found[name] = partial(_explain, name, explainer, detector)
    if not found:
        made = (make_explainer(name, config.options) for name in asked)
        reasons = (explainer.unavailable(detector) for explainer in made)
        reason = next((reason for reason in reasons if reason), "reference maps know nothing of it")
        raise InputError(
            f"none of the explainers {', '.join(asked)} explains "
            f"{config.detector.detectors[0]}: {reason}; add another with --explainer"
        )
    return found


def _explain(name: str, explainer: Explainer, detector: Detector, x: Tensor) -> Tensor:
    # A generator made anew: images with the artifact and with placebos stay paired.
    return raising(explainer.explain(detector, x, torch_generator(0, f"explainer {name}")))
