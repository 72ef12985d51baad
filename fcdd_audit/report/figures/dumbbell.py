"""New alarms, or newly hidden anomalies, of planted and control twins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.text import number
from fcdd_audit.report.figures.rows import Column, Row, dots, line, rows_axis
from fcdd_audit.report.figures.style import INK, TWINS, own_settings, to_svg
from fcdd_audit.report.figures.subjects import subjects
from fcdd_audit.verdict.words import alarms_of

COLUMNS = (
    Column("planted minus control"),
    Column("shift, at most 5", "shift"),
    Column("AUROC drop", "AUROC drop"),
)
SPREAD = 0.22  # of a row's pairs, in inches


def dumbbell(
    findings: Sequence[dict[str, Any]],
    results: pd.DataFrame,
    prefix: str,
    *,
    narrow: bool = False,
) -> str:
    """A row a finding: each pair's planted and control value faint and joined, their means as large dots.

    findings: as in findings.json, of twins; one without `alarms` has a row that says so. results: results.csv
    as `read_results` gives it. Beside the marks stand the difference with the interval that the verdict used,
    the shift, cut off at 5, and the AUROC drop. Empty text without findings.
    """
    if not findings:
        return ""
    rows = [
        Row(f"{name}: {_event(one)}", _beside(one))
        for name, one in zip(subjects(findings), findings, strict=True)
    ]
    legend = [
        *(dots(f"{twin}, mean of the pairs", colour) for twin, colour in TWINS.items()),
        line("one pair", color=INK, linewidth=0.7, alpha=0.5),
    ]
    with own_settings():
        figure, axis, spots = rows_axis(rows, COLUMNS, legend, narrow)
        for one, spot in zip(findings, spots, strict=True):
            pairs = pair_values(one, results)
            for at, (_, planted, control) in enumerate(pairs):
                y = spot.y + SPREAD * ((at + 0.5) / len(pairs) - 0.5)
                _joined(axis, planted, control, y, 3, linewidth=0.7, alpha=0.5)
            means = alarms_of(one)
            if means:
                _joined(axis, *means, spot.y, 7, linewidth=1.4)
        axis.set(xlim=(-2, 102), xticks=range(0, 101, 25), xlabel="% of the test images of that side")
        return to_svg(figure, prefix, "What the artifact does at the frozen threshold", _said(rows))


def dumbbell_rows(findings: Sequence[dict[str, Any]], results: pd.DataFrame) -> list[dict[str, Any]]:
    """The table behind `dumbbell`: of each finding its means, then its pairs; shares in [0, 1]."""
    rows: list[dict[str, Any]] = []
    for name, one in zip(subjects(findings), findings, strict=True):
        means, difference = alarms_of(one) or (None, None), one["alarms"] or {}
        about = {"finding": name, "what": _event(one)}
        rows.append(
            {
                **about,
                "pair": "mean",
                "planted": means[0],
                "control": means[1],
                "difference": difference.get("value"),
                "from": difference.get("low"),
                "to": difference.get("high"),
                "shift, cut off at 5": (one["dependence"] or {}).get("value"),
                "AUROC drop": (one["reliance"] or {}).get("value"),
            }
        )
        rows += [
            {
                **about,
                "pair": f"seed {seed}",
                "planted": planted,
                "control": control,
                "difference": planted - control,
                **dict.fromkeys(("from", "to", "shift, cut off at 5", "AUROC drop")),
            }
            for seed, planted, control in pair_values(one, results)
        ]
    return rows


def pair_values(finding: dict[str, Any], results: pd.DataFrame) -> list[tuple[int, float, float]]:
    """Seed, planted and control share of new alarms of a finding's pairs, from results.csv."""
    mine = results[
        (results["nominal_class"] == finding["nominal_class"])
        & (results["detector"] == finding["detector"])
        & (results["probe"] == finding["probe"])
        & (results["plant_on"] == finding["plant_on"])
        & (results["explainer"] == "")
        & (results["split"] == "conflict")
        & (results["metric"] == "new_alarms")
    ]
    alike = np.isclose(mine["prevalence"].astype(float), finding["prevalence"])
    planted = mine[(mine["twin"] == "planted") & alike].set_index("seed")["value"]
    control = mine[(mine["twin"] == "control") & (alike | (mine["prevalence"] == 0))]
    control = control.set_index("seed")["value"]
    return [
        (int(seed), float(planted[seed]), float(control[seed])) for seed in planted.index if seed in control
    ]


def _joined(axis: Axes, planted: float, control: float, y: float, size: float, **style: Any) -> None:
    """A planted and a control share as dots with a line between."""
    shares = {"planted": planted, "control": control}
    axis.plot([100 * control, 100 * planted], [y, y], color=INK, **style)
    for twin in ("control", "planted"):
        axis.plot(
            100 * shares[twin],
            y,
            "o",
            color=TWINS[twin],
            markersize=size,
            alpha=style.get("alpha"),
            clip_on=False,
            zorder=3,
        )


def _event(finding: dict[str, Any]) -> str:
    return "newly hidden" if DIRECTIONS[finding["plant_on"]].changed == "anomalous" else "new alarms"


def _beside(finding: dict[str, Any]) -> tuple[str, str, str]:
    if finding["alarms"] is None:
        return ("no numbers", "", "")
    shift, drop = ((finding[key] or {}).get("value") for key in ("dependence", "reliance"))
    return (points(finding["alarms"]), f"{number(shift, 1)} IQR", number(drop))


def points(interval: dict[str, float | None]) -> str:
    """A difference of shares and its interval: `+82 points (7 to 100)`."""
    value, low, high = (interval[key] for key in ("value", "low", "high"))
    if value is None:
        return number(None)
    whole = number(100 * value, 0)
    text = f"{'+' if value > 0 and whole != '0' else ''}{whole} points"
    if low is None or high is None:
        return text
    return f"{text} ({number(100 * low, 0)} to {number(100 * high, 0)})"


def _said(rows: Sequence[Row]) -> str:
    return "Planted minus control. " + "; ".join(f"{row.label} {row.beside[0]}" for row in rows) + "."
