"""An audit from start to end: plan, run, judge, render."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.config.parts import ALL
from fcdd_audit.config.stored import stored_config
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import check_writable
from fcdd_audit.core.versions import versions
from fcdd_audit.datasets.handed import HANDED, handed
from fcdd_audit.designs import DESIGNS
from fcdd_audit.designs.audited import Audited
from fcdd_audit.designs.twins.run import mend
from fcdd_audit.experiment.devices import cores, device_name
from fcdd_audit.experiment.folder import DISCOVERY, SCHEMA, RunFolder
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.writer import RunWriter
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.measures.localization import HEADLINE
from fcdd_audit.measures.table import described_measures
from fcdd_audit.report import render_report
from fcdd_audit.report.comparison import write_comparison
from fcdd_audit.studies.compare import compare
from fcdd_audit.studies.error_rates import error_rates, read_calibration
from fcdd_audit.verdict.findings import Finding, said_of
from fcdd_audit.verdict.means import class_means

COSTS = "costs.csv"
DATA_ONLY = ".onnx"  # ends the name of a model that is no code
NUMBERED = re.compile(r"(examples|heat)-[0-9]+\.npz|discovery-[0-9]+")  # an older run may have had more
OF_CHECKS = (COSTS, "comparison.html", "comparison.csv", "comparison.json")


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

    @property
    def nothing_judged(self) -> str | None:
        """Why there is no verdict at all, where that is for lack of trained detectors; else None."""
        lacking = [finding for finding in self.findings if finding.missing == "failed-pairs"]
        if not lacking or len(lacking) < len([one for one in self.findings if one.missing != "identical"]):
            return None
        failed = [one for finding in lacking for one in finding.failed]
        return f"nothing can be judged: {said_of(failed[:1])}" + (
            f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
        )

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

    What is in its store already is used again. A detector whose training fails is missing from the findings,
    which say so. Progress goes to stderr unless `quiet`. InputError for what can't be audited, RunError for
    what fails on the way; the files of an older run stay then.
    """
    return write_audit(config, partial(DESIGNS[config.design_name].run, config, quiet=quiet))


def write_audit(config: AuditConfig, run: Callable[[Store], Audited]) -> AuditResult:
    """Write the folder of an audit. run: makes it, within its opened store. Errors as `run_audit`."""
    started = time.perf_counter()
    folder = RunWriter.at(config.run.out / config.run_name, config.run.store)
    check_writable(folder.path)
    check_writable(folder.store.path, "--store")
    calibration = read_calibration(config.design.calibration)
    with folder.opened():
        audited = run(folder.store)
        result = AuditResult(folder.path, folder.path / "report.html", audited.findings, audited.origin)
        described = _describe(config, audited, started)
        if audited.conditions:
            described["error_rates"] = error_rates(calibration, config, audited.conditions)
        _write(folder, audited, result, described)
    return result


def explain_run(
    path: Path,
    explainers: Sequence[str] = (),
    explained: int | None = None,
    sanity: int | None = None,
    quiet: bool = True,
    trust: bool = False,
    **where: Any,
) -> AuditResult:
    """Explain the detectors of a finished run with more explainers, and write its folder again.

    explainers: are added to those that the run has; `all`: every one there is. explained, sanity: as in
    `make_config`; None: as the run has it. where: `device`, `workers`, `engine`, `address`, `data_root`,
    `cache`, where these are others than in the run. trust: whether code may be run, or a file opened that can
    bring some, because the run's files name it as the model. Nothing is trained: InputError if a trained
    detector isn't in the run's store any more, or the images are others, and if nothing is to be added.
    """
    if not explainers and explained is None and sanity is None:
        raise InputError(
            "there is nothing to add: name explainers with --explainer, or --explained N, --sanity N"
        )
    known, config = _finished(path)
    if config.detector.model is not None and not config.detector.model.endswith(DATA_ONLY) and not trust:
        raise InputError(
            f"the run names the model '{config.detector.model}', which is code, or a file that can bring "
            "some; add --trust-model if you trust the run and the model"
        )
    wanted = tuple(EXPLAINERS) if ALL in explainers else tuple(explainers)
    config = config.having(
        explainers=tuple(dict.fromkeys([*config.explanation.explainers, *wanted])),
        explained=config.explanation.explained if explained is None else explained,
        sanity=config.explanation.sanity if sanity is None else sanity,
        export=None,
        **_place(path),
        trust_model=trust and config.detector.model is not None,
        **_where(where),
    )
    return write_audit(config, partial(DESIGNS[config.design_name].run, config, quiet=quiet, known=known))


def remedy_run(
    path: Path, remedies: Sequence[str], export: Path | None = None, quiet: bool = True, **where: Any
) -> AuditResult:
    """Try remedies where the score relies on the artifact in a finished run, and write its folder again.

    remedies: are added to those that the run has; `all`: every one there is. export: as in `make_config`.
    where: as in `explain_run`. The run's own settings hold; what is in its store is used again, so that
    remedied twins only are trained. InputError for a run without twins, whose images are others now, or
    where no remedy is named.
    """
    if not remedies:
        raise InputError("there is nothing to try: name remedies with --how; see 'fcdd-audit list remedies'")
    known, config = _finished(path)
    if config.design_name != "twins":
        raise InputError(
            f"'{path}' is of a finished detector, and a remedy is tried by training; mend your training, "
            "train again, and audit what comes out"
        )
    config = config.having(
        remedies=tuple(dict.fromkeys([*config.design.remedies, *remedies])),
        export=export,
        **_place(path),
        **_where(where),
    )
    return write_audit(config, partial(mend, config, quiet=quiet, finished=known))


def _finished(path: Path) -> tuple[dict[str, Any], AuditConfig]:
    """A finished run's config.json, and what it was asked. InputError for a discovery."""
    known = RunFolder(path).read_json("config.json")
    if known.get("design") == DISCOVERY:
        raise InputError(f"'{path}' holds a discovery, which has no detectors; give an audit's folder")
    config = stored_config(known)
    if config.data.dataset == HANDED:
        handed()
    return known, config


def _place(path: Path) -> dict[str, Any]:
    """Where a folder that is written again is."""
    path = path.resolve()
    return {"out": path.parent, "name": path.name}


def _where(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of where it runs; another engine isn't at the address of the run's."""
    changes = {name: value for name, value in given.items() if value is not None}
    return {"address": None, **changes} if "engine" in changes else changes


def _write(folder: RunWriter, audited: Audited, result: AuditResult, described: dict[str, Any]) -> None:
    older = [path.name for path in folder.path.iterdir() if NUMBERED.fullmatch(path.name)]
    with folder.replacing(*OF_CHECKS, *older) as draft:
        for name, arrays in audited.arrays.items():
            draft.write_arrays(name, arrays)
        for name, content in audited.files.items():
            draft.write_bytes(name, content)
        for name, table in audited.tables.items():
            draft.write_table(name, table)
        draft.write_json("findings.json", result.as_json())
        draft.write_json("config.json", described)
        render_report(draft.path)
        if COSTS in audited.tables:  # explanations were checked
            write_comparison(compare([draft.path]), draft.path)


def _describe(config: AuditConfig, audited: Audited, started: float) -> dict[str, Any]:
    """config.json: everything resolved."""
    device = audited.device
    return {
        "schema": SCHEMA,
        "run": config.run_name,
        "design": config.design_name,
        "config": config.as_json(),
        "probe": ", ".join(repr(config.make_artifact(probe)) for probe in config.artifact.probes),
        "measures": described_measures(DESIGNS[config.design_name].families),
        "headline": HEADLINE.name,
        "versions": versions(),
        "device": {
            "name": device_name(device),
            "type": device,
            "system": f"{platform.system()} {platform.machine()}",
            "cores": cores(),
            "precision": audited.precision,
        },
        "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "seconds": round(time.perf_counter() - started, 1),
        **audited.described,
    }
