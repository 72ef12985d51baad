"""The command line: its commands, and its entry point."""

from __future__ import annotations

import atexit
import gc
import logging
import sys
import warnings
from typing import Annotated

import typer

from fcdd_audit.cli.catalogue import listing
from fcdd_audit.cli.check import check
from fcdd_audit.cli.commands import calibrate, compare, explain, remedy, report, run
from fcdd_audit.cli.discover import discover
from fcdd_audit.cli.errors import EXIT_FAILED, OneLineErrors, print_error
from fcdd_audit.cli.streams import make_lasting, unwritten

app = typer.Typer(
    cls=OneLineErrors,
    help="Find Clever Hans features in deep one-class anomaly detectors.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
for command, example in (
    (run, "run --dataset folder --data-root my-images --detector fcdd --seeds 7"),
    (explain, "explain reports/retina-watermark --explainer occlusion"),
    (remedy, "remedy reports/retina-watermark --how balance,consistency"),
    (discover, "discover --data-root my-images"),
    (calibrate, "calibrate --detector fcdd --pairs 64 --null-pairs 32 --out calibrations"),
    (report, "report reports/retina-watermark"),
    (check, "check reports/retina-watermark --max-new-alarms 0.05 --junit junit.xml"),
    (compare, "compare reports/retina-watermark reports/retina-bars"),
):
    app.command(epilog=f"Example: fcdd-audit {example}")(command)
app.add_typer(listing, name="list")


def _version(wanted: bool) -> None:
    if wanted:
        from fcdd_audit._version import __version__

        print(f"fcdd-audit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find Clever Hans features in deep one-class anomaly detectors."""


def main() -> None:
    """Entry point of the console script."""
    # What image libraries print of a damaged file is in our own line already.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("tifffile").disabled = True
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # the user's settings make no difference here
    make_lasting()
    atexit.register(gc.freeze)  # looking for garbage once more takes a second
    try:
        app(prog_name="fcdd-audit")
    finally:
        error = unwritten()
        if error is not None:
            print_error(f"can't write to stdout ({error.strerror}); send it elsewhere")
            sys.exit(EXIT_FAILED)
