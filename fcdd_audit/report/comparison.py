"""The page, table and JSON of a comparison of explanations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fcdd_audit._version import __version__
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import check_writable, write_text
from fcdd_audit.report.figures import cascade_curves, exposure
from fcdd_audit.report.page import fill_template, script_json
from fcdd_audit.studies.compare import Comparison


def write_comparison(found: Comparison, folder: Path) -> Path:
    """Write comparison.html, .csv and .json into `folder`; returns the page's path.

    InputError if it can't be written.
    """
    check_writable(folder)
    content = found.as_json()
    alike = {
        name: measure["label"]
        for name, measure in content["measures"].items()
        if measure["family"] == "similarity"
    }
    page = fill_template(
        "comparison.html.j2",
        alike=alike,
        title="Explanations compared",
        version=__version__,
        found=content,
        sections=[_section(detector, rows, alike) for detector, rows in _by_detector(content).items()],
        comparison_json=script_json(content),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "comparison.json", json.dumps(content, indent=1) + "\n")
        write_text(folder / "comparison.csv", found.table().to_csv(index=False, lineterminator="\n"))
        return write_text(folder / "comparison.html", page)
    except OSError as error:
        raise InputError(f"can't write to '{folder}' ({error.strerror}); choose another --out") from None


def _by_detector(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in content["explainers"]:
        grouped.setdefault(row["detector"], []).append(row)
    return grouped


def _section(detector: str, rows: list[dict[str, Any]], alike: dict[str, str]) -> dict[str, Any]:
    """alike: labels of the measures of similarity, by name; the first is drawn."""
    working = [row for row in rows if row["unavailable"] is None]
    explaining = [row for row in working if not row["reference"]]
    redrawn = [row for row in working if row["randomised"]]
    return {
        "detector": detector,
        "confirmed": max((row["exposes"]["trials"] for row in working), default=0),
        "cleared": max((row["false_alarms"]["trials"] for row in working), default=0),
        "relying": max((row["exposes_twins"]["trials"] for row in working), default=0),
        "rows": working,
        "unavailable": [row for row in rows if row["unavailable"] is not None],
        "exposure": Markup(exposure(explaining, f"exposure-{detector}")) if explaining else None,
        "cascade": Markup(cascade_curves(redrawn, *next(iter(alike.items())), f"cascade-{detector}"))
        if redrawn
        else None,
    }
