"""An audit from start to end: plan the cells, run them, judge, report."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from fcdd_audit._version import __version__
from fcdd_audit.cells import Cell, Setup, cell_key
from fcdd_audit.config import AuditConfig
from fcdd_audit.datasets import DATASETS
from fcdd_audit.detectors import DETECTORS, build, fit
from fcdd_audit.detectors.training import steps_per_epoch
from fcdd_audit.engines import default_workers, run_cells
from fcdd_audit.errors import InputError
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.probes import plant, stamp
from fcdd_audit.report import render_report
from fcdd_audit.results import (
    COLUMNS,
    chance_levels,
    detection_numbers,
    localization_numbers,
    overlaps,
    paired_numbers,
    tidy,
)
from fcdd_audit.runs import CellRecord, RunFolder
from fcdd_audit.seeding import torch_generator
from fcdd_audit.verdict import Evidence, Finding, judge

SCHEMA = 1


@dataclass(frozen=True)
class Question:
    """One line of the verdict: planted and control cells by seed, or the reason why there are none."""

    detector: str
    probe: str
    plant_on: str
    prevalence: float
    planted: tuple[Cell, ...] = ()
    control: tuple[Cell, ...] = ()
    identical: str | None = None


@dataclass(frozen=True)
class AuditResult:
    """What an audit found, and where it is written."""

    folder: Path
    report: Path
    findings: list[Finding]

    def as_json(self) -> dict[str, Any]:
        """The content of findings.json."""
        return {
            "schema": SCHEMA,
            "run": self.folder.name,
            "findings": [finding.as_json() for finding in self.findings],
        }


def run_audit(config: AuditConfig, quiet: bool = True) -> AuditResult:
    """Run an audit and write its folder, `config.out`/`config.run_name`.

    Finished cells of an earlier or interrupted run with the same settings are used again. Progress goes
    to stderr unless `quiet`. InputError for what can't be audited, RunError for what fails on the way.
    """
    run = RunFolder(config.out / config.run_name)
    with run.opened():
        started = time.perf_counter()
        setup = prepare(config)
        questions = plan(config, setup)
        cells = planned_cells(questions)
        waiting = [cell for cell in cells if not run.has_cell(cell_key(cell, setup))]
        with tqdm(
            total=len(cells),
            initial=len(cells) - len(waiting),
            unit="cell",
            desc="audit",
            disable=quiet or None,
        ) as bar:
            if waiting:
                workers = config.workers or default_workers(setup.device)
                run_cells(waiting, setup, run, workers, lambda cell: bar.update())

        records = {cell: run.read_cell(cell_key(cell, setup)) for cell in cells}
        findings = judge([_evidence(question, records, setup) for question in questions], config.thresholds)
        result = AuditResult(run.path, run.path / "report.html", findings)
        table = results_table(questions, records, config.thresholds.score_quantile)
        run.write_text("results.csv", table.to_csv(index=False, lineterminator="\n"))
        run.write_text("findings.json", json.dumps(result.as_json(), indent=1) + "\n")
        run.write_arrays("examples.npz", _examples(setup))
        reused = len(cells) - len(waiting)
        description = _describe(config, setup, questions, reused, time.perf_counter() - started)
        run.write_text("config.json", json.dumps(description, indent=1) + "\n")
        render_report(run.path)
        return result


def prepare(config: AuditConfig) -> Setup:
    """Load the data and stamp the test images: what all cells share."""
    device = config.resolve_device()
    data = DATASETS[config.dataset](config.data_request())
    probe = config.make_probe()
    generator = torch_generator(0, "stamped test images")
    nominal_stamped, nominal_mask = stamp(data.test_nominal.images, probe, generator)
    anomalous_stamped, anomalous_mask = stamp(data.test_anomalous.images, probe, generator)
    return Setup(
        data=data,
        fingerprint=data.fingerprint(),
        probe=probe,
        nominal_stamped=nominal_stamped,
        nominal_mask=nominal_mask,
        anomalous_stamped=anomalous_stamped,
        anomalous_mask=anomalous_mask,
        recipe=config.recipe,
        explainers=config.explainers,
        device=str(device),
        options={name: dict(options) for name, options in config.options.items()},
    )


def plan(config: AuditConfig, setup: Setup) -> list[Question]:
    """What is asked, detector by detector; InputError if a cell couldn't run."""
    _check_trainable(config, setup)
    questions = []
    for detector in config.detectors:
        learns_from = DETECTORS[detector].learns_from
        side = config.plant_on
        if side == "auto":
            side = "anomalous" if "anomalous" in learns_from else "nominal"
        if side not in learns_from:
            reason = (
                f"identical by construction: {detector} never sees {side} images in training, so the "
                f"twins can't differ; plant on the {learns_from[0]} side"
            )
            questions += [
                Question(detector, config.probe, side, prevalence, identical=reason)
                for prevalence in config.prevalence
            ]
            continue
        identity = (config.dataset, setup.data.nominal_class, detector, config.probe)
        seeds = range(config.seeds)
        control = tuple(Cell(*identity, "control", seed) for seed in seeds)
        for prevalence in config.prevalence:
            planted = tuple(
                Cell(*identity, "planted", seed, plant_on=side, prevalence=prevalence) for seed in seeds
            )
            questions.append(Question(detector, config.probe, side, prevalence, planted, control))
    return questions


def _check_trainable(config: AuditConfig, setup: Setup) -> None:
    """Say now what would stop a cell later."""
    data = setup.data
    for detector in config.detectors:
        learns = DETECTORS[detector].learns_from
        if "anomalous" in learns and len(data.train_anomalous) == 0:
            raise InputError(
                f"{detector} learns from training anomalies and '{data.name}' has none; add "
                "train/anomalous or --oe, or leave out " + detector
            )
        for side in learns:
            images = getattr(data, f"train_{side}").images
            for prevalence in config.prevalence:
                plant(
                    images[:0].expand(0, *images.shape[1:]) if prevalence == 0 else images,
                    setup.probe,
                    prevalence,
                    torch_generator(0, "planting"),
                )
        model = build(detector, data.train_nominal.images[:2], 0, setup.options.get(detector))
        if all(EXPLAINERS[name]().unavailable(model) for name in config.explainers):
            raise InputError(
                f"none of the explainers {', '.join(config.explainers)} works on {detector}: "
                f"{EXPLAINERS[config.explainers[0]]().unavailable(model)}; add another with --explainer"
            )


def planned_cells(questions: list[Question]) -> list[Cell]:
    """All cells, each once, twins next to each other."""
    cells: dict[Cell, None] = {}
    for question in questions:
        for control, planted in zip(question.control, question.planted, strict=True):
            cells[control] = cells[planted] = None
    return list(cells)


def _evidence(question: Question, records: dict[Cell, CellRecord], setup: Setup) -> Evidence:
    planted = [records[cell] for cell in question.planted]
    control = [records[cell] for cell in question.control]
    by_seed = [(overlaps(p), overlaps(c)) for p, c in zip(planted, control, strict=True)]
    explainers = by_seed[0][0] if by_seed else {}
    data = setup.data
    return Evidence(
        dataset=data.name,
        nominal_class=data.nominal_class,
        detector=question.detector,
        probe=question.probe,
        plant_on=question.plant_on,
        prevalence=question.prevalence,
        images=len(data.test_nominal) + len(data.test_anomalous),
        planted=[record.scores for record in planted],
        control=[record.scores for record in control],
        overlaps={
            explainer: {
                measure: (
                    np.stack([p[explainer][measure] for p, _ in by_seed]),
                    np.stack([c[explainer][measure] for _, c in by_seed]),
                )
                for measure in measures
            }
            for explainer, measures in explainers.items()
        },
        chance=chance_levels(planted[0]) if planted else {},
        references=tuple(n for n in explainers if EXPLAINERS[n].reference),
        identical=question.identical,
    )


def results_table(
    questions: list[Question], records: dict[Cell, CellRecord], quantile: float
) -> pd.DataFrame:
    """results.csv: tidy, in the order of the plan. A control's rows stand once for each side."""
    frames, seen = [], set()
    for question in questions:
        for control, planted in zip(question.control, question.planted, strict=True):
            side = {"plant_on": question.plant_on}
            for cell in (control, planted):
                if cell in seen:
                    continue
                seen.add(cell)
                record = records[cell]
                numbers = [
                    *detection_numbers(record.scores, question.plant_on, quantile),
                    *localization_numbers(record.localization),
                ]
                frames.append(tidy(side, record, numbers))
            paired = list(paired_numbers(records[planted], records[control], question.plant_on))
            frames.append(tidy({"twin": "planted-control"}, records[planted], paired))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def _examples(setup: Setup) -> dict[str, np.ndarray]:
    """The test images that the report shows: the first of each side, clean and stamped."""
    count, data = setup.examples, setup.data
    pairs = {
        "clean": (data.test_nominal.images, data.test_anomalous.images),
        "stamped": (setup.nominal_stamped, setup.anomalous_stamped),
        "mask": (setup.nominal_mask, setup.anomalous_mask),
    }
    arrays = {
        name: torch.cat([nominal[:count], anomalous[:count]]).numpy()
        for name, (nominal, anomalous) in pairs.items()
    }
    names = (*data.test_nominal.names[:count], *data.test_anomalous.names[:count])
    sides = ["nominal"] * len(data.test_nominal.names[:count])
    sides += ["anomalous"] * (len(names) - len(sides))
    return {**arrays, "name": np.array(names), "side": np.array(sides)}


def _describe(
    config: AuditConfig, setup: Setup, questions: list[Question], reused: int, seconds: float
) -> dict[str, Any]:
    """config.json: everything resolved, and where the cells are."""
    data = setup.data
    packages = ("torch", "torchvision", "captum", "numpy", "scikit-image", "scikit-learn", "pandas")
    return {
        "schema": SCHEMA,
        "run": config.run_name,
        "config": config.as_json(),
        "probe": repr(setup.probe),
        "data": {
            "name": data.name,
            "nominal_class": data.nominal_class,
            "fingerprint": setup.fingerprint,
            "shape": list(data.shape),
            "images": {part: len(images) for part, images in data.parts().items()},
            "notes": list(data.notes),
        },
        "versions": {
            "fcdd-audit": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
        "device": {
            "name": torch.cuda.get_device_name(setup.device)
            if setup.device.startswith("cuda")
            else platform.processor() or platform.machine(),
            "type": setup.device,
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
        },
        "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "seconds": round(seconds, 1),
        "cells_reused": reused,
        "questions": [
            {
                "detector": question.detector,
                "plant_on": question.plant_on,
                "prevalence": question.prevalence,
                "planted": [cell_key(cell, setup) for cell in question.planted],
                "control": [cell_key(cell, setup) for cell in question.control],
            }
            for question in questions
        ],
    }


@dataclass(frozen=True)
class Estimate:
    """What a run would take. `seconds` and `megabytes` are rough."""

    cells: int
    finished: int
    images: dict[str, int]
    seconds: float
    megabytes: float


def estimate(config: AuditConfig) -> Estimate:
    """Plan an audit without running it; trains each detector for a moment to learn its speed."""
    run = RunFolder(config.out / config.run_name)
    setup = prepare(config)
    cells = planned_cells(plan(config, setup))
    waiting = [cell for cell in cells if not run.has_cell(cell_key(cell, setup))]
    workers = min(config.workers or default_workers(setup.device), max(len(waiting), 1))
    seconds = {name: _seconds_a_cell(name, setup) for name in {cell.detector for cell in waiting}}
    height, width = setup.data.shape[1:]
    maps = 2 * setup.examples * len(setup.explainers) * height * width * 2
    rows = 2 * (len(setup.nominal_mask) + len(setup.anomalous_mask)) * len(setup.explainers)
    return Estimate(
        cells=len(cells),
        finished=len(cells) - len(waiting),
        images={part: len(images) for part, images in setup.data.parts().items()},
        seconds=sum(seconds[cell.detector] for cell in waiting) / workers,
        megabytes=len(waiting) * (maps + 150 * rows + 2e6) / 1e6,
    )


def _seconds_a_cell(name: str, setup: Setup) -> float:
    """Extrapolated from a few training steps on one thread."""
    threads = torch.get_num_threads()
    size = min(8 * setup.recipe.batch_size, len(setup.data.train_nominal))
    short = type(setup.recipe)(**{**asdict(setup.recipe), "epochs": 1})
    nominal = setup.data.train_nominal.images
    try:
        torch.set_num_threads(1)
        detector = build(name, nominal, 0, setup.options.get(name))
        started = time.perf_counter()
        fit(
            detector,
            nominal[:size],
            setup.data.train_anomalous.images,
            short,
            0,
            torch.device(setup.device),
        )
        per_step = (time.perf_counter() - started) / steps_per_epoch(size, setup.recipe.batch_size)
    finally:
        torch.set_num_threads(threads)
    steps = setup.recipe.epochs * steps_per_epoch(len(nominal), setup.recipe.batch_size)
    return per_step * steps * 1.2 + 2  # measuring and writing
