"""The gate of a pipeline: a finished run against criteria."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fcdd_audit.cli.errors import ErrorsAsLines
from fcdd_audit.cli.options import Debug, FailOn
from fcdd_audit.cli.tables import print_outcomes
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import append_text, check_file, write_bytes
from fcdd_audit.gate.criteria import (
    VERDICTS,
    Criterion,
    exit_code,
    fail_on,
    max_new_alarms,
    min_auroc,
    outcomes,
    overall,
)

SCHEMA = 1  # of what --json prints


def check(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'run' wrote.")],
    fail_on_verdicts: FailOn = None,
    most_alarms: Annotated[
        float | None,
        typer.Option(
            "--max-new-alarms",
            metavar="X",
            help="Exit 1 if the share of new alarms, or of anomalies newly hidden, is surely above this.",
        ),
    ] = None,
    least_auroc: Annotated[
        float | None,
        typer.Option("--min-auroc", metavar="X", help="Exit 1 if the AUROC without the artifact is lower."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the outcomes as JUnit XML.")
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            "--summary",
            metavar="FILE",
            help="Add them as Markdown to a file, such as that of $GITHUB_STEP_SUMMARY.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False,
    debug: Debug = False,
) -> None:
    """Let a pipeline say no: hold a finished run's findings against criteria; nothing is computed.

    Without a criterion it is --fail-on relies,vulnerable. Exit codes: 0 passed, 1 a criterion failed, 2 bad
    input, 3 inconclusive, 4 failed.
    """
    with ErrorsAsLines(debug):
        criteria = _criteria(fail_on_verdicts, most_alarms, least_auroc)
        for file, option in ((junit, "--junit"), (summary, "--summary")):
            if file is not None:
                check_file(file, option)
        if junit is not None and summary is not None and junit.resolve() == summary.resolve():
            raise InputError(f"--junit and --summary are both '{junit}'; give two files")

        from fcdd_audit.experiment.folder import RunFolder
        from fcdd_audit.gate.junit import junit_xml
        from fcdd_audit.gate.summary import summary_markdown

        content, config = (RunFolder(folder).read_json(name) for name in ("findings.json", "config.json"))
        there = summary.stat().st_size if summary is not None and summary.exists() else 0
        try:
            run, found = content["run"], outcomes(content["findings"], criteria)
            xml, markdown = junit_xml(found, run, config), summary_markdown(found, run, there)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"the files of '{folder}' aren't whole ({type(error).__name__}: {error}); run the audit again"
            ) from error
        if junit is not None:
            write_bytes(junit, xml)
        if summary is not None:
            append_text(summary, markdown)
        if as_json:
            listed = [outcome.as_json() for outcome in found]
            result = {"schema": SCHEMA, "run": run, "result": overall(found), "outcomes": listed}
            print(json.dumps(result, indent=1))
        elif not quiet:
            print_outcomes(found)
        raise typer.Exit(exit_code(found))


def _criteria(verdicts: str | None, most_alarms: float | None, least_auroc: float | None) -> list[Criterion]:
    """Those that were given; none: the default."""
    given = [
        *([] if verdicts is None else [fail_on(verdicts)]),
        *([] if most_alarms is None else [max_new_alarms(most_alarms)]),
        *([] if least_auroc is None else [min_auroc(least_auroc)]),
    ]
    return given or [fail_on(",".join(VERDICTS))]
