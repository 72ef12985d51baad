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
from fcdd_audit.datasets import AuditData, ImageSet
from fcdd_audit.detectors import SIDES, Detector, Recipe, build, fit
from fcdd_audit.detectors.base import Side
from fcdd_audit.detectors.training import deterministic, uses_bfloat16
from fcdd_audit.errors import RunError
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.measures.localization import LOCALIZATION, Ranked, area_share, dilate
from fcdd_audit.measures.reliance import DIRECTIONS
from fcdd_audit.probes import NaturalArtifact, Probe, plant
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

    The stamped test images are paired with `data`'s test images, one to one; their masks say where the
    artifact is, and are None for one without a place. Of a `found` artifact the stamped images are those that
    it is on, as found, and the data's own test images those with it removed; both are the same where it
    isn't. `explainers`: in the registry's order. `options`: by the name of a detector or probe. `decoy`: an
    artifact that may be planted and isn't probed.
    """

    data: AuditData
    fingerprint: str
    probe: Probe | NaturalArtifact
    nominal_stamped: Tensor
    nominal_mask: Tensor | None
    anomalous_stamped: Tensor
    anomalous_mask: Tensor | None
    recipe: Recipe
    explainers: tuple[str, ...]
    device: str
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    decoy: Probe | None = None
    found: Found | None = None


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
    """The cell's trained detector and its loss by epoch. Twins of a seed differ in the artifact only."""
    nominal, anomalous, masks = _training_images(cell, setup)
    recipe, options = setup.recipe, setup.options.get(cell.detector)
    # Of the same images for both twins, so that they begin with the same standardisation.
    detector = build(
        cell.detector,
        setup.data.train_nominal.images,
        cell.seed,
        options,
        recipe.network,
        recipe.normalise,
    )
    losses = fit(detector, nominal, anomalous, recipe, cell.seed, device, masks=masks, on_step=on_step)
    return detector, losses


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


def _batches(images: Tensor, device: torch.device) -> Iterator[Tensor]:
    for batch in images.split(EVALUATION_BATCH):
        x = batch.to(device).float() / 255
        yield x.contiguous(memory_format=torch.channels_last)


def _score_all(detector: Detector, setup: Setup, device: torch.device) -> pd.DataFrame:
    data, found = setup.data, setup.found
    scored = [
        ("validation", "clean", data.validation.names, data.validation.images),
        ("nominal", "clean", data.test_nominal.names, data.test_nominal.images),
        ("nominal", "stamped", data.test_nominal.names, setup.nominal_stamped),
        ("anomalous", "clean", data.test_anomalous.names, data.test_anomalous.images),
        ("anomalous", "stamped", data.test_anomalous.names, setup.anomalous_stamped),
    ]
    if found is not None:
        scored += [
            ("nominal", "elsewhere", data.test_nominal.names, found.nominal_elsewhere),
            ("anomalous", "elsewhere", data.test_anomalous.names, found.anomalous_elsewhere),
        ]
    frames = []
    for part, variant, names, images in scored:
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
                frame = pd.DataFrame({**about, "area": area_share(where)}).join(
                    pd.concat(measured[kind], ignore_index=True)
                )
                frames.append(frame[frame["area"] > 0])  # a found artifact isn't on every image
        kept[name] = np.concatenate([maps[:EXAMPLES] for maps in shown])
        even = min(map(len, shown))
        heat = np.concatenate([maps[:even] for maps in shown])
        levels[name] = np.quantile(heat, np.linspace(0, 1, LEVELS)).astype(np.float32)
    localization = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=LOCALIZED)
    return localization, kept, levels
