"""The one table of measures: what a number is called, its unit, bounds, chance level, and where it is from.

A file of this folder registers its own; so may anybody's. What a measure is stands in its function's
docstring, the first paragraph of which is shown to people.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fcdd_audit.core.registry import Registry

FAMILIES = {
    "scores": "What the twins' scores do: `(twins: list[Scores], plant_on: str, limits: list[float]) -> "
    "(twins,) | None`, None where it does not apply.",
    "detection": "How well scores tell the sides of a test set apart: `(nominal: (n,), anomalous: (m,)) -> "
    "float`.",
    "decision": "What is decided at the frozen threshold: `(nominal: (n,), anomalous: (m,), limit: float) -> "
    "float`.",
    "threshold": "What the decisions are made with.",
    "overlap": "How a heatmap coincides with a mask: `(heatmap: (N, 1, H, W), mask: (N, 1, H, W)) -> (N,)`.",
    "signed": "What lowered the score: `(signed heatmap: (N, 1, H, W), mask: (N, 1, H, W)) -> (N,)`.",
    "elsewhere": "What a signed map has where no artifact is.",
    "mask": "What stands beside the overlaps.",
    "pair": "What a planted twin does beyond its control.",
    "pairs": "What is said of all pairs of twins together.",
    "similarity": "How alike two maps of an image are: `(a: (N, 1, H, W), b: (N, 1, H, W)) -> (N,)`.",
    "faithfulness": "What replacing pixels does to the score: `(curve: (N, steps + 1)) -> (N,)`.",
    "placebos": "What an artifact does beyond placebos, to a finished detector.",
}
CLOSED = ("threshold", "elsewhere", "mask", "pair", "pairs", "placebos")  # families that others can't add to
CURVES = ("deletion", "insertion")
DILATED = "_dilated"  # ends the name of an overlap with the mask grown by half a map's stride


@dataclass(frozen=True)
class Chance:
    """What a measure gives where nothing was learned. words: for people. level: that number, of the share
    that is to be found: the mask's of the area, the anomalous images' of all."""

    words: str
    level: Callable[[float], float]


HALF = Chance("0.5", lambda share: 0.5)


@dataclass(frozen=True)
class Measure:
    """One number of the tool.

    name: its key in every file. label: what people read. unit: None for a share or a difference of shares.
    bounds: the least and the largest possible value. chance: None where there is no such level.
    function: what computes it, with the signature of its family (`FAMILIES`). source: None for what is ours.
    row: split and metric in results.csv; None where it stands under several splits there, or not at all. A
    measure of faithfulness has one, whose split says which curve it is of.
    ValueError for an unknown family, and for a measure of faithfulness without such a row.
    """

    name: str
    label: str
    unit: str | None
    bounds: tuple[float, float]
    chance: Chance | None
    function: Callable[..., Any]
    source: str | None
    family: str
    row: tuple[str, str] | None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family of {self.name} is '{self.family}' (known: {', '.join(FAMILIES)})")
        if self.family == "faithfulness" and (self.row is None or self.row[0] not in CURVES):
            raise ValueError(f"the row of {self.name} must be of one of these splits: {', '.join(CURVES)}")

    @property
    def summary(self) -> str:
        """One line for lists."""
        return self.label

    @property
    def definition(self) -> str:
        """The first paragraph of the function's docstring, in one line."""
        return " ".join((self.function.__doc__ or "").strip().split("\n\n")[0].split())

    @property
    def where(self) -> str:
        """Its function's file and name: `fcdd_audit/measures/localization.py:pixel_auroc`."""
        return f"{self.function.__module__.replace('.', '/')}.py:{self.function.__qualname__}"

    @property
    def own_row(self) -> tuple[str, str]:
        """`row`; ValueError where there is none."""
        if self.row is None:
            raise ValueError(f"{self.name} has no row of its own in results.csv")
        return self.row

    def chance_of(self, share: float) -> float | None:
        """The chance level for the share that is to be found; None where there is none."""
        return None if self.chance is None else self.chance.level(share)

    def described(self) -> dict[str, Any]:
        """Plain values for config.json; an infinite bound is None."""
        return {
            "label": self.label,
            "family": self.family,
            "unit": self.unit,
            "bounds": [bound if math.isfinite(bound) else None for bound in self.bounds],
            "chance": None if self.chance is None else self.chance.words,
            "definition": self.definition,
            "source": self.source,
            "row": None if self.row is None else list(self.row),
            "where": self.where,
        }


MEASURES: Registry[Measure] = Registry("measure")


def register(measure: Measure) -> Measure:
    """Add it to the table; returns it. ValueError if its name is taken, or its family closed to others."""
    if measure.family in CLOSED and not _own(measure):
        raise ValueError(f"{measure.name} is of '{measure.family}', whose numbers only this package computes")
    return MEASURES.register(measure.name, measure.function.__module__)(measure)


@cache
def _load() -> None:
    """Have every file of this folder register its measures; importing one of them stays light."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")


def family(name: str) -> list[Measure]:
    """The measures of a family: those of this folder by file, then others, in the order of registration."""
    _load()
    found = [measure for _, measure in MEASURES.items() if measure.family == name]
    return sorted(found, key=_file)  # whichever file was imported first


def _own(measure: Measure) -> bool:
    return measure.function.__module__.startswith(f"{__package__}.")


def _file(measure: Measure) -> tuple[bool, str]:
    own = _own(measure)
    return not own, measure.function.__module__ if own else ""


def measure_of(name: str) -> Measure:
    """The measure behind a name in a file, which may end in `_dilated`. InputError for an unknown one."""
    _load()
    return MEASURES[name.removesuffix(DILATED)]


def described_measures(families: Iterable[str] = tuple(FAMILIES)) -> dict[str, dict[str, Any]]:
    """The measures of these families, by default of all, as plain values by name."""
    return {measure.name: measure.described() for name in families for measure in family(name)}
