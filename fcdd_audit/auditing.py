"""An audit from start to end: plan, run, judge, render."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.files import check_writable
from fcdd_audit.core.versions import versions
from fcdd_audit.designs import DESIGNS
from fcdd_audit.designs.audited import Audited
from fcdd_audit.experiment.cells import device_name
from fcdd_audit.experiment.folder import SCHEMA
from fcdd_audit.experiment.store import RunStore
from fcdd_audit.measures.localization import HEADLINE
from fcdd_audit.measures.table import described_measures
from fcdd_audit.report import render_report
from fcdd_audit.report.comparison import write_comparison
from fcdd_audit.studies.compare import compare
from fcdd_audit.studies.error_rates import error_rates, read_calibration
from fcdd_audit.verdict.findings import Finding
from fcdd_audit.verdict.means import class_means

COSTS = "costs.csv"
COMPARISON = ("comparison.html", "comparison.csv", "comparison.json")


@dataclass(frozen=True)
class AuditResult:
    """What an audit found, and where it is written.

    origin: for each nominal class, whether its training images differ from the anomalous ones in how they
    were made, as in findings.json.
    """

    folder: Path
    report: Path
    findings: list[Finding]
    origin: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The content of findings.json."""
        return {
            "schema": SCHEMA,
            "run": self.folder.name,
            "findings": [finding.as_json() for finding in self.findings],
            "means": class_means(self.findings),
            "origin": self.origin,
        }


def run_audit(config: AuditConfig, quiet: bool = True) -> AuditResult:
    """Run an audit and write its folder, `config.run.out`/`config.run_name`.

    What an earlier or interrupted run with the same settings has finished is used again. Progress goes to
    stderr unless `quiet`. InputError for what can't be audited, RunError for what fails on the way.
    """
    started = time.perf_counter()
    store = RunStore(config.run.out / config.run_name)
    check_writable(store.path)
    calibration = read_calibration(config.design.calibration)
    with store.opened():
        audited = DESIGNS[config.design_name].run(config, store, quiet)
        result = AuditResult(store.path, store.path / "report.html", audited.findings, audited.origin)
        described = _describe(config, audited, started)
        if audited.conditions:
            described["error_rates"] = error_rates(calibration, config, audited.conditions)
        _write(store, audited, result, described)
    return result


def _write(store: RunStore, audited: Audited, result: AuditResult, described: dict[str, Any]) -> None:
    """All files but the cells, together: an interrupted run must leave an older run's."""
    for name, arrays in audited.arrays.items():
        store.write_arrays(name, arrays)
    for name, table in audited.tables.items():
        store.write_table(name, table)
    store.write_text("findings.json", json.dumps(result.as_json(), indent=1) + "\n")
    store.write_text("config.json", json.dumps(described, indent=1) + "\n")
    render_report(store.path)
    if COSTS in audited.tables:  # explanations were checked
        write_comparison(compare([store.path]), store.path)
    else:  # an older run's would be taken for this one's
        for name in (COSTS, *COMPARISON):
            (store.path / name).unlink(missing_ok=True)


def _describe(config: AuditConfig, audited: Audited, started: float) -> dict[str, Any]:
    """config.json: everything resolved, and where the cells are."""
    device = audited.device
    return {
        "schema": SCHEMA,
        "run": config.run_name,
        "design": config.design_name,
        "config": config.as_json(),
        "probe": repr(config.make_artifact()),
        "measures": described_measures(DESIGNS[config.design_name].families),
        "headline": HEADLINE.name,
        "versions": versions(),
        "device": {
            "name": device_name(device),
            "type": device,
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "precision": audited.precision,
        },
        "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "seconds": round(time.perf_counter() - started, 1),
        **audited.described,
    }
