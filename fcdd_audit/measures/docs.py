"""docs/measures.md, made from the table: `python -m fcdd_audit.measures.docs > docs/measures.md`."""

from __future__ import annotations

import re

from fcdd_audit.core.text import between
from fcdd_audit.measures.table import CLOSED, FAMILIES, Measure, family

HEAD = """# Measures

The numbers of findings.json and results.csv, from the table in `fcdd_audit/measures`.
This page is written by `python -m fcdd_audit.measures.docs > docs/measures.md`.
A name that ends in `_dilated` is of the mask grown by half a map's stride, one in `_chance` its chance level.
"""


def as_markdown() -> str:
    """The page: a section a family, one sentence a line."""
    sections = [
        "\n".join([f"## {name.capitalize()}", "", *_about(name, about), *map(_entry, family(name))])
        for name, about in FAMILIES.items()
    ]
    return "\n\n".join([HEAD.rstrip(), *sections]) + "\n"


def _about(name: str, about: str) -> list[str]:
    return [about, "Only this package adds to them."] if name in CLOSED else [about]


def _entry(measure: Measure) -> str:
    described = measure.described()
    values = between(*described["bounds"])
    lines = [
        f"\n### `{measure.name}`: {measure.label}\n",
        re.sub(r"\. (?=[A-Z])", ".\n", measure.definition),
        f"Values: {values}" + (f", in {measure.unit}." if measure.unit else "."),
    ]
    if measure.chance is not None:
        lines.append(f"Chance: {measure.chance.words}.")
    if measure.row is not None:
        lines.append(f"In results.csv: split `{measure.row[0]}`, metric `{measure.row[1]}`.")
    if measure.source is not None:
        lines.append(f"Source: {measure.source}.")
    return "\n".join([*lines, f"Code: `{measure.where}`."])


if __name__ == "__main__":
    print(as_markdown(), end="")
