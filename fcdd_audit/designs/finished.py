"""A finished detector, which brings weights and can't be trained again: its null is placebos, not twins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import check_writable
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.core.text import number, span
from fcdd_audit.datasets import DATASETS, AuditData
from fcdd_audit.designs.audited import Audited, describe_data
from fcdd_audit.designs.placebos import (
    BATCH,
    PlaceboResult,
    Score,
    SideResult,
    check_placebos,
    placebo_test,
    places,
)
from fcdd_audit.detectors import Detector, build
from fcdd_audit.detectors.weights import Weights, fill, read_weights
from fcdd_audit.experiment.explaining import EXAMPLES
from fcdd_audit.experiment.folder import VARIANTS
from fcdd_audit.experiment.store import RunStore
from fcdd_audit.experiment.tables import COLUMNS
from fcdd_audit.explainers import EXPLAINERS, Explainer, make_explainer, raising
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.measures.localization import pixel_auroc
from fcdd_audit.probes import make_probe
from fcdd_audit.probes.surrogates import Placebos, blend_of
from fcdd_audit.verdict.findings import QUADRANTS, ExplainerFinding, Finding

EXAMPLES_FILE = "examples-0.npz"
SEED = 0  # of the artifact's places, the placebos' contents and the bootstrap
# A cue for "anomalous" shows on nominal images, and one for "nominal" on anomalous ones.
PLANT_ON: dict[Side, Side] = {"nominal": "anomalous", "anomalous": "nominal"}


def run(config: AuditConfig, store: RunStore, quiet: bool) -> Audited:
    """Test the detector with the configured weights against placebos: one finding for each side.

    Nothing of it can be resumed, so nothing is written before it is done. A bar on stderr unless `quiet`.
    InputError for what can't be audited, RunError for a detector whose scores or heatmaps aren't finite.
    """
    loaded = _load(config, quiet)
    pictures = _pictures(loaded, config)  # before all else: says what can't have placebos
    result = placebo_test(
        loaded.detector.score,
        loaded.data.test_nominal.images,
        loaded.data.test_anomalous.images,
        make_probe(config.artifact.probe, config.options),
        config.design.placebos,
        SEED,
        loaded.explainers,
        loaded.device,
        config.design.thresholds,
        progress=not quiet,
    )
    findings = [_finding(config, loaded.data, result, side) for side in result.sides]
    return Audited(
        findings=findings,
        tables={"results.csv": _results(config, loaded.data, result)},
        arrays={EXAMPLES_FILE: pictures},
        described={
            "weights": {"file": loaded.weights.file, "sha256": loaded.weights.sha256},
            "data": [describe_data(loaded.data, loaded.data.fingerprint())],
            "explainers": [],
            "questions": [_question(finding) for finding in findings],
        },
        device=str(loaded.device),
        precision="float32",
    )


def _question(finding: Finding) -> dict[str, Any]:
    return {
        "nominal_class": finding.nominal_class,
        "detector": finding.detector,
        "plant_on": finding.plant_on,
        "examples": EXAMPLES_FILE,
    }


@dataclass(frozen=True)
class FinishedEstimate:
    """What an audit of a finished detector would take. `seconds` and `megabytes` are rough.

    scored, explained: how many images are, each as often as it is with another mark or explainer.
    """

    placebos: int
    images: dict[str, int]
    scored: int
    explained: int
    seconds: float
    megabytes: float

    def lines(self) -> list[str]:
        """For people."""
        images = ", ".join(f"{part.replace('_', ' ')} {count}" for part, count in self.images.items())
        return [
            f"scored  {self.scored} images, with {self.placebos} placebos; {self.explained} explained",
            f"images  {images}",
            f"time    about {self.seconds:.0f} s",
            f"disk    about {self.megabytes:.0f} MB",
        ]


def estimate(config: AuditConfig, quiet: bool = True) -> FinishedEstimate:
    """Load all that an audit of a finished detector needs, and score a few images to learn its speed.

    A bar on stderr, for images that have to be decoded, unless `quiet`. InputError as in `run`.
    """
    check_writable(config.run.out / config.run_name)
    loaded = _load(config, quiet)
    pictures = _pictures(loaded, config)
    images = {part: len(loaded.data.parts()[part]) for part in ("test_nominal", "test_anomalous")}
    scored = sum(images.values()) * (config.design.placebos + 2)
    explained = images["test_nominal"] * (config.design.placebos + 1)
    each, per_map = _seconds_an_image(loaded)
    return FinishedEstimate(
        config.design.placebos,
        images,
        scored,
        explained * len(loaded.explainers),
        seconds=scored * each + explained * per_map,
        megabytes=1 + sum(array.nbytes for array in pictures.values()) / 1e6,
    )


@dataclass(frozen=True)
class _Loaded:
    """data: without training images. explainers: those that work on the detector, by name."""

    data: AuditData
    weights: Weights
    detector: Detector
    explainers: dict[str, Score]
    device: torch.device


def _load(config: AuditConfig, quiet: bool) -> _Loaded:
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
    return _Loaded(data, weights, detector, explainers, device)


def _explainers(config: AuditConfig, detector: Detector) -> dict[str, Score]:
    """Without reference maps, which know nothing of the detector: here placebos say what a map is worth."""
    found: dict[str, Score] = {}
    for name in (name for name in EXPLAINERS if name in config.explanation.explainers):
        explainer = make_explainer(name, config.options)
        if not explainer.reference and explainer.unavailable(detector) is None:
            found[name] = partial(_explain, name, explainer, detector)
    if not found:
        made = (make_explainer(name, config.options) for name in config.explanation.explainers)
        reasons = (explainer.unavailable(detector) for explainer in made)
        reason = next((reason for reason in reasons if reason), "reference maps know nothing of it")
        raise InputError(
            f"none of the explainers {', '.join(config.explanation.explainers)} explains "
            f"{config.detector.detectors[0]}: {reason}; add another with --explainer"
        )
    return found


def _explain(name: str, explainer: Explainer, detector: Detector, x: Tensor) -> Tensor:
    # A generator made anew: images with the artifact and with placebos stay paired.
    return raising(explainer.explain(detector, x, torch_generator(0, f"explainer {name}")))


def _pictures(loaded: _Loaded, config: AuditConfig) -> dict[str, np.ndarray]:
    """The first test images of each side, uint8 (N, C, H, W) by VARIANTS, their `mask`, `name`, `side`, and
    of each explainer `heat.NAME`, float16 (variants, N, H, W) in [0, 1], and its scale, `scale.NAME`. The
    artifact lies where the test puts it, and the placebo is its first.

    InputError for artifacts that no placebo can be made of.
    """
    marks, probe = Placebos(1, SEED), make_probe(config.artifact.probe, config.options)
    parts: dict[str, list[Tensor]] = {name: [] for name in (*VARIANTS, "mask")}
    names: list[str] = []
    sides: list[str] = []
    for side, images in zip(SIDES, (loaded.data.test_nominal, loaded.data.test_anomalous), strict=True):
        batch = images.images[:BATCH].to(loaded.device).float() / 255
        artifact = blend_of(probe, batch.shape, places(SEED, side), loaded.device)
        placebo = next(marks.of(artifact))
        for name, shown in zip(VARIANTS, (batch, artifact.on(batch), placebo.on(batch)), strict=True):
            parts[name].append(shown[:EXAMPLES])
        parts["mask"].append(artifact.mask[:EXAMPLES])
        names += images.names[:EXAMPLES]
        sides += [side] * len(images.names[:EXAMPLES])
    x = {name: torch.cat(found) for name, found in parts.items()}
    arrays = {name: (x[name] * 255).round().to(torch.uint8).cpu().numpy() for name in VARIANTS}
    for name, explain in loaded.explainers.items():
        with deterministic():
            heat = np.stack([explain(x[variant])[:, 0].detach().cpu().numpy() for variant in VARIANTS])
        scale = np.float32(heat.max() or 1)
        # Gradients are too small for float16 as they are.
        arrays |= {f"heat.{name}": (heat / scale).astype(np.float16), f"scale.{name}": scale}
    return {**arrays, "mask": x["mask"].cpu().numpy(), "name": np.array(names), "side": np.array(sides)}


def _seconds_an_image(loaded: _Loaded) -> tuple[float, float]:
    """Of scoring it, and of all explanations and their overlap; the first pass warms up."""
    x = loaded.data.test_nominal.images[:BATCH].to(loaded.device).float() / 255
    mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
    mask[..., 0, 0] = True
    for _ in range(2):
        started = time.perf_counter()
        with torch.no_grad():
            loaded.detector.score(x).sum().item()
        scored = time.perf_counter()
        for explain in loaded.explainers.values():
            pixel_auroc(explain(x).detach().cpu(), mask)
    return (scored - started) / len(x), (time.perf_counter() - scored) / len(x)


def _finding(config: AuditConfig, data: AuditData, result: PlaceboResult, side: SideResult) -> Finding:
    """The answer for the images of one side; explanations are judged where the artifact raises the score."""
    plain = result.as_json()
    of_side = next(one for one in plain["sides"] if one["side"] == side.side)
    explanations = result.explanations if side.side == "nominal" else {}
    numbers = ("effect", "placebo_effects", "p", "p_holm", "shift", "placebo_shifts", "shift_p")
    shared = ("placebos", "likeness", "clean_auroc", "seed", "nominal_images", "anomalous_images")
    return Finding(
        dataset=data.name,
        nominal_class=data.nominal_class,
        detector=config.detector.detectors[0],
        probe=config.artifact.probe,
        plant_on=PLANT_ON[side.side],
        prevalence=None,
        verdict=side.verdict,
        reason=side.reason,
        reliance=side.excess,
        control_auroc=None,
        planted_auroc=None,
        seeds=0,
        images=result.nominal_images + result.anomalous_images,
        explainers=tuple(
            ExplainerFinding(
                name,
                reference=False,
                reveals=found.reveals,
                excess_pixel_auroc=found.excess,
                quadrant=QUADRANTS.get((side.verdict, found.reveals), "undecided"),
                agreement=None,
                overlaps=(),
                images=result.nominal_images,
            )
            for name, found in explanations.items()
        ),
        null="placebos",
        placebo={
            "side": side.side,
            **{key: of_side[key] for key in numbers},
            **{key: plain[key] for key in shared},
            "explanations": {name: plain["explanations"][name] for name in explanations},
        },
    )


Number = tuple[str, str, str, str, float]  # plant_on, explainer, split, metric, value


def _numbers(result: PlaceboResult) -> Iterator[Number]:
    """What results.csv has of the test (docs/files.md); NaN where there is no number."""
    yield "", "", "clean", "auroc", result.clean_auroc
    yield "", "", "placebos", "likeness", result.likeness
    for side in result.sides:
        plant_on = PLANT_ON[side.side]
        for metric, value in (
            ("effect", side.effect.value),
            ("reliance", side.excess.value),
            ("score_shift", side.shift),
            ("p", side.p),
            ("p_holm", side.p_holm),
            ("score_shift_p", side.shift_p),
        ):
            yield plant_on, "", "artifact", metric, value
        for metric, values in (("effect", side.placebo_effects), ("score_shift", side.placebo_shifts)):
            for place, value in enumerate(values, 1):
                yield plant_on, "", f"placebo-{place}", metric, value
    for name, found in result.explanations.items():
        for metric, value in (
            ("pixel_auroc", found.overlap.value),
            ("excess_pixel_auroc", found.excess.value),
            ("p", found.p),
            ("p_holm", found.p_holm),
        ):
            yield PLANT_ON["nominal"], name, "artifact", metric, value
        for place, value in enumerate(found.placebo_overlaps, 1):
            yield PLANT_ON["nominal"], name, f"placebo-{place}", "pixel_auroc", value


def _results(config: AuditConfig, data: AuditData, result: PlaceboResult) -> pd.DataFrame:
    frame = pd.DataFrame(_numbers(result), columns=["plant_on", "explainer", "split", "metric", "value"])
    described = {
        "dataset": data.name,
        "nominal_class": data.nominal_class,
        "detector": config.detector.detectors[0],
        "probe": config.artifact.probe,
        "prevalence": np.nan,
        "twin": "finished",
        "seed": result.seed,
    }
    return frame.assign(**described)[list(COLUMNS)]


def table(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows for the terminal from findings.json, head first."""
    rows: list[tuple[str, ...]] = [
        ("detector", "artifact on", "verdict", "beyond placebos (95 %)", "p", "explanations")
    ]
    for finding in found["findings"]:
        shown = [f"{e['explainer']}: {e['quadrant']}" for e in finding["explainers"]]
        placebo = finding["placebo"]
        numbers = span(finding["reliance"]), number(placebo["p_holm"])
        side = f"{placebo['side']} images"
        rows.append((finding["detector"], side, finding["verdict"], *numbers, ", ".join(shown) or "–"))
    return rows
