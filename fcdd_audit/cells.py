"""One cell: a detector trained and measured under one condition and seed."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fcdd_audit._version import __version__
from fcdd_audit.datasets import AuditData
from fcdd_audit.detectors import Detector, Recipe, build, fit
from fcdd_audit.detectors.training import deterministic, uses_bfloat16
from fcdd_audit.errors import RunError
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.measures.localization import LOCALIZATION, Ranked, area_share, dilate
from fcdd_audit.probes import Probe, plant
from fcdd_audit.seeding import torch_generator

Twin = Literal["planted", "control"]
EVALUATION_BATCH = 128
EXAMPLES = 2  # test images of each side whose heatmaps are kept for the report
SCALED_BY = 32  # test images of each side whose heat sets the scale of what is shown
LEVELS = 1001  # quantiles kept of that heat
LOCALIZED = ("explainer", "part", "mask", "image", "area", *LOCALIZATION)  # columns of the localization
MEASURED_WITH = ("torch", "torchvision", "captum", "numpy", "scikit-image")


@dataclass(frozen=True)
class Cell:
    """What is to be trained and measured. A control has no side and prevalence 0: all audits share it.

    plant_on: `nominal`, `anomalous`, or `both`. decoy: what is planted is the setup's decoy, and not the
    artifact that is probed.
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
class Setup:
    """What all cells of a run share.

    The stamped test images are paired with `data`'s test images, one to one; their masks say where the
    artifact is, and are None for one without a place. `explainers`: in the registry's order. `options`: by
    the name of a detector or probe. `decoy`: an artifact that may be planted and isn't probed.
    """

    data: AuditData
    fingerprint: str
    probe: Probe
    nominal_stamped: Tensor
    nominal_mask: Tensor | None
    anomalous_stamped: Tensor
    anomalous_mask: Tensor | None
    recipe: Recipe
    explainers: tuple[str, ...]
    device: str
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    decoy: Probe | None = None


@dataclass(frozen=True)
class CellResult:
    """What a finished cell leaves behind.

    scores: part, image, variant, score. localization: one row an image, explainer and mask, one column
    a measure; no rows for an artifact without a place. heatmaps: of the examples, by explainer,
    (2 * EXAMPLES, H, W), nominal ones first. levels: by explainer, evenly spaced quantiles, (LEVELS,), of the
    heat in the maps of the first SCALED_BY stamped test images of each side, or of as many as the smaller
    side has.
    """

    cell: Cell
    scores: pd.DataFrame
    localization: pd.DataFrame
    heatmaps: dict[str, np.ndarray]
    levels: dict[str, np.ndarray]
    weights: dict[str, Tensor]
    losses: list[float]
    seconds: dict[str, float]


def cell_key(cell: Cell, setup: Setup) -> str:
    """Name of the cell's folder: a hash of all that its numbers depend on."""
    identity = {
        "cell": asdict(cell),
        "recipe": asdict(setup.recipe),
        "options": setup.options.get(cell.detector, {}),
        "probe": repr(setup.probe),
        "decoy": repr(setup.decoy) if cell.decoy else None,
        "explainers": setup.explainers,
        "shown": [EXAMPLES, SCALED_BY, LEVELS],
        "data": setup.fingerprint,
        "device": [setup.device, device_name(setup.device), precision_of(setup.recipe, setup.device)],
        "versions": [__version__, platform.machine(), *map(version, MEASURED_WITH)],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def precision_of(recipe: Recipe, device: str) -> str:
    """What training calculates in on this device."""
    return "bfloat16" if uses_bfloat16(recipe.precision, torch.device(device)) else "float32"


def device_name(device: str) -> str:
    """The GPU's name, or the processor's."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def run_cell(cell: Cell, setup: Setup, on_step: Callable[[], object] = lambda: None) -> CellResult:
    """Train the cell's detector, score the test images clean and stamped, and explain the stamped ones.

    on_step: called after each training step.

    RunError if training diverges; InputError if the detector can't be trained on this data.
    """
    started = time.perf_counter()
    device = torch.device(setup.device)
    with deterministic():
        detector, losses = train_cell(cell, setup, device, on_step)
        trained = time.perf_counter()
        scores = _score_all(detector, setup, device)
        localization, heatmaps, levels = _explain_all(detector, setup, device)
    weights = {name: value.cpu().contiguous() for name, value in detector.state_dict().items()}
    seconds = {"training": trained - started, "measuring": time.perf_counter() - trained}
    return CellResult(cell, scores, localization, heatmaps, levels, weights, losses, seconds)


def train_cell(
    cell: Cell, setup: Setup, device: torch.device, on_step: Callable[[], object] = lambda: None
) -> tuple[Detector, list[float]]:
    """The cell's trained detector and its loss by epoch. Twins of a seed differ in the planting only."""
    nominal, anomalous = setup.data.train_nominal.images, setup.data.train_anomalous.images
    recipe, options = setup.recipe, setup.options.get(cell.detector)
    detector = build(cell.detector, nominal, cell.seed, options, recipe.network, recipe.normalise)
    artifact = setup.decoy if cell.decoy else setup.probe
    if artifact is None:
        raise ValueError(f"{cell} plants a decoy and there is none")
    generator = torch_generator(cell.seed, "planting")
    if cell.plant_on in ("nominal", "both"):
        nominal = plant(nominal, artifact, cell.prevalence, generator)
    if cell.plant_on in ("anomalous", "both"):
        anomalous = plant(anomalous, artifact, cell.prevalence, generator)
    masks = setup.data.train_anomalous.masks
    losses = fit(detector, nominal, anomalous, recipe, cell.seed, device, masks=masks, on_step=on_step)
    return detector, losses


def _batches(images: Tensor, device: torch.device) -> Iterator[Tensor]:
    for batch in images.split(EVALUATION_BATCH):
        x = batch.to(device).float() / 255
        yield x.contiguous(memory_format=torch.channels_last)


def _score_all(detector: Detector, setup: Setup, device: torch.device) -> pd.DataFrame:
    data = setup.data
    frames = []
    for part, variant, names, images in (
        ("validation", "clean", data.validation.names, data.validation.images),
        ("nominal", "clean", data.test_nominal.names, data.test_nominal.images),
        ("nominal", "stamped", data.test_nominal.names, setup.nominal_stamped),
        ("anomalous", "clean", data.test_anomalous.names, data.test_anomalous.images),
        ("anomalous", "stamped", data.test_anomalous.names, setup.anomalous_stamped),
    ):
        with torch.no_grad():
            scores = torch.cat([detector.score(x) for x in _batches(images, device)])
        if not torch.isfinite(scores).all():
            raise RunError(f"{type(detector).__name__} gives {part} test images scores that aren't finite")
        frames.append(
            pd.DataFrame({"part": part, "image": names, "variant": variant, "score": scores.cpu().double()})
        )
    return pd.concat(frames, ignore_index=True)


def _explain_all(
    detector: Detector, setup: Setup, device: torch.device
) -> tuple[pd.DataFrame, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Overlap of every applicable explainer's heatmaps with the artifact's mask on stamped images, where it
    has one; and with the true anomaly's mask on clean anomalous images that have one. Examples of the
    heatmaps, and levels of their heat (see CellResult)."""
    data = setup.data
    grown = detector.map_field.stride // 2
    measured_on = "cpu" if device.type == "mps" else device  # which has no float64
    parts: list[tuple[str, tuple[str, ...], Tensor, Tensor | None]] = [
        ("nominal", data.test_nominal.names, setup.nominal_stamped, setup.nominal_mask),
        ("anomalous", data.test_anomalous.names, setup.anomalous_stamped, setup.anomalous_mask),
    ]
    truth = data.test_anomalous.masks
    if truth is not None:
        has = truth.flatten(1).any(dim=1)
        names = tuple(n for n, keep in zip(data.test_anomalous.names, has, strict=True) if keep)
        parts.append(("defect", names, data.test_anomalous.images[has], truth[has]))

    frames, kept, levels = [], {}, {}
    for name in setup.explainers:
        explainer = EXPLAINERS[name]()
        if explainer.unavailable(detector) is not None:
            continue
        shown = []
        generator = torch_generator(0, f"explainer {name}")  # the same for all cells: pairs stay paired
        for part, names, images, mask in parts:
            masks = {} if mask is None else {"exact": mask}
            if mask is not None and part != "defect":
                masks["dilated"] = dilate(mask, grown)
            explained = images if masks else images[:SCALED_BY]  # nothing to measure: only what is shown
            measured: dict[str, list[pd.DataFrame]] = {kind: [] for kind in masks}
            first = 0
            for x in _batches(explained, device):
                maps = explainer.explain(detector, x, generator).to(measured_on)
                if not torch.isfinite(maps).all():
                    raise RunError(f"{name} gives heatmaps of {type(detector).__name__} that aren't finite")
                if part != "defect" and first == 0:
                    shown.append(maps[:SCALED_BY, 0].cpu().numpy())
                ranked = Ranked.of(maps)
                for kind, where in masks.items():
                    here = where[first : first + len(x)].to(measured_on)
                    values = {
                        measure: entry.function(ranked, here).cpu() for measure, entry in LOCALIZATION.items()
                    }
                    measured[kind].append(pd.DataFrame(values))
                first += len(x)
            for kind, where in masks.items():
                about = {"explainer": name, "part": part, "mask": kind, "image": names}
                frames.append(
                    pd.DataFrame({**about, "area": area_share(where)}).join(
                        pd.concat(measured[kind], ignore_index=True)
                    )
                )
        kept[name] = np.concatenate([maps[:EXAMPLES] for maps in shown])
        even = min(map(len, shown))
        heat = np.concatenate([maps[:even] for maps in shown])
        levels[name] = np.quantile(heat, np.linspace(0, 1, LEVELS)).astype(np.float32)
    localization = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=LOCALIZED)
    return localization, kept, levels
