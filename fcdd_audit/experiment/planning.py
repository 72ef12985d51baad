"""From what was asked to the cells that answer it, before anything is trained."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.options import options_of
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.datasets import DATASETS, AuditData
from fcdd_audit.datasets.base import MIN_TEST
from fcdd_audit.detectors import DETECTORS, Detector, build, fit
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.edits.directions import AUTO, DIRECTIONS, MARKED
from fcdd_audit.experiment.cells import Cell, Setup, cell_key
from fcdd_audit.experiment.engines import default_workers
from fcdd_audit.experiment.explaining import EXAMPLES, NOISE_DRAWS, Part, explain_all
from fcdd_audit.experiment.store import RunFolder
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.explainers.sanity import one_by_one
from fcdd_audit.natural import NaturalArtifact
from fcdd_audit.natural.locate import locate, remove
from fcdd_audit.probes import Probe, mark_all, planted_count

SAMPLE = 256  # images trained on to learn a detector's speed


@dataclass(frozen=True)
class Question:
    """One line of the verdict: planted and control cells by seed, or the reason why there are none.

    plant_on: one of `DIRECTIONS`. bearing: of the side that the conflict set changes, which test images bear
    the artifact, bool (images,); None: all count.
    """

    nominal_class: str
    detector: str
    probe: str
    plant_on: str
    prevalence: float
    planted: tuple[Cell, ...] = ()
    control: tuple[Cell, ...] = ()
    identical: str | None = None
    bearing: Tensor | None = None


def prepare(config: AuditConfig, nominal_class: str | None = None, progress: bool = False) -> Setup:
    """Load the data, and mark the test images or take off what is found on them: what all cells of a nominal
    class share."""
    device = config.resolve_device()
    data = DATASETS[config.dataset]().load(config.data_request(nominal_class, progress))
    artifact = config.make_artifact()
    shared = {
        "probe": artifact,
        "recipe": config.recipe,
        "explainers": tuple(name for name in EXPLAINERS if name in config.explainers),
        "device": str(device),
        "options": {name: dict(options) for name, options in config.options.items()},
        "explained": config.explained or None,  # 0: all
        "sanity": config.sanity or 0,
    }
    if isinstance(artifact, NaturalArtifact):
        return _prepare_found(config.control, data, artifact, shared, progress)
    if (
        config.plant_on != AUTO
        and DIRECTIONS[config.plant_on].by_source
        and not (data.outlier_exposure and len(data.train_anomalous))
    ):
        raise InputError(
            f"--plant-on {config.plant_on} tells outlier exposure from a data set's own images, and "
            f"'{data.name}' is trained without any here; use --plant-on anomalous or nominal"
        )
    return _prepare_planted(config.plant_on, data, artifact, shared)


def _prepare_planted(plant_on: str, data: AuditData, probe: Probe, shared: dict[str, Any]) -> Setup:
    generator = torch_generator(0, "stamped test images")
    nominal_marked, nominal_mask = mark_all(data.test_nominal.images, probe, generator)
    anomalous_marked, anomalous_mask = mark_all(data.test_anomalous.images, probe, generator)
    if (
        plant_on != AUTO and DIRECTIONS[plant_on].usual == MARKED
    ):  # images in use bear it, so those that set the threshold do
        marked, _ = mark_all(data.validation.images, probe, generator)
        data = replace(data, validation=replace(data.validation, images=marked, digest=None))
    return Setup(
        data=data,
        fingerprint=_fingerprint(data, nominal_marked, nominal_mask, anomalous_marked, anomalous_mask),
        nominal_marked=nominal_marked,
        nominal_mask=nominal_mask,
        anomalous_marked=anomalous_marked,
        anomalous_mask=anomalous_mask,
        **shared,
    )


def _prepare_found(
    removal: str, data: AuditData, artifact: NaturalArtifact, shared: dict[str, Any], progress: bool
) -> Setup:
    data, found, as_found = remove(data, locate(artifact, data), removal, progress)
    tests: dict[str, Any] = {
        "nominal_marked": as_found.nominal,
        "nominal_mask": as_found.nominal_mask,
        "anomalous_marked": as_found.anomalous,
        "anomalous_mask": as_found.anomalous_mask,
    }
    parts = (found.nominal, found.anomalous)
    others = (found.nominal_elsewhere, found.anomalous_elsewhere)
    cleaned = [tensor for part in parts for tensor in (part.images, part.masks)]
    return Setup(
        data=data,
        fingerprint=_fingerprint(data, *tests.values(), *others, *cleaned),
        found=found,
        **tests,
        **shared,
    )


def _fingerprint(data: AuditData, *tensors: Tensor | None) -> str:
    """Hex digest of the data and of what was made of them."""
    digest = hashlib.sha256(data.fingerprint().encode())
    for tensor in tensors:
        if tensor is not None:
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def plan(config: AuditConfig, setup: Setup) -> list[Question]:
    """What is asked, detector by detector; InputError if a cell couldn't run."""
    check_trainable(config, setup)
    questions = []
    for detector in config.detectors:
        if setup.found is None:
            questions += _planted(detector, config, setup)
        else:
            questions.append(_found(detector, config, setup))
    return questions


def _planted(detector: str, config: AuditConfig, setup: Setup) -> list[Question]:
    """A question for each prevalence."""
    learns_from = DETECTORS[detector].learns_from
    nominal, plant_on = setup.data.nominal_class, config.plant_on
    if plant_on == AUTO:
        plant_on = "anomalous" if "anomalous" in learns_from else "nominal"
    side = DIRECTIONS[plant_on].side
    if side not in learns_from:
        reason = (
            f"identical by construction: {detector} never sees {side} images in training, so the "
            f"twins can't differ; plant on the {learns_from[0]} side"
        )
        return [
            Question(nominal, detector, config.probe, plant_on, prevalence, identical=reason)
            for prevalence in config.prevalence
        ]
    train_images = len(setup.data.parts()[f"train_{side}"])
    identity = (config.dataset, nominal, detector, config.probe)
    control = tuple(Cell(*identity, "control", seed) for seed in range(config.seeds))
    questions = []
    for prevalence in config.prevalence:
        if planted_count(train_images, prevalence) == 0:
            reason = "identical by construction: at prevalence 0 nothing is planted"
            questions.append(
                Question(nominal, detector, config.probe, plant_on, prevalence, identical=reason)
            )
            continue
        planted = tuple(
            Cell(*identity, "planted", seed, plant_on, prevalence) for seed in range(config.seeds)
        )
        questions.append(Question(nominal, detector, config.probe, plant_on, prevalence, planted, control))
    return questions


def _found(detector: str, config: AuditConfig, setup: Setup) -> Question:
    """On the side, of those that the detector learns from, where the artifact is found most."""
    found, nominal = setup.found, setup.data.nominal_class
    if found is None:
        raise ValueError(f"{config.probe} isn't found but planted")
    learns_from = DETECTORS[detector].learns_from
    side = max(learns_from, key=lambda one: found.share[one])
    plant_on, prevalence = f"found-on-{side}", found.share[side]
    masks = setup.nominal_mask if side == "nominal" else setup.anomalous_mask
    bearing = None if masks is None else masks.flatten(1).any(dim=1)
    count = 0 if bearing is None else int(bearing.sum())
    reason = None
    if prevalence == 0:
        reason = (
            f"identical by construction: no {side} training image, from which {detector} learns, bears it"
        )
    elif count < MIN_TEST:
        reason = (
            f"{count} {side} test image(s) bear it, and at least {MIN_TEST} are needed to see what its "
            "removal does"
        )
    if reason is not None:
        return Question(nominal, detector, config.probe, plant_on, prevalence, identical=reason)
    identity = (config.dataset, nominal, detector, config.probe)
    seeds = range(config.seeds)
    return Question(
        *(nominal, detector, config.probe, plant_on, prevalence),
        planted=tuple(Cell(*identity, "planted", seed, plant_on, prevalence) for seed in seeds),
        control=tuple(Cell(*identity, "control", seed) for seed in seeds),
        bearing=bearing,
    )


def check_trainable(config: AuditConfig, setup: Setup) -> None:
    """Say now what would stop a cell later."""
    data = setup.data
    for detector in config.detectors:
        learns = DETECTORS[detector].learns_from
        if "anomalous" in learns and len(data.train_anomalous) == 0:
            raise InputError(
                f"{detector} learns from training anomalies and '{data.name}' has none; add "
                "train/anomalous or --oe, or leave out " + detector
            )
        model = _built(detector, data.train_nominal.images[:2], setup)
        reasons = {name: one.unavailable(model) for name, one in setup.make_explainers().items()}
        if reasons and None not in reasons.values():
            raise InputError(
                f"none of the explainers {', '.join(config.explainers)} works on {detector}: "
                f"{reasons[config.explainers[0]]}; add another with --explainer"
            )


def training_notes(config: AuditConfig, setup: Setup) -> list[str]:
    """What a reader must know of detectors and masks of true anomalies in the training data."""
    if setup.data.train_anomalous.masks is None:
        return []
    notes = []
    for detector in config.detectors:
        model = _built(detector, setup.data.train_nominal.images[:2], setup)
        if model.uses_masks:
            notes.append(
                f"{detector} is trained with masks of the anomalies: it is told that what lies outside them, "
                "an artifact planted there too, is nominal. So it is no cue for it, unlike for detectors "
                "without masks."
            )
        elif config.masks_per_defect and "supervision" in options_of(DETECTORS[detector]):
            notes.append(f"{detector} doesn't use the masks; --set {detector}.supervision=pixel makes it.")
    return notes


def _built(name: str, nominal: Tensor, setup: Setup) -> Detector:
    return build(name, nominal, 0, setup.options.get(name), setup.recipe.network, setup.recipe.normalise)


def planned_cells(questions: list[Question]) -> list[Cell]:
    """All cells, each once, twins next to each other."""
    cells: dict[Cell, None] = {}
    for question in questions:
        for control, planted in zip(question.control, question.planted, strict=True):
            cells[control] = cells[planted] = None
    return list(cells)


@dataclass(frozen=True)
class Estimate:
    """What a run would take, over all nominal classes. `seconds` and `megabytes` are rough."""

    cells: int
    finished: int
    images: dict[str, int]
    seconds: float
    megabytes: float


def estimate(config: AuditConfig, quiet: bool = True) -> Estimate:
    """Plan an audit without running it; trains each detector for a moment to learn its speed.

    Images that have to be decoded first are, and stay in the cache; a bar on stderr unless `quiet`.
    """
    run = RunFolder(config.out / config.run_name)
    run.check_writable()
    parts: list[Estimate] = []
    per_step: dict[str, float] = {}
    measuring: dict[str, float] = {}
    for nominal_class in config.nominal_classes():
        setup = prepare(config, nominal_class, progress=not quiet)
        cells = planned_cells(plan(config, setup))
        waiting = [cell for cell in cells if not run.has_cell(cell_key(cell, setup))]
        workers = min(config.workers or default_workers(setup.device), max(len(waiting), 1))
        for name in {cell.detector for cell in waiting} - per_step.keys():
            per_step[name] = _seconds_a_step(name, setup)
            measuring[name] = _seconds_to_explain(name, setup)
        steps = length_of(setup.recipe.optimisation, len(setup.data.train_nominal)).steps
        # A fifth more than training for scoring, 2 s for writing.
        seconds = sum(
            per_step[cell.detector] * steps * 1.2 + measuring[cell.detector] + 2 for cell in waiting
        )
        height, width = setup.data.shape[1:]
        maps = 2 * EXAMPLES * len(setup.explainers) * height * width * 2
        masks = sum(len(part.images) for part in setup.marked() if part.mask is not None)
        rows = 3 * masks * len(setup.explainers)  # on two kinds of mask, and untrained with every other cell
        parts.append(
            Estimate(
                cells=len(cells),
                finished=len(cells) - len(waiting),
                images={part: len(images) for part, images in setup.data.parts().items()},
                seconds=seconds / workers,
                megabytes=len(waiting) * (maps + 150 * rows + 2e6) / 1e6,
            )
        )
    return Estimate(
        cells=sum(part.cells for part in parts),
        finished=sum(part.finished for part in parts),
        images={name: sum(part.images[name] for part in parts) for name in parts[0].images},
        seconds=sum(part.seconds for part in parts),
        megabytes=sum(part.megabytes for part in parts),
    )


def _seconds_a_step(name: str, setup: Setup) -> float:
    """From a few training steps on one thread, without the first, which warms up."""
    threads = torch.get_num_threads()
    data, size = setup.data, length_of(setup.recipe.optimisation, len(setup.data.train_nominal)).batch
    nominal, anomalous = data.train_nominal.images[:SAMPLE], data.train_anomalous.images[:SAMPLE]
    masks = data.train_anomalous.masks
    batch = min(size, len(nominal) // 2)
    ended: list[float] = []
    try:
        torch.set_num_threads(1)
        fit(
            _built(name, nominal, setup),
            nominal,
            anomalous,
            setup.recipe.changed(epochs=1, steps=None, repeats=1, batch_size=batch),
            seed=0,
            device=torch.device(setup.device),
            masks=None if masks is None else masks[:SAMPLE],
            on_step=lambda: ended.append(time.perf_counter()),
        )
    finally:
        torch.set_num_threads(threads)
    return (ended[-1] - ended[0]) / (len(ended) - 1) * size / batch


def _seconds_to_explain(name: str, setup: Setup) -> float:
    """For a cell, from a few heatmaps of each explainer on one thread; every other cell explains untrained
    networks too."""
    threads = torch.get_num_threads()
    detector = _built(name, setup.data.train_nominal.images[:2], setup).eval()
    detector.to(torch.device(setup.device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    marked = setup.marked()
    few = [Part(part.name, part.names[:2], part.images[:2], None) for part in marked]
    copies = 2 * len(list(one_by_one(detector, torch_generator(0, "redrawn weights")))) + NOISE_DRAWS
    explained = sum(len(part.images) for part in marked if part.mask is not None)
    checked = copies * sum(min(setup.sanity, len(part.images)) for part in marked)
    try:
        torch.set_num_threads(1)
        for _ in range(2):  # the first warms up
            started = time.perf_counter()
            explain_all(detector, few, setup.make_explainers(), torch.device(setup.device))
            seconds = time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
    return seconds / sum(len(part.images) for part in few) * (1.5 * explained + checked)
