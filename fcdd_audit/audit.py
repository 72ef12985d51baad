"""An audit from start to end: plan the cells, run them, judge, report."""

from __future__ import annotations

import itertools
import json
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from fcdd_audit._version import __version__
from fcdd_audit.cells import EXAMPLES, Cell, Setup, cell_key, device_name
from fcdd_audit.config import AuditConfig
from fcdd_audit.detectors.training import training_steps
from fcdd_audit.engines import default_workers, run_cells
from fcdd_audit.planning import Question, plan, planned_cells, prepare
from fcdd_audit.report import render_report
from fcdd_audit.results import evidence, results_table
from fcdd_audit.runs import SCHEMA, RunFolder
from fcdd_audit.verdict import Finding, judge


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
    started = time.perf_counter()
    run = RunFolder(config.out / config.run_name)
    run.check_writable()
    setup = prepare(config, progress=not quiet)
    questions = plan(config, setup)
    cells = planned_cells(questions)
    with run.opened():
        waiting = [cell for cell in cells if not run.has_cell(cell_key(cell, setup))]
        if waiting:
            _run_waiting(waiting, setup, run, config, quiet)

        records = {cell: run.read_cell(cell_key(cell, setup)) for cell in cells}
        findings = judge(
            [evidence(question, records, setup.data) for question in questions], config.thresholds
        )
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


def _run_waiting(cells: list[Cell], setup: Setup, run: RunFolder, config: AuditConfig, quiet: bool) -> None:
    steps, _ = training_steps(len(setup.data.train_nominal), setup.recipe)
    with tqdm(
        total=len(cells) * steps * setup.recipe.epochs,
        desc=f"{len(cells)} cells",
        unit="step",
        disable=quiet or None,
    ) as bar:
        finished = itertools.count(1)
        run_cells(
            cells,
            setup,
            run,
            config.workers or default_workers(setup.device),
            on_step=bar.update,
            on_cell=lambda: bar.set_postfix_str(f"{next(finished)} finished"),
        )


def _examples(setup: Setup) -> dict[str, np.ndarray]:
    """The test images that the report shows: the first of each side, clean and stamped."""
    count, data = EXAMPLES, setup.data
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
            "name": device_name(setup.device),
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
