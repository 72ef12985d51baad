"""What the commands do: read what was asked, call, print."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from fcdd_audit.cli.errors import ErrorsAsLines
from fcdd_audit.cli.options import (
    Assignments,
    CompareAs,
    ConfigFile,
    Debug,
    FailOn,
    OpenReport,
    Quiet,
    read_layers,
    takes_settings,
)
from fcdd_audit.cli.tables import (
    print_change,
    print_comparison,
    print_findings,
    print_rates,
)
from fcdd_audit.config.calibrated import DECOYS, NULL_PAIRS, PAIRS, UNUSED, merge_calibrated
from fcdd_audit.core.late import importing
from fcdd_audit.gate.criteria import Criterion, exit_code, fail_on, outcomes

if TYPE_CHECKING:
    from fcdd_audit.auditing import AuditResult


@takes_settings()
def run(
    assignments: Assignments = None,
    config: ConfigFile = None,
    fail_on_verdicts: FailOn = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings.json.")] = False,
    quiet: Quiet = False,
    open_report: OpenReport = False,
    debug: Debug = False,
    **flags: Any,
) -> None:
    """Train twins with and without the artifact, measure, judge, and write a report.

    With --model or --weights a finished detector is audited instead: is it vulnerable or robust?

    Settings: defaults < --preset < --config < FCDD_AUDIT_* variables < flags. A run that was interrupted
    goes on where it was. Exit codes: 0 done, 1 the gate found something, 2 bad input, 3 the gate is
    inconclusive, 4 failed.
    """
    with ErrorsAsLines(debug):
        gate = None if fail_on_verdicts is None else fail_on(fail_on_verdicts)
        layers = read_layers(flags, config, assignments)

        with importing():
            from fcdd_audit.auditing import run_audit
            from fcdd_audit.config.audit import make_config
            from fcdd_audit.designs import DESIGNS
            from fcdd_audit.studies.error_rates import read_calibration

        audit = make_config(*layers)
        design = DESIGNS[audit.design_name]
        if dry_run:
            read_calibration(audit.design.calibration)  # refused here too if it is none
            planned = design.estimate(audit, quiet=quiet or as_json)
            print(json.dumps(asdict(planned), indent=1) if as_json else "\n".join(planned.lines()))
            return
        with redirect_stdout(sys.stderr):  # a model's own code may print
            result = run_audit(audit, quiet=quiet or as_json)
        if as_json:
            print(json.dumps(result.as_json(), indent=1))
        elif not quiet:
            print_findings(result, design)
        if open_report:
            typer.launch(result.report.resolve().as_uri())
        finish(result, gate)


def finish(result: AuditResult, gate: Criterion | None = None) -> NoReturn:
    """End the command with the gate's exit code, or, where nothing can be judged, with that as an error."""
    if result.nothing_judged is not None:
        from fcdd_audit.core.errors import RunError

        raise RunError(result.nothing_judged)
    raise typer.Exit(0 if gate is None else exit_code(outcomes(result.as_json()["findings"], [gate])))


def explain(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'run' wrote.")],
    explainer: Annotated[
        str,
        typer.Option(help="Explainers to add, comma-separated, or all: see 'fcdd-audit list explainers'."),
    ] = "",
    explained: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="At most so many test images of each side are explained; 0: all."
        ),
    ] = None,
    sanity: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="So many of each side serve to check the explanations."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Another device than the run's.")] = None,
    workers: Annotated[str | None, typer.Option(metavar="N", help="Other than the run's.")] = None,
    engine: Annotated[str | None, typer.Option(help="Another engine than the run's.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster, other than the run's.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the run's data is now.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Another folder for decoded images.")] = None,
    trust_model: Annotated[
        bool,
        typer.Option("--trust-model", help="Run the code, or open the file, that the run has as its model."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings.json.")] = False,
    quiet: Quiet = False,
    open_report: OpenReport = False,
    debug: Debug = False,
) -> None:
    """Explain a finished run's detectors with more explainers, or more images; nothing is trained.

    The run's own settings hold, and its folder is written again.
    """
    with ErrorsAsLines(debug):
        with importing():
            from fcdd_audit.auditing import explain_run
            from fcdd_audit.designs import DESIGNS

        names = tuple(name.strip() for name in explainer.split(",") if name.strip())
        where = {
            "device": device,
            "workers": workers,
            "engine": engine,
            "address": address,
            "data_root": data_root,
            "cache": cache,
        }
        result = explain_run(folder, names, explained, sanity, quiet or as_json, trust_model, **where)
        if as_json:
            print(json.dumps(result.as_json(), indent=1))
        elif not quiet:
            print_findings(result, DESIGNS[result.findings[0].design])
        if open_report:
            typer.launch(result.report.resolve().as_uri())
        finish(result)


def remedy(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'run' wrote.")],
    how: Annotated[
        str,
        typer.Option(help="Remedies to try, comma-separated, or all: see 'fcdd-audit list remedies'."),
    ] = "",
    export: Annotated[
        Path | None,
        typer.Option(help="Folder for what remedies make: training images, or a detector's weights."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Another device than the run's.")] = None,
    workers: Annotated[str | None, typer.Option(metavar="N", help="Other than the run's.")] = None,
    engine: Annotated[str | None, typer.Option(help="Another engine than the run's.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster, other than the run's.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the run's data is now.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Another folder for decoded images.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings.json.")] = False,
    quiet: Quiet = False,
    open_report: OpenReport = False,
    debug: Debug = False,
) -> None:
    """Try to mend what a finished run found: train its planted twins again, with remedies.

    The run's own settings hold, what it trained is used again, and its folder is written again.
    """
    with ErrorsAsLines(debug):
        with importing():
            from fcdd_audit.auditing import remedy_run
            from fcdd_audit.designs import DESIGNS

        names = tuple(name.strip() for name in how.split(",") if name.strip())
        where = {
            "device": device,
            "workers": workers,
            "engine": engine,
            "address": address,
            "data_root": data_root,
            "cache": cache,
        }
        with redirect_stdout(sys.stderr):
            result = remedy_run(folder, names, export, quiet or as_json, **where)
        if as_json:
            print(json.dumps(result.as_json(), indent=1))
        elif not quiet:
            print_findings(result, DESIGNS[result.findings[0].design])
        if open_report:
            typer.launch(result.report.resolve().as_uri())
        finish(result)


@takes_settings(hidden=UNUSED)
def calibrate(
    pairs: Annotated[
        int,
        typer.Option(
            metavar="N", help="Pairs of twins with the artifact planted, for each detector and prevalence."
        ),
    ] = PAIRS,
    null_pairs: Annotated[
        int,
        typer.Option(metavar="N", help="Pairs of each null with something planted, for each detector."),
    ] = NULL_PAIRS,
    decoy: Annotated[
        str, typer.Option(help="What is planted where the probe isn't: other artifacts, comma-separated.")
    ] = ",".join(DECOYS),
    assignments: Assignments = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print calibration.json.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **flags: Any,
) -> None:
    """Measure how often verdicts are right: draw audits from pairs of twins whose truth is known.

    Sensitivity: the artifact is planted, at rising prevalence (0.05, 0.2 and 1 by default). False alarms: the
    twins differ, but not by a cue. --seeds and --max-seeds are those of the audits. Writes calibration.json,
    .csv and .svg to OUT/calibration-DATASET-PROBE. A calibration that was interrupted goes on where it was.
    """
    with ErrorsAsLines(debug):
        given = merge_calibrated(*read_layers(flags, config, assignments))

        from fcdd_audit.config.audit import resolve
        from fcdd_audit.report.calibration import draw_rates
        from fcdd_audit.studies.calibrate import Calibration
        from fcdd_audit.studies.calibrate import calibrate as run_calibration

        decoys = tuple(name.strip() for name in decoy.split(",") if name.strip())
        asked = Calibration(resolve(given), pairs, null_pairs, decoys)
        result = run_calibration(asked, quiet=quiet or as_json)
        draw_rates(result.folder)
        if as_json:
            print(json.dumps(result.as_json(), indent=1))
        elif not quiet:
            print_rates(result)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'run' wrote.")],
    open_report: OpenReport = False,
    debug: Debug = False,
) -> None:
    """Write a run's report.html again, from its numbers."""
    with ErrorsAsLines(debug):
        from fcdd_audit.report import render_report

        page = render_report(folder)
        print(page)
        if open_report:
            typer.launch(page.resolve().as_uri())


def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that 'run' wrote.")],
    kind: CompareAs = None,
    out: Annotated[Path, typer.Option(help="Parent of the comparison's folder.")] = Path("reports"),
    name: Annotated[str, typer.Option(help="Name of the comparison's folder.")] = "comparison",
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json.")] = False,
    quiet: Quiet = False,
    open_report: OpenReport = False,
    debug: Debug = False,
) -> None:
    """Compare two audits, before and after a change, or explanations over runs.

    A change: new alarms, score shift and AUROC before and after, with the difference. Explanations: which
    expose a Clever Hans, and which raise false alarms; runs with '--explainer all' also have sanity checks
    and costs. Writes comparison.html, .csv and .json.
    """
    with ErrorsAsLines(debug):
        from fcdd_audit.report.comparison import write_comparison
        from fcdd_audit.studies.compare import Change, compare_runs

        found = compare_runs(folders, None if kind is None else kind.value)
        page = write_comparison(found, out / name)
        if as_json:
            print(json.dumps(found.as_json(), indent=1))
        elif not quiet:
            print_change(found) if isinstance(found, Change) else print_comparison(found)
            print(page)
        if open_report:
            typer.launch(page.resolve().as_uri())
