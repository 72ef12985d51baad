"""The command that searches images for artifacts that nobody named."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Annotated, Any

import typer

from fcdd_audit.cli.errors import ErrorsAsLines
from fcdd_audit.cli.options import ConfigFile, Debug, OpenReport, Quiet, takes_settings
from fcdd_audit.cli.tables import print_candidates
from fcdd_audit.config.discovered import HIDDEN, discovered
from fcdd_audit.config.layers import read_config, read_environment
from fcdd_audit.core.late import importing

DRAWS, SAMPLE, FEWEST = 199, 256, 24  # as in discovery/discover.py, which imports torch


@takes_settings(hidden=HIDDEN)
def discover(
    draws: Annotated[
        int, typer.Option(min=1, metavar="N", help="Null searches: the least p is 1 / (1 + N).")
    ] = DRAWS,
    sample: Annotated[
        int,
        typer.Option(
            min=FEWEST,
            metavar="N",
            help="So many images of a side are compared with each other; all are matched with what is found.",
        ),
    ] = SAMPLE,
    no_sensitivity: Annotated[
        bool,
        typer.Option("--no-sensitivity", help="Don't search for marks that are put on these images."),
    ] = False,
    no_corners: Annotated[
        bool,
        typer.Option(
            "--no-corners", help="Don't search corners and edges of large files at their own scale."
        ),
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Search quickly, as every audit does: brightness alone, reduced images.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of all that is drawn at random.")] = 0,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print candidates.json.")] = False,
    quiet: Quiet = False,
    open_report: OpenReport = False,
    debug: Debug = False,
    **flags: Any,
) -> None:
    """Search images for artifacts that nobody named: marks that repeat, near-copies, how sides were made.

    Nothing is trained, and no detector is needed; with --model also what moves its scores is searched for.
    --data-root is a folder of images, with the sides train/nominal and train/anomalous, or without sides;
    --dataset names any other data set, whose training images are searched. Writes a page, candidates.json,
    extracted marks and masks to OUT/discover-DATASET.
    """
    with ErrorsAsLines(debug):
        files = [read_config(config)] if config else []
        layers = discovered(flags, *files, read_environment(os.environ))

        with importing():
            from fcdd_audit.config.audit import make_config
            from fcdd_audit.core.errors import InputError
            from fcdd_audit.discovering import run_discovery
            from fcdd_audit.discovery.discover import QUICK, Search

        if quick and (draws, sample, no_sensitivity) != (DRAWS, SAMPLE, False):
            raise InputError(
                "--quick sets how many null searches and images there are; drop it, or --draws, --sample and "
                "--no-sensitivity"
            )
        chosen = Search(draws, sample, not no_sensitivity, seed, corners=not no_corners)
        asked = replace(QUICK, seed=seed) if quick else chosen
        result = run_discovery(make_config(*layers), asked, quiet=quiet or as_json)
        if as_json:
            print(json.dumps(result.as_json(), indent=1))
        elif not quiet:
            print_candidates(result.as_json(), result.report)
        if open_report:
            typer.launch(result.report.resolve().as_uri())
