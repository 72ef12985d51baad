"""One cell: a detector trained and measured under one condition and seed."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from fcdd_audit._version import __version__
from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import RunError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import Side
from fcdd_audit.detectors import Detector, fit
from fcdd_audit.detectors.training.loop import uses_bfloat16
from fcdd_audit.edits.base import Edit, described
from fcdd_audit.experiment.explaining import (
    DEFECT,
    EXAMPLES,
    LEVELS,
    SCALED_BY,
    Explained,
    Explanations,
    batches,
    check_explanations,
    explain_all,
    spread_out,
)
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.table import family

Twin = Literal["planted", "control"]
MEASURED = ("overlap", "similarity", "faithfulness")  # families of measures whose numbers a cell holds
MEASURED_WITH = ("torch", "torchvision", "captum", "numpy", "scikit-image")


@dataclass(frozen=True)
class Cell:
    """What is to be trained and measured within a setup.

    edit: what the detector is trained on. twin: its part in a pair; the network before training, the same for
    both twins, is measured with the control.
    """

    detector: str
    twin: Twin
    seed: int
    edit: Edit

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "detector": self.detector,
            "twin": self.twin,
            "seed": self.seed,
            "edit": described(self.edit),
        }


@dataclass(frozen=True)
class CellResult:
    """What a finished cell leaves behind. names: of the scored images, validation and by side."""

    cell: Cell
    scores: Scores
    names: dict[str, tuple[str, ...]]
    explanations: Explanations
    weights: dict[str, Tensor]
    losses: list[float]
    seconds: dict[str, float]


def cell_key(cell: Cell, setup: Setup) -> str:
    """Name of the cell's folder: a hash of all that its numbers depend on."""
    identity = {
        "cell": cell.as_json(),
        "recipe": setup.recipe.flat(),
        "options": setup.options.get(cell.detector, {}),
        "probe": repr(setup.artifact),
        "planted": {name: repr(setup.plantable[name]) for name in cell.edit.artifacts},
        "explainers": {name: setup.options.get(name, {}) for name in setup.explainers},
        "explained": [setup.explained, setup.sanity],
        "measures": sorted(measure.name for name in MEASURED for measure in family(name))
        if setup.explainers
        else [],
        "shown": [EXAMPLES, SCALED_BY, LEVELS],
        "data": setup.fingerprint,
        "device": [setup.device, device_name(setup.device), precision_of(setup.recipe, setup.device)],
        "versions": _versions(),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


@cache
def _versions() -> list[str]:
    return [__version__, platform.machine(), *map(version, MEASURED_WITH)]


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
    names = {"validation": setup.validation.names} | {side: one.names for side, one in setup.pairs.items()}
    weights = {name: value.cpu().contiguous() for name, value in detector.state_dict().items()}
    seconds = {"training": trained - started, "measuring": time.perf_counter() - trained}
    return CellResult(cell, scores, names, explanations, weights, losses, seconds)


def train_cell(
    cell: Cell, setup: Setup, device: torch.device, on_step: Callable[[], object] = lambda: None
) -> tuple[Detector, list[float]]:
    """The cell's trained detector and its loss by epoch. Twins of a seed differ in the edit only."""
    training = setup.trained_on(cell.edit, cell.seed)
    detector = setup.untrained(cell.detector, cell.seed)
    losses = fit(
        detector,
        training.nominal.images,
        training.anomalous.images,
        setup.recipe,
        cell.seed,
        device,
        masks=training.anomalous.masks,
        on_step=on_step,
    )
    return detector, losses


def _score_all(detector: Detector, setup: Setup, device: torch.device) -> Scores:
    of: dict[tuple[Side, str], np.ndarray] = {}
    for side, pairs in setup.pairs.items():
        for variant, images in pairs.variants.items():
            of[side, variant] = _scores(detector, images, device, f"{side} test")
    return Scores(_scores(detector, setup.validation.images, device, "validation"), of)


def _scores(detector: Detector, images: Tensor, device: torch.device, part: str) -> np.ndarray:
    with torch.no_grad():
        scores = torch.cat([detector.score(x) for x in batches(images, device)])
    if not torch.isfinite(scores).all():
        raise RunError(f"{type(detector).__name__} gives {part} images scores that aren't finite")
    return scores.cpu().double().numpy()


def _explain(
    cell: Cell, detector: Detector, scores: Scores, setup: Setup, device: torch.device
) -> Explanations:
    """Of marked images; and of clean anomalous ones with a mask of the true anomaly. The network before
    training is the same for both twins, so that its maps are measured with the control's."""
    explainers, shown = setup.make_explainers(), setup.shown()
    anomalous = setup.pairs["anomalous"]
    truth = anomalous.mask_of("clean")
    if truth is not None:
        (has,) = truth.flatten(1).any(dim=1).nonzero(as_tuple=True)
        chosen = has[spread_out(len(has), None, setup.explained)]
        shown.append(Explained(DEFECT, anomalous.at(chosen), "clean"))
    before = None
    if cell.twin == "control" and setup.pairs["nominal"].mask is not None:
        before = setup.untrained(cell.detector, cell.seed).eval()
        nominal = setup.trained_on(cell.edit, cell.seed).nominal.images
        first = torch.randperm(len(nominal), generator=torch_generator(cell.seed, "batches"))[:512]
        before.start(nominal.index_select(0, first))  # as training begins: Deep SVDD has its centre then
        before.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = explain_all(detector, shown, explainers, device, before)
    if setup.sanity == 0:
        return found
    unit = float(np.subtract(*np.quantile(scores.of["nominal", "clean"], [0.75, 0.25]))) or float("nan")
    checks, costs = check_explanations(detector, shown, explainers, device, setup.sanity, unit)
    return replace(found, checks=checks, costs=costs)
