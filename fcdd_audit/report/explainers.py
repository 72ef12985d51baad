"""The page of explainers compared: a headline, tiers, a scatter and sanity checks of each detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from fcdd_audit._version import __version__
from fcdd_audit.core.text import share
from fcdd_audit.report.comparing_figures import tellers
from fcdd_audit.report.figures import cascade_curves
from fcdd_audit.report.naming import detector_name
from fcdd_audit.report.page import fill_template, script_json

PALE, STRONG = (255, 255, 255), (240, 150, 90)  # of the heat table; dark ink can be read on both
Row = dict[str, Any]


def explainers_page(content: dict[str, Any]) -> str:
    """comparison.html, from comparison.json."""
    alike = {
        name: measure["label"]
        for name, measure in content["measures"].items()
        if measure["family"] == "similarity"
    }
    sections = [_section(detector, rows, alike) for detector, rows in _by_detector(content).items()]
    return fill_template(
        "comparison.html.j2",
        alike=alike,
        title="Explanations compared",
        version=__version__,
        found=content,
        sections=sections,
        shade=shade,
        comparison_json=script_json(content),
    )


def _by_detector(content: dict[str, Any]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in content["explainers"]:
        grouped.setdefault(row["detector"], []).append(row)
    return grouped


def _section(detector: str, rows: list[Row], alike: dict[str, str]) -> dict[str, Any]:
    """alike: labels of the measures of similarity, by name; the first is drawn."""
    working = [row for row in rows if row["unavailable"] is None]
    redrawn = [row for row in working if row["randomised"]]
    relying = max((row["exposes_twins"]["trials"] for row in working), default=0)
    drawn = relying and any(row["alarms_on_controls"]["trials"] for row in working)
    return {
        "detector": detector_name(detector),
        "headline": headline(detector, rows),
        "confirmed": max((row["exposes"]["trials"] for row in working), default=0),
        "cleared": max((row["false_alarms"]["trials"] for row in working), default=0),
        "relying": relying,
        "rows": sorted(working, key=lambda row: row["tier"] or len(rows)),
        "below": [row["explainer"] for row in working if row["rank"] and not row["tier"]] if relying else [],
        "unavailable": [row for row in rows if row["unavailable"] is not None],
        "scatter": Markup(tellers(working, f"scatter-{detector}")) if drawn else None,
        "cascade": Markup(cascade_curves(redrawn, *next(iter(alike.items())), f"cascade-{detector}"))
        if redrawn
        else None,
    }


def headline(detector: str, rows: Sequence[Row]) -> str:
    """Which explanations tell best on a detector, in a sentence. rows: as in comparison.json."""
    best = [row for row in rows if row["tier"] == 1]
    if not best:
        if any(row["exposes_twins"]["trials"] for row in rows if not row["reference"]):
            return f"{detector}: no explanation points to the artifact more than chance does."
        return f"{detector}: no twin relies on the artifact, so that there was nothing to expose."
    names = [row["explainer"] for row in best]
    others = any(row["tier"] > 1 for row in rows)
    told = f"{detector}: {_listed(names)} {'tells' if len(names) == 1 else 'tell'} best"
    if len(names) > 1 and not others:
        told = f"{detector}: {_listed(names)} can't be told apart"
    exposed, alarms = (_range(best, key) for key in ("exposes_twins", "alarms_on_controls"))
    if alarms is None:
        return f"{told}: {exposed} of relying twins exposed."
    return f"{told}: {exposed} of relying twins exposed, with false alarms on {alarms} of the controls."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _range(rows: Sequence[Row], key: str) -> str | None:
    """From the least to the greatest share; None where none is known."""
    shares = [row[key]["share"]["value"] for row in rows if row[key]["share"]["value"] is not None]
    if not shares:
        return None
    low, high = share(min(shares)), share(max(shares))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def shade(similarity: float | None, right: int) -> Markup:
    """The style of a cell: the stronger, the further a similarity is from what it should be, `right`, 0 or 1;
    none where it isn't known."""
    if similarity is None:
        return Markup("")
    wrong = min(1.0, max(0.0, abs(similarity - right)))
    colour = [round(pale + wrong * (strong - pale)) for pale, strong in zip(PALE, STRONG, strict=True)]
    return Markup(' style="background: rgb({} {} {}); color: #1b1c1e"').format(*colour)
