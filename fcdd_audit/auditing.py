"""An audit from start to end: plan the cells, run them, judge, report."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fcdd_audit._version import __version__
from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.designs.finished import audit_finished
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.discovery.origin import check_provenance
from fcdd_audit.edits.directions import DIRECTIONS
from fcdd_audit.experiment.cells import Cell, Setup, cell_key, device_name, precision_of, untrained
from fcdd_audit.experiment.engines import finish_cells
from fcdd_audit.experiment.explaining import EXAMPLES
from fcdd_audit.experiment.planning import Question, plan, planned_cells, prepare, training_notes
from fcdd_audit.experiment.store import SCHEMA, RunFolder
from fcdd_audit.experiment.tables import (
    COSTS,
    class_means,
    costs_table,
    evidence,
    results_table,
    with_class_means,
)
from fcdd_audit.report import render_report
from fcdd_audit.report.comparison import write_comparison
from fcdd_audit.studies.compare import compare
from fcdd_audit.studies.error_rates import conditions, error_rates, read_calibration
from fcdd_audit.verdict.findings import Evidence, Finding
from fcdd_audit.verdict.judge import judge

log = logging.getLogger("fcdd_audit")


@dataclass(frozen=True)
class AuditResult:
    """What an audit found, and where it is written.

    provenance: for each nominal class, whether its training images differ from the anomalous ones in how they
    were made, as in findings.json.
    """

    folder: Path
    report: Path
    findings: list[Finding]
    provenance: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The content of findings.json."""
        return {
            "schema": SCHEMA,
            "run": self.folder.name,
            "findings": [finding.as_json() for finding in self.findings],
            "means": class_means(self.findings),
            "provenance": self.provenance,
        }


def run_audit(config: AuditConfig, quiet: bool = True) -> AuditResult:
    """Run an audit and write its folder, `config.run.out`/`config.run_name`.

    Finished cells of an earlier or interrupted run with the same settings are used again. Progress goes
    to stderr unless `quiet`. InputError for what can't be audited, RunError for what fails on the way.
    With `config.detector.weights`, a finished detector is tested against placebos instead of twins.
    """
    started = time.perf_counter()
    run = RunFolder(config.run.out / config.run_name)
    run.check_writable()
    if config.detector.weights is not None:
        return _audit_finished(config, run, started, quiet)
    calibration = read_calibration(config.design.calibration)
    classes = config.nominal_classes()
    for nominal_class in reversed(classes):  # what can't be audited is said before anything is trained
        setup = prepare(config, nominal_class, progress=not quiet)
        questions = plan(config, setup)
    audited: list[_Audited] = []
    with run.opened():
        for index, nominal_class in enumerate(classes):
            if index > 0:
                setup = prepare(config, nominal_class, progress=not quiet)
                questions = plan(config, setup)
            audited.append(_audit_class(config, run, setup, questions, index, quiet))
        findings = judge([one for part in audited for one in part.evidence], config.design.thresholds)
        result = AuditResult(
            run.path, run.path / "report.html", findings, [part.provenance for part in audited]
        )
        rates = error_rates(calibration, config, [part.conditions for part in audited])
        _write(run, audited, result, {**_describe(config, audited, started), "error_rates": rates})
        return result


def _audit_finished(config: AuditConfig, run: RunFolder, started: float, quiet: bool) -> AuditResult:
    """Nothing of it can be resumed, so that nothing is written before it is done."""
    found = audit_finished(config, quiet)
    result = AuditResult(run.path, run.path / "report.html", found.findings, [])
    questions: list[dict[str, Any]] = [
        {
            "nominal_class": finding.nominal_class,
            "detector": finding.detector,
            "plant_on": finding.plant_on,
            "prevalence": None,
            "planted": [],
            "control": [],
            "examples": "examples-0.npz",
        }
        for finding in found.findings
    ]
    pictures = ("examples-0.npz", found.pictures)
    costs = pd.DataFrame(columns=COSTS)
    audited = [
        _Audited([], found.table, costs, [], found.data, {}, questions, *pictures, {}, found.device, 0)
    ]
    with run.opened():
        _write(run, audited, result, _describe(config, audited, started, found.weights))
        return result


def _write(run: RunFolder, audited: list[_Audited], result: AuditResult, description: dict[str, Any]) -> None:
    """All files but the cells, together: an interrupted run must leave an older run's."""
    table = with_class_means(pd.concat([part.table for part in audited], ignore_index=True))
    for part in audited:
        run.write_arrays(part.examples, part.pictures)
    run.write_text("results.csv", table.to_csv(index=False, lineterminator="\n"))
    costs = pd.concat([part.costs for part in audited], ignore_index=True)
    if len(costs):
        run.write_text("costs.csv", costs.to_csv(index=False, lineterminator="\n"))
    run.write_text("findings.json", json.dumps(result.as_json(), indent=1) + "\n")
    run.write_text("config.json", json.dumps(description, indent=1) + "\n")
    render_report(run.path)
    if len(costs):  # explanations were checked
        write_comparison(compare([run.path]), run.path)


@dataclass(frozen=True)
class _Audited:
    """What is kept of a nominal class once its cells are finished: of its images only the examples."""

    evidence: list[Evidence]
    table: pd.DataFrame
    costs: pd.DataFrame
    explained: list[dict[str, Any]]
    data: dict[str, Any]
    provenance: dict[str, Any]
    questions: list[dict[str, Any]]
    examples: str
    pictures: dict[str, np.ndarray]
    conditions: dict[str, Any]
    device: str
    reused: int


def _audit_class(
    config: AuditConfig, run: RunFolder, setup: Setup, questions: list[Question], index: int, quiet: bool
) -> _Audited:
    """Run the cells of one nominal class, or use them again."""
    provenance = _provenance(setup, config)
    cells = planned_cells(questions)
    trained = finish_cells(cells, setup, run, config.run.workers, quiet)
    records = {cell: run.read_cell(cell_key(cell, setup)) for cell in cells}
    examples = f"examples-{index}.npz"

    def maps_of(cell: Cell) -> dict[str, np.ndarray]:
        return run.read_heatmaps(cell_key(cell, setup))

    maps = maps_of if setup.sanity else None
    return _Audited(
        evidence=[evidence(question, records, setup.data) for question in questions],
        table=results_table(questions, records, config.design.thresholds.score_quantile, maps),
        costs=costs_table(questions, records).assign(nominal_class=setup.data.nominal_class),
        explained=_explained(config, setup),
        data=_describe_data(setup, training_notes(config, setup)),
        provenance=provenance,
        questions=[
            {
                "nominal_class": question.nominal_class,
                "detector": question.detector,
                "plant_on": question.plant_on,
                "prevalence": question.prevalence,
                "planted": [cell_key(cell, setup) for cell in question.planted],
                "control": [cell_key(cell, setup) for cell in question.control],
                "examples": examples,
                "bearing": _bearing(question, setup),
            }
            for question in questions
        ],
        examples=examples,
        pictures=_examples(setup),
        conditions=conditions(config, setup),
        device=setup.device,
        reused=len(cells) - trained,
    )


def _bearing(question: Question, setup: Setup) -> list[str] | None:
    """Names of the test images that count on the side where a found artifact is removed."""
    if question.bearing is None:
        return None
    part = setup.data.parts()[f"test_{DIRECTIONS[question.plant_on].changed}"]
    return [name for name, bears in zip(part.names, question.bearing.tolist(), strict=True) if bears]


def _explained(config: AuditConfig, setup: Setup) -> list[dict[str, Any]]:
    """Of each detector and explainer: why it can't work, or how fine its map is."""
    rows = []
    for detector in config.detector.detectors:
        model = untrained(detector, 0, setup)
        for name, explainer in setup.make_explainers().items():
            reason = explainer.unavailable(model)
            grain = None if reason else explainer.grain(model, min(setup.data.shape[1:]))
            rows.append(
                {
                    "nominal_class": setup.data.nominal_class,
                    "detector": detector,
                    "explainer": name,
                    "reference": explainer.reference,
                    "unavailable": reason,
                    "field": None if grain is None else grain.size,
                    "stride": None if grain is None else grain.stride,
                }
            )
    return rows


def _provenance(setup: Setup, config: AuditConfig) -> dict[str, Any]:
    """Whether the training images of the two sides differ in how they were made; warns if that can be
    learned."""
    found = check_provenance(setup.data.train_nominal, setup.data.train_anomalous)
    learners = [name for name in config.detector.detectors if "anomalous" in DETECTORS[name].learns_from]
    summary = found.summary(learners)
    if found.status == "warning" and learners:
        log.warning("%s: %s", setup.data.nominal_class, summary)
    return {
        "nominal_class": setup.data.nominal_class,
        "learners": learners,
        "summary": summary,
        **found.as_json(),
    }


def _examples(setup: Setup) -> dict[str, np.ndarray]:
    """The test images that the report shows: the first explained ones of each side, clean and marked."""
    parts, data = setup.marked(), (setup.data.test_nominal, setup.data.test_anomalous)
    clean = [images.images[places[:EXAMPLES]] for images, places in zip(data, setup.places(), strict=True)]
    arrays = {
        "clean": torch.cat(clean).numpy(),
        "marked": torch.cat([part.images[:EXAMPLES] for part in parts]).numpy(),
    }
    masks = [part.mask[:EXAMPLES] for part in parts if part.mask is not None]
    if masks:  # an artifact without a place has none
        arrays["mask"] = torch.cat(masks).numpy()
    names = [name for part in parts for name in part.names[:EXAMPLES]]
    sides = [part.name for part in parts for _ in part.names[:EXAMPLES]]
    return {**arrays, "name": np.array(names), "side": np.array(sides)}


def _describe_data(setup: Setup, notes: list[str]) -> dict[str, Any]:
    data = setup.data
    return {
        "name": data.name,
        "nominal_class": data.nominal_class,
        "fingerprint": setup.fingerprint,
        "shape": list(data.shape),
        "images": {part: len(images) for part, images in data.parts().items()},
        "notes": [*data.notes, *notes],
    }


def versions() -> dict[str, str]:
    """Of this tool, Python, and what numbers depend on."""
    packages = ("torch", "torchvision", "captum", "numpy", "scikit-image", "scikit-learn", "pandas")
    return {
        "fcdd-audit": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _describe(
    config: AuditConfig, audited: list[_Audited], started: float, weights: dict[str, str] | None = None
) -> dict[str, Any]:
    """config.json: everything resolved, and where the cells are. weights: a finished detector's."""
    device = audited[0].device
    return {
        "schema": SCHEMA,
        "run": config.run_name,
        "null": "twins" if weights is None else "placebos",
        "weights": weights,
        "config": config.as_json(),
        "probe": repr(config.make_artifact()),
        "data": [part.data for part in audited],
        "versions": versions(),
        "device": {
            "name": device_name(device),
            "type": device,
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "precision": precision_of(config.detector.recipe, device) if weights is None else "float32",
        },
        "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "seconds": round(time.perf_counter() - started, 1),
        "cells_reused": sum(part.reused for part in audited),
        "explainers": [row for part in audited for row in part.explained],
        "questions": [question for part in audited for question in part.questions],
    }
