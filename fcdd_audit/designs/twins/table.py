"""What the terminal shows of twins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

from fcdd_audit.core.text import number, share, span
from fcdd_audit.verdict.words import alarms_of, verdict_words

IN_A_LINE = 5  # explainers that a line holds


def table(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows for the terminal from findings.json, head first."""
    rows: list[tuple[str, ...]] = [
        (
            *("nominal", "artifact", "detector", "planted on", "prevalence", "verdict"),
            *("new alarms", "shift", "AUROC drop", "pairs", "explanations"),
        )
    ]
    for finding in found["findings"]:
        alarms = alarms_of(finding)
        rows.append(
            (
                finding["nominal_class"],
                finding["probe"],
                finding["detector"],
                finding["plant_on"],
                f"{finding['prevalence']:g}",
                verdict_words(finding),
                "–" if alarms is None else f"{share(alarms[0])}, twin {share(alarms[1])}",
                span(finding["dependence"]),
                span(finding["reliance"]),
                f"{finding['seeds']}",
                _quadrants(finding["explainers"]),
            )
        )
    for mean in found["means"]:
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in mean["verdicts"].items())
        side = mean["plant_on"]
        prevalence = "" if mean["prevalence"] is None else f"{mean['prevalence']:g}"
        rows.append(
            (
                *("mean", mean["probe"], mean["detector"], side, prevalence, verdicts),
                number(mean["alarms"]),
                *(number(mean["dependence"]), number(mean["reliance"]), "", ""),
            )
        )
    several = [len({finding[key] for finding in found["findings"]}) > 1 for key in ("nominal_class", "probe")]
    return [tuple(compress(row, [*several, *([True] * len(row[2:]))])) for row in rows]


def _quadrants(explainers: Sequence[dict[str, Any]]) -> str:
    """Each explainer's quadrant; of more than a line holds, those that have none are counted only."""
    shown = [one for one in explainers if not one["reference"]]
    if len(shown) <= IN_A_LINE:
        return ", ".join(f"{one['explainer']}: {one['quadrant']}" for one in shown) or "–"
    named = [f"{one['explainer']}: {one['quadrant']}" for one in shown if one["quadrant"] != "undecided"]
    return ", ".join([*named, f"{len(shown) - len(named)} undecided"])
