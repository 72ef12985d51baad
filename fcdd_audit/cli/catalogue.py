"""`fcdd-audit list`: what can be named on the command line."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fcdd_audit.cli.errors import ErrorsAsLines
from fcdd_audit.cli.options import Debug
from fcdd_audit.cli.registered import registered
from fcdd_audit.cli.tables import print_table
from fcdd_audit.config.presets import preset_rows


@dataclass(frozen=True)
class Kind:
    """A kind of entries. light: whether its module is imported in no time; then that is done."""

    words: str
    module: str
    registry: str
    light: bool = False

    def entries(self) -> dict[str, str]:
        """Names and summaries."""
        if self.light:
            importlib.import_module(self.module)
        return registered(self.module, self.registry)


DATASETS = Kind("Data sets for --dataset.", "fcdd_audit.datasets", "DATASETS")
PROBES = Kind("Probes for --probe.", "fcdd_audit.probes", "PROBES")
NATURAL = Kind("Artifacts that are found on images.", "fcdd_audit.natural", "NATURAL")
KINDS = {
    "sources": Kind(
        "Sources of images for --oe, besides photos, confetti, none and folders.",
        "fcdd_audit.datasets",
        "SOURCES",
    ),
    "networks": Kind("Networks for --network.", "fcdd_audit.detectors", "NETWORKS"),
    "detectors": Kind("Detectors for --detector.", "fcdd_audit.detectors", "DETECTORS"),
    "models": Kind("Formats of other people's models.", "fcdd_audit.models", "FORMATS"),
    "explainers": Kind("Explainers for --explainer.", "fcdd_audit.explainers", "EXPLAINERS"),
    "directions": Kind(
        "Where an artifact can be in training; those for --plant-on, and those of found ones.",
        "fcdd_audit.core.directions",
        "DIRECTIONS",
        light=True,
    ),
    "remedies": Kind("Remedies for --remedy.", "fcdd_audit.remedies", "REMEDIES"),
    "edits": Kind("Ways to change a training set.", "fcdd_audit.edits.base", "EDITS"),
    "designs": Kind(
        "What an artifact's effect is compared with.", "fcdd_audit.designs", "DESIGNS", light=True
    ),
    "engines": Kind(
        "Where cells are trained, for --engine.", "fcdd_audit.experiment.engines", "ENGINES", light=True
    ),
    "measures": Kind("Numbers in findings.json and results.csv.", "fcdd_audit.measures.table", "MEASURES"),
    "truths": Kind(
        "Kinds of audits that a calibration makes.", "fcdd_audit.studies.truths", "TRUTHS", light=True
    ),
}

listing = typer.Typer(help="List what can be named on the command line.", no_args_is_help=True)


def _lister(kind: Kind) -> Callable[[], None]:
    return lambda: _print(kind.entries())


def _print(entries: dict[str, str], below: Callable[[str], str] | None = None) -> None:
    """Names and summaries; below: what is said under an entry."""
    width = max(map(len, entries))
    for name, summary in entries.items():
        print(f"{name.ljust(width)}  {summary}")
        if below is not None:
            print(f"{' ' * width}  {below(name)}")


for _name, _kind in KINDS.items():
    listing.command(_name, help=_kind.words)(_lister(_kind))


@listing.command()
def datasets(
    data_root: Annotated[Path | None, typer.Option(help="Where the data is: also say what is ready.")] = None,
    debug: Debug = False,
) -> None:
    """Data sets for --dataset, and with --data-root whether they are ready there."""
    with ErrorsAsLines(debug):
        if data_root is None:
            _print(DATASETS.entries())
            return

        from fcdd_audit.datasets import DATASETS as KNOWN

        def state(name: str) -> str:
            missing = KNOWN[name]().missing(data_root)
            return "ready" if missing is None else f"not ready: {missing}"

        _print(DATASETS.entries(), state)


@listing.command()
def presets() -> None:
    """What --preset sets, by data set: an empty field is the tool's default."""
    rows = preset_rows()
    print_table([tuple(rows[0]), *(tuple(row.values()) for row in rows)])


@listing.command()
def probes(
    preview: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a picture of every probe: .png, .jpg or .webp."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Probes for --probe, and artifacts that are found on images."""
    with ErrorsAsLines(debug):
        if preview is not None:
            from fcdd_audit.probes.sheet import write_sheet

            write_sheet(preview)
        _print(PROBES.entries())
        _print(NATURAL.entries())
        if preview is not None:
            print(preview)
