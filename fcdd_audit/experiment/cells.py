"""One cell: a detector trained and measured under one condition and seed."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fcdd_audit._version import __version__
from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import RunError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import AuditData
from fcdd_audit.detectors import Detector, build, fit
from fcdd_audit.detectors.training.loop import uses_bfloat16
from fcdd_audit.edits.directions import DIRECTIONS
from fcdd_audit.experiment.explaining import (
    DEFECT,
    EXAMPLES,
    LEVELS,
    SCALED_BY,
    Explanations,
    Part,
    batches,
    check_explanations,
    explain_all,
    spread_out,
)
from fcdd_audit.explainers import Explainer, make_explainer
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.natural import NaturalArtifact
from fcdd_audit.probes import Probe, plant

Twin = Literal["planted", "control"]
MEASURED_WITH = ("torch", "torchvision", "captum", "numpy", "scikit-image")


@dataclass(frozen=True)
class Cell:
    """What is to be trained and measured. A control has no side and prevalence 0: all audits share it.

    plant_on: a direction in which an artifact is planted (see `DIRECTIONS`) or `both`, else one in which it
    is found. decoy: what is planted is the setup's decoy, and not the artifact that is probed.
    """

    dataset: str
    nominal_class: str
    detector: str
    probe: str
    twin: Twin
    seed: int
    plant_on: str | None = None
    prevalence: float = 0.0
    decoy: bool = False


@dataclass(frozen=True)
class Found:
    """What belongs to an artifact that is found in the data, not planted.

    share: of the training images of each side, how many bear it, in [0, 1]. removal: how the control's
    training data are rid of it: `drop` or `inpaint`. nominal, anomalous: the control's training images, in
    number and order like the data's. nominal_elsewhere, anomalous_elsewhere: test images from which as much
    was removed as the artifact, at another place.
    """

    share: dict[Side, float]
    removal: str
    nominal: ImageSet
    anomalous: ImageSet
    nominal_elsewhere: Tensor
    anomalous_elsewhere: Tensor


@dataclass(frozen=True)
class Setup:
    """What all cells of a run share.

    The marked test images are paired with `data`'s test images, one to one; their masks say where the
    artifact is, and are None for one without a place. Of a `found` artifact the marked images are those that
    it is on, as found, and the data's own test images those with it removed; both are the same where it
    isn't. `explainers`: in the registry's order. `options`: by the name of a detector, probe or explainer.
    `explained`: at most so many test images of each side are explained; None: all. `sanity`: on so many of
    each side explanations are checked; 0: on none. `decoy`: an artifact that may be planted and isn't probed.
    """

    data: AuditData
    fingerprint: str
    probe: Probe | NaturalArtifact
    nominal_marked: Tensor
    nominal_mask: Tensor | None
    anomalous_marked: Tensor
    anomalous_mask: Tensor | None
    recipe: Recipe
    explainers: tuple[str, ...]
    device: str
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    explained: int | None = None
    sanity: int = 0
    decoy: Probe | None = None
    found: Found | None = None

    def places(self) -> tuple[Tensor, Tensor]:
        """Which of the nominal and of the anomalous test images are explained."""
        nominal, anomalous = len(self.nominal_marked), len(self.anomalous_marked)
        return (
            spread_out(nominal, self.nominal_mask, self.explained),
            spread_out(anomalous, self.anomalous_mask, self.explained),
        )

    def marked(self) -> tuple[Part, Part]:
        """The test images that are explained, as they bear the artifact, nominal and anomalous."""
        on_nominal, on_anomalous = self.places()
        nominal, anomalous = self.data.test_nominal, self.data.test_anomalous
        return (
            Part("nominal", nominal.names, self.nominal_marked, self.nominal_mask).at(on_nominal),
            Part("anomalous", anomalous.names, self.anomalous_marked, self.anomalous_mask).at(on_anomalous),
        )

    def make_explainers(self) -> dict[str, Explainer]:
        return {name: make_explainer(name, self.options) for name in self.explainers}


@dataclass(frozen=True)
class CellResult:
    """What a finished cell leaves behind. scores: part, image, variant, score."""

    cell: Cell
    scores: pd.DataFrame
    explanations: Explanations
    weights: dict[str, Tensor]
    losses: list[float]
    seconds: dict[str, float]


def cell_key(cell: Cell, setup: Setup) -> str:
    """Name of the cell's folder: a hash of all that its numbers depend on."""
    identity = {
        "cell": asdict(cell),
        "recipe": setup.recipe.flat(),
        "options": setup.options.get(cell.detector, {}),
        "probe": repr(setup.probe),
        "decoy": repr(setup.decoy) if cell.decoy else None,
        "explainers": {name: setup.options.get(name, {}) for name in setup.explainers},
        "explained": [setup.explained, setup.sanity],
        "shown": [EXAMPLES, SCALED_BY, LEVELS],
        "data": setup.fingerprint,
        "device": [setup.device, device_name(setup.device), precision_of(setup.recipe, setup.device)],
        "versions": [__version__, platform.machine(), *map(version, MEASURED_WITH)],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def precision_of(recipe: Recipe, device: str) -> str:
    """What training calculates in on this device."""
    return "bfloat16" if uses_bfloat16(recipe.compute.precision, torch.device(device)) else "float32"


def device_name(device: str) -> str:
    """The GPU's name, or the processor's."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def run_cell(cell: Cell, setup: Setup, on_step: Callable[[], object] = lambda: None) -> CellResult:
    """Train the cell's detector, score the test images clean and marked, and explain the marked ones.

    on_step: called after each training step.

    RunError if training diverges; InputError if the detector can't be trained on this data.
    """
    started = time.perf_counter()
    device = torch.device(setup.device)
    with deterministic():
        detector, losses = train_cell(cell, setup, device, on_step)
        trained = time.perf_counter()
        scores = _score_all(detector, setup, device)
        explanations = _explain(cell, detector, scores, setup, device)
    weights = {name: value.cpu().contiguous() for name, value in detector.state_dict().items()}
    seconds = {"training": trained - started, "measuring": time.perf_counter() - trained}
    return CellResult(cell, scores, explanations, weights, losses, seconds)


def train_cell(
    cell: Cell, setup: Setup, device: torch.device, on_step: Callable[[], object] = lambda: None
) -> tuple[Detector, list[float]]:
    """The cell's trained detector and its loss by epoch. Twins of a seed differ in the artifact only."""
    nominal, anomalous, masks = _training_images(cell, setup)
    # Of the same images for both twins, so that they begin with the same standardisation.
    detector, recipe = untrained(cell.detector, cell.seed, setup), setup.recipe
    losses = fit(detector, nominal, anomalous, recipe, cell.seed, device, masks=masks, on_step=on_step)
    return detector, losses


def untrained(detector: str, seed: int, setup: Setup) -> Detector:
    """A detector as the setup makes it, before training."""
    recipe, nominal = setup.recipe, setup.data.train_nominal.images
    return build(detector, nominal, seed, setup.options.get(detector), recipe.network, recipe.normalise)


def _training_images(cell: Cell, setup: Setup) -> tuple[Tensor, Tensor, Tensor | None]:
    """Nominal and anomalous images as the cell is trained on them, and masks of the true anomalies."""
    data, found = setup.data, setup.found
    if found is not None:
        clean = cell.twin == "control"
        sides = (found.nominal, found.anomalous) if clean else (data.train_nominal, data.train_anomalous)
        return sides[0].images, sides[1].images, sides[1].masks
    images = {"nominal": data.train_nominal.images, "anomalous": data.train_anomalous.images}
    if cell.plant_on is not None:
        artifact = setup.decoy if cell.decoy else setup.probe
        if artifact is None or isinstance(artifact, NaturalArtifact):
            raise ValueError(f"{cell} plants an artifact and there is none to plant")
        generator = torch_generator(cell.seed, "planting")
        for side in SIDES if cell.plant_on == "both" else (DIRECTIONS[cell.plant_on].side,):
            images[side] = plant(images[side], artifact, cell.prevalence, generator)
    return images["nominal"], images["anomalous"], data.train_anomalous.masks


def _score_all(detector: Detector, setup: Setup, device: torch.device) -> pd.DataFrame:
    data, found = setup.data, setup.found
    scored = [
        ("validation", "clean", data.validation.names, data.validation.images),
        ("nominal", "clean", data.test_nominal.names, data.test_nominal.images),
        ("nominal", "marked", data.test_nominal.names, setup.nominal_marked),
        ("anomalous", "clean", data.test_anomalous.names, data.test_anomalous.images),
        ("anomalous", "marked", data.test_anomalous.names, setup.anomalous_marked),
    ]
    if found is not None:
        scored += [
            ("nominal", "elsewhere", data.test_nominal.names, found.nominal_elsewhere),
            ("anomalous", "elsewhere", data.test_anomalous.names, found.anomalous_elsewhere),
        ]
    frames = []
    for part, variant, names, images in scored:
        with torch.no_grad():
            scores = torch.cat([detector.score(x) for x in batches(images, device)])
        if not torch.isfinite(scores).all():
            raise RunError(f"{type(detector).__name__} gives {part} test images scores that aren't finite")
        frames.append(
            pd.DataFrame({"part": part, "image": names, "variant": variant, "score": scores.cpu().double()})
        )
    return pd.concat(frames, ignore_index=True)


def _explain(
    cell: Cell, detector: Detector, scores: pd.DataFrame, setup: Setup, device: torch.device
) -> Explanations:
    """Of marked images; and of clean anomalous ones with a mask of the true anomaly. The network before
    training is the same for both twins, so that its maps are measured with the control's."""
    explainers, parts = setup.make_explainers(), list(setup.marked())
    truth, anomalous = setup.data.test_anomalous.masks, setup.data.test_anomalous
    if truth is not None:
        (has,) = truth.flatten(1).any(dim=1).nonzero(as_tuple=True)
        defects = Part(DEFECT, anomalous.names, anomalous.images, truth)
        parts.append(defects.at(has[spread_out(len(has), None, setup.explained)]))
    before = None
    if cell.twin == "control" and setup.nominal_mask is not None:
        before = untrained(cell.detector, cell.seed, setup).eval()
        nominal, _, _ = _training_images(cell, setup)
        first = torch.randperm(len(nominal), generator=torch_generator(cell.seed, "batches"))[:512]
        before.start(nominal.index_select(0, first))  # as training begins: Deep SVDD has its centre then
        before.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = explain_all(detector, parts, explainers, device, before)
    if setup.sanity == 0:
        return found
    clean = scores[(scores["part"] == "nominal") & (scores["variant"] == "clean")]["score"]
    unit = float(np.subtract(*np.quantile(clean, [0.75, 0.25]))) or float("nan")
    checks, costs = check_explanations(detector, parts, explainers, device, setup.sanity, unit)
    return replace(found, checks=checks, costs=costs)
