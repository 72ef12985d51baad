"""Recipes as data: presets.csv has a row for each setting and a column for each data set."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest

TABLE = Path(__file__).with_name("presets.csv")
OTHERS = "python"  # the column of images that are handed over, and so of data sets that aren't in the table
Row = dict[str, str]


@cache
def preset_rows() -> tuple[Row, ...]:
    """The table: columns preset, setting, and the data sets."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def preset_names() -> tuple[str, ...]:
    """The presets, in the table's order."""
    return tuple(dict.fromkeys(row["preset"] for row in preset_rows()))


def check_preset(name: str) -> None:
    """InputError for an unknown preset."""
    names = preset_names()
    if name not in names:
        raise InputError(f"unknown preset '{name}'{suggest(name, list(names))} (known: {', '.join(names)})")


def preset_settings(preset: str, dataset: str) -> Row:
    """A preset's settings for a data set, as text; a name with a dot is an option of a detector or probe.

    An empty field is the tool's default. A data set that the table doesn't know gets what images
    that are handed over get. InputError for an unknown preset, or one that says nothing of the data set.
    """
    check_preset(preset)
    rows = [row for row in preset_rows() if row["preset"] == preset]
    column = dataset if dataset in rows[0] else OTHERS
    settings = {row["setting"]: row[column] for row in rows if row[column]}
    if not settings:
        known = [name for name in rows[0] if name not in ("preset", "setting") and rows[0][name]]
        raise InputError(
            f"preset '{preset}' has no recipe for data set '{dataset}' (it has for {', '.join(known)}); "
            "leave out --preset"
        )
    return settings
