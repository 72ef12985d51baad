"""The figures of the twins' page, some with a variant for phones, and the tables behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from markupsafe import Markup

from fcdd_audit.experiment.folder import MEAN
from fcdd_audit.report.figures import (
    dumbbell,
    dumbbell_rows,
    forest,
    forest_rows,
    origin_dots,
    score_strips,
    score_strips_rows,
    strip_thresholds,
    trust_bars,
)
from fcdd_audit.report.headline import several
from fcdd_audit.report.naming import detector_name, direction_name

CLASSES = 4  # nominal classes that have figures of their own


@dataclass(frozen=True)
class Drawn:
    """wide, narrow: SVG; narrow: None where there is no variant. rows: the table behind it."""

    wide: Markup
    narrow: Markup | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)


def alarms(findings: list[dict[str, Any]], results: pd.DataFrame) -> list[Drawn]:
    """Does the score follow the mark? A figure a class."""
    results = results[(results["metric"] == "new_alarms") & (results["nominal_class"] != MEAN)]
    return [
        Drawn(
            Markup(dumbbell(group, results, f"alarms-{place}")),
            Markup(dumbbell(group, results, f"alarms-narrow-{place}", narrow=True)),
            dumbbell_rows(group, results),
        )
        for place, group in enumerate(_by_class(findings))
    ]


def strips(
    findings: list[dict[str, Any]],
    questions: list[dict[str, Any]],
    drawn: list[int],
    scores: pd.DataFrame,
    results: pd.DataFrame,
) -> Drawn | None:
    """Scores of the drawn questions on one axis; None where there are none. drawn: their places."""
    known = set(scores["question"])
    names = {place: _name(findings, place) for place in drawn if place in known}
    if not names:
        return None
    # Looking through all numbers once for each question takes minutes where there are many.
    asked = [  # older runs don't say the probe there
        {**question, "probe": finding["probe"]} for finding, question in zip(findings, questions, strict=True)
    ]
    thresholds = strip_thresholds(asked, results[results["metric"] == "threshold"])
    return Drawn(
        Markup(score_strips(scores, thresholds, names, "strips")),
        rows=score_strips_rows(scores, thresholds, names),
    )


def shown(findings: list[dict[str, Any]], limit: float) -> list[Drawn]:
    """Would a heatmap have shown it? A figure a class, of those with explanations."""
    return [
        Drawn(
            Markup(forest(group, limit, f"forest-{place}")),
            Markup(forest(group, limit, f"forest-narrow-{place}", narrow=True)),
        )
        for place, group in enumerate(_by_class(findings))
        if forest_rows(group)
    ]


def shortcuts(origin: list[dict[str, Any]]) -> Drawn:
    """What else tells the sides of the training images apart."""
    return Drawn(Markup(origin_dots(origin, "origin")))


def trusted(rates: list[dict[str, Any]]) -> Drawn:
    """How often audits whose truth is known were right."""
    return Drawn(Markup(trust_bars(rates, "rates")))


def _by_class(findings: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for finding in findings:
        groups.setdefault(finding["nominal_class"], []).append(finding)
    return list(groups.values())[:CLASSES]


def _name(findings: list[dict[str, Any]], place: int) -> str:
    """The detector, and what else tells the finding from the others."""
    finding = findings[place]
    parts = [detector_name(finding["detector"])]
    parts += [finding[key] for key in ("nominal_class", "probe") if len({one[key] for one in findings}) > 1]
    if several(findings, "plant_on"):
        parts.append(direction_name(finding["plant_on"]))
    if len({one["prevalence"] for one in findings}) > 1:
        parts.append(f"{100 * finding['prevalence']:.3g} %")
    return ", ".join(parts)
