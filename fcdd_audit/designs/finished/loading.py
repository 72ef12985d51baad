"""From settings to a finished detector, its test images and what explains it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.directions import AUTO
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import DATASETS, AuditData, DataRequest
from fcdd_audit.designs.finished.judging import LEAST_PLACEBOS, placebos_needed
from fcdd_audit.designs.finished.measuring import MAPS, Hand, Score
from fcdd_audit.designs.finished.tested import TRIED, Tested, found_sides, planted_side, planted_sides
from fcdd_audit.detectors import DETECTORS, NETWORKS, Detector, build
from fcdd_audit.detectors.base import Scorer, make_options
from fcdd_audit.detectors.weights import Weights, fill, read_weights
from fcdd_audit.experiment.identity import foreign
from fcdd_audit.experiment.promoted import without_bearers
from fcdd_audit.experiment.transplanted import (
    LEAST_DONORS,
    OTHER,
    REMOVED,
    TRANSPLANTED,
    donated,
    receivers,
)
from fcdd_audit.explainers import EXPLAINERS, Explainer, make_explainer, raising
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.models import Model, open_model
from fcdd_audit.natural import NaturalArtifact, Promoted
from fcdd_audit.natural.locate import found_pairs, locate_tested
from fcdd_audit.probes import Probe
from fcdd_audit.probes.placed import Placed

HELD_SHARE = 1 / 3  # of the nominal test images, where no others are held out
MOST_PLACEBOS = 1000
FEW = 4  # images that a model is tried on
CHEAP = ("native", "gradient")  # asked of any model by default; if neither works, occlusion
BLACK_BOX = "occlusion"


@dataclass(frozen=True)
class Opened:
    """A finished detector. name: for people. identity: what it is known by in a store; None: only
    its code knows it.
    about: for config.json. notes: what must be known of it."""

    name: str
    scorer: Scorer
    identity: dict[str, Any] | None
    about: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """All that the test of a finished detector needs.

    data: without training images. pairs: all test images with and without the artifact. tested: those of the
    sides that are asked of. threshold: the user's own, or None. held_from: where the validation images are
    from. explainers: those that work on the detector, by name; unexplained: why the others don't. placebos:
    how many there are. compared: so many are scored. explained: at most so many of the tried images are.
    options: of explainers, by name.
    """

    opened: Opened
    data: AuditData
    artifact: Probe | NaturalArtifact
    pairs: Mapping[Side, Pairs]
    tested: Mapping[Side, Tested]
    threshold: float | None
    held_from: str
    explainers: dict[str, Score]
    unexplained: dict[str, str]
    placebos: int
    compared: int
    explained: int
    device: torch.device
    options: Mapping[str, Mapping[str, Any]]


def load(config: AuditConfig, quiet: bool) -> Loaded:
    """The detector with the configured weights, or the model; the test images; the explainers that work on
    it.

    A bar on stderr, for images that have to be decoded, unless `quiet`. InputError for what can't be audited.
    """
    device = config.resolve_device()
    request = replace(
        config.data_request(config.nominal_classes()[0], progress=not quiet), channels=None, test_only=True
    )
    detector = config.detector
    if detector.weights is not None:
        weights = read_weights(detector.weights)
        channels = weights.channels or config.data_request().channels
        data = DATASETS[config.data.dataset]().load(replace(request, channels=channels))
        opened = _filled(config, weights, data, device)
    elif detector.model is not None:
        model = open_model(
            detector.model, device=device, mean=detector.mean, std=detector.std, trust=detector.trust_model
        )
        data = DATASETS[config.data.dataset]().load(_sized(request, model))
        opened = opened_model(model, detector.model, data, config, device)
    else:
        raise ValueError("neither weights nor a model of a finished detector")
    return assemble(config, opened, data, quiet)


def assemble(config: AuditConfig, opened: Opened, data: AuditData, quiet: bool) -> Loaded:
    """All that the test needs, of a detector and its images. InputError for what can't be audited."""
    none = ImageSet(data.test_nominal.images[:0], ())
    data = replace(data, train_nominal=none, train_anomalous=none)
    held_from = "held-out nominal images"
    if config.design.threshold is None and not len(data.validation):
        data, held_from = _held_out(data), "nominal images that were held out from the test images"
    explainers, unexplained = _explainers(config, opened)
    level = 2 * config.design.thresholds.tail
    least = max(LEAST_PLACEBOS, placebos_needed(level))
    needed = max(least, placebos_needed(level, len(explainers)))
    asked = config.design.placebos
    placebos = needed if asked == AUTO else int(asked)
    if placebos > MOST_PLACEBOS:
        raise InputError(
            f"{placebos} placebos are more than anything could tell; at most {MOST_PLACEBOS} are made"
        )
    if placebos < needed:
        together, or_else = (
            ("both sides", "")
            if placebos < least
            else (f"{len(explainers)} explanations", ", or fewer explanations (--explainer)")
        )
        raise InputError(
            f"{placebos} placebos can't settle {together} together (Holm); at least {needed} are "
            f"needed{or_else}"
        )
    artifact = config.make_artifact()
    if isinstance(artifact, Promoted):
        data = without_bearers(artifact, data, config.data.data_root)
        artifact = artifact.probe((data.shape[1], data.shape[2]))
    if isinstance(artifact, NaturalArtifact):
        masks = locate_tested(artifact, data)
        found, notes = found_pairs(data, masks, not quiet)
        taken_off = found_sides(found, placebos) if REMOVED in config.artifact.halves else {}
        put_on = {
            side: probe
            for side, probe in _donated(data, masks, notes).items()
            if TRANSPLANTED in config.artifact.halves and side not in taken_off
        }
        free = {side: receivers(f"test_{side}", data, masks, notes, not quiet) for side in SIDES if put_on}
        tested = taken_off | {
            side: planted_side(probe, side, free[side], free["nominal"], placebos)
            for side, probe in put_on.items()
        }
        if not tested:
            raise InputError(
                "there are too few test images to put the artifact on others; test it --halves removed too"
            )
        pairs = found | {side: tested[side].pairs for side in put_on}
        data = replace(data, notes=(*data.notes, *notes))
    else:
        images = dict(zip(SIDES, (data.test_nominal, data.test_anomalous), strict=True))
        tested = planted_sides(artifact, images, placebos)
        pairs = {side: one.pairs for side, one in tested.items()}
    return Loaded(
        opened,
        data,
        artifact,
        pairs,
        tested,
        config.design.threshold,
        held_from,
        explainers,
        unexplained,
        placebos,
        least if asked == AUTO else placebos,
        MAPS // (placebos + 1)
        if config.explanation.explained is None
        else config.explanation.explained or TRIED,
        config.resolve_device(),
        config.options,
    )


def _donated(data: AuditData, masks: Mapping[str, Tensor], notes: list[str]) -> dict[Side, Placed]:
    """By side, what enough test images of the other one bear, to be put on it."""
    cut = {side: donated(OTHER[side], data, masks, notes) for side in SIDES}
    return {side: one for side, one in cut.items() if one is not None and len(one) >= LEAST_DONORS}


def opened_model(
    model: Model | Detector, name: str, data: AuditData, config: AuditConfig, device: torch.device
) -> Opened:
    """A model from elsewhere, tried on a few of its test images. InputError if it can't be audited."""
    if isinstance(model, Detector):
        return Opened(name, model.eval().to(device), None, {"format": "detector", "code": name})
    ready = model.tried(torch.cat([data.test_nominal.images[:FEW], data.test_anomalous.images[:FEW]]))
    about = dict(ready.about)
    of_files = "sha256" in about and "factory" not in about
    scaled = {"mean": config.detector.mean, "std": config.detector.std}
    identity = {"model": _content(about), "shape": list(data.shape), **scaled} if of_files else None
    return Opened(ready.name, ready, identity, about, tuple(ready.notes))


def _content(about: dict[str, Any]) -> dict[str, Any]:
    """What counts of a model's file: its format and digests, not the versions of what runs it."""
    return {name: value for name, value in about.items() if name == "format" or name.startswith("sha256")}


def _sized(request: DataRequest, model: Model | Detector) -> DataRequest:
    """Images of the size that the model takes, unless another was asked for, which is refused later."""
    height, width = model.shape[1:]
    wanted = height if height == width and request.image_size is None else None
    return request if wanted is None else replace(request, image_size=wanted)


def _filled(config: AuditConfig, weights: Weights, data: AuditData, device: torch.device) -> Opened:
    (name,), recipe = config.detector.detectors, config.detector.recipe
    options = dict(config.options.get(name, {}))
    # Shape and mode are all that counts of these images: their mean and deviation give way to the weights'.
    detector = build(name, data.test_nominal.images[:1], 0, options, recipe.network, recipe.normalise)
    what = f"{name} with the network {recipe.network} for images of {'x'.join(map(str, data.shape))}"
    fill(detector, weights, what).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    identity = {
        "weights": weights.sha256,
        "detector": name,
        "options": asdict(make_options(name, options)),
        "recipe": {"network": recipe.network, "normalise": recipe.normalise},
        "shape": list(data.shape),
        "code": foreign(DETECTORS[name], NETWORKS[recipe.network]),
    }
    about = {"format": "weights", "file": weights.file, "sha256": weights.sha256}
    return Opened(name, detector, identity, about)


def _held_out(data: AuditData) -> AuditData:
    """With a third of the nominal test images as validation images."""
    nominal = data.test_nominal
    order = numpy_generator(0, "held-out test images").permutation(len(nominal))
    held = round(len(nominal) * HELD_SHARE)
    return replace(
        data,
        validation=nominal.take(sorted(order[:held].tolist())),
        test_nominal=nominal.take(sorted(order[held:].tolist())),
    )


def _explainers(config: AuditConfig, opened: Opened) -> tuple[dict[str, Score], dict[str, str]]:
    """Without reference maps, which know nothing of the detector: here placebos say what a map is worth."""
    asked = config.explanation.explainers
    names = tuple(name for name in EXPLAINERS if name in {*asked, *_own(opened, AUTO in asked)})
    found: dict[str, Score] = {}
    reasons: dict[str, str] = {}
    for name in names:
        explainer = make_explainer(name, config.options)
        reason = (
            "a reference map knows nothing of it"
            if explainer.reference
            else explainer.unavailable(opened.scorer)
        )
        if reason is None:
            found[name] = partial(_explain, name, explainer, opened.scorer)
        else:
            reasons[name] = reason
    if AUTO in asked and not found:
        explainer = make_explainer(BLACK_BOX, config.options)
        found[BLACK_BOX] = partial(_explain, BLACK_BOX, explainer, opened.scorer)
    if not found:
        named = ", ".join(asked)
        raise InputError(
            f"none of the explainers {named} explains {opened.name}: {next(iter(reasons.values()))}; add "
            "another with --explainer"
        )
    return found, reasons


def copies(loaded: Loaded, count: int) -> list[Hand]:
    """So many copies of the detector with what explains it, which can work at the same time: of detectors of
    this package. None of other models, whose code may not stand it, nor where an explainer draws from torch's
    one stream."""
    scorer = loaded.opened.scorer
    explainers = {name: make_explainer(name, loaded.options) for name in loaded.explainers}
    if not isinstance(scorer, Detector) or any(
        getattr(one, "shares_stream", False) for one in explainers.values()
    ):
        return []
    made = [deepcopy(scorer) for _ in range(count)]
    return [
        (one.score, {name: partial(_explain, name, kind, one) for name, kind in explainers.items()})
        for one in made
    ]


def _own(opened: Opened, auto: bool) -> tuple[str, ...]:
    """The explainers that are asked of it by default."""
    if not auto:
        return ()
    return getattr(opened.scorer, "explained_by", CHEAP)


def _explain(name: str, explainer: Explainer, scorer: Scorer, x: Tensor) -> Tensor:
    # A generator made anew: images with the artifact and with placebos stay paired.
    return raising(explainer.explain(scorer, x, torch_generator(0, f"explainer {name}")))
