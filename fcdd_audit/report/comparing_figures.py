"""Figures of the comparison page: explainers as points, and a change from before to after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fcdd_audit.report.figures.style import INK, SERIES, own_settings, to_svg

COIN = 0.5  # false alarms of maps that differ by chance alone
GAP = 0.075  # between the names beside the points, as a share of the axis
BEFORE, AFTER = SERIES[1], SERIES[0]


def tellers(rows: Sequence[dict[str, Any]], prefix: str) -> str:
    """Each explainer as a point: false alarms on controls, and relying twins exposed, with its name beside.

    rows: as in comparison.json, of one detector; those without both numbers are left out. The best tier is
    filled, other explanations are rings, reference maps and those below chance crosses.
    """
    points = [
        (row["alarms_on_controls"]["share"]["value"], row["exposes_twins"]["share"]["value"], row)
        for row in rows
        if None not in (row["alarms_on_controls"]["share"]["value"], row["exposes_twins"]["share"]["value"])
    ]
    right = max([COIN, *(x for x, _, _ in points)])
    with own_settings():
        figure = Figure(figsize=(7.2, max(3.0, 0.6 + 0.2 * len(points))), layout="constrained")
        axis = figure.subplots()
        axis.axvline(COIN, linestyle=":", linewidth=1, color=INK)
        axis.annotate("a coin toss", (COIN, 1.06), ha="right", fontsize=8)
        places = spread([y for _, y, _ in points], GAP * max(1.0, len(points) / 14))
        for (x, y, row), place in zip(points, places, strict=True):
            axis.plot([x, right + 0.05], [y, place], color=INK, linewidth=0.4, alpha=0.5)
            axis.plot(x, y, linestyle="none", **_marker(row))
            # A dollar sign in a name is no formula.
            axis.text(right + 0.06, place, row["explainer"], va="center", fontsize=8, parse_math=False)
        axis.set(xlabel="false alarms on controls", ylabel="relying twins exposed")
        axis.set(xlim=(-0.02, right + 0.3), ylim=(-0.06, 1.12))
        axis.set_xticks([tick / 10 for tick in range(int(right * 10) + 1)])
        return to_svg(
            figure,
            prefix,
            "Explainers by what they expose and how often they raise false alarms",
            "Each explainer as a point; the numbers are in the table.",
        )


def _marker(row: dict[str, Any]) -> dict[str, Any]:
    if not row["tier"]:
        return {"marker": "x", "color": INK, "markersize": 5}
    fill = AFTER if row["tier"] == 1 else "none"
    return {"marker": "o", "markeredgecolor": AFTER, "markerfacecolor": fill, "markersize": 6}


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Places near the values, in their order, no two closer than `gap`."""
    order = np.argsort(values, kind="stable")
    lowest = np.array([values[index] for index in order]) - gap * np.arange(len(values))
    # The nearest non-decreasing sequence, by pooling neighbours that are out of order.
    pools: list[list[float]] = []
    for value in lowest.tolist():
        pools.append([value])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    level = [float(np.mean(pool)) for pool in pools for _ in pool]
    places = [0.0] * len(values)
    for rank, index in enumerate(order):
        places[index] = level[rank] + gap * rank
    return places


def changes(questions: Sequence[dict[str, Any]], labels: Sequence[str], prefix: str) -> str:
    """New alarms before and after, and their difference, with intervals, a row a question.

    questions: as in comparison.json of a change. labels: what to call each.
    """
    with own_settings():
        figure = Figure(figsize=(7.2, 1.3 + 0.42 * len(questions)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for row, one in enumerate(questions):
            _ranged(left, one["alarms"]["before"], row - 0.12, BEFORE, "before" if row == 0 else None)
            _ranged(left, one["alarms"]["after"], row + 0.12, AFTER, "after" if row == 0 else None)
            _ranged(right, one["alarms"]["difference"], row, INK)
        right.axvline(0, linestyle=":", linewidth=1, color=INK)
        left.set_yticks(range(len(questions)), labels, parse_math=False)
        left.set_ylim(len(questions) - 0.5, -0.5)
        left.set(xlabel="new alarms", xlim=(min(-0.03, left.get_xlim()[0]), 1.03))
        right.set(xlabel="after less before")
        if left.get_legend_handles_labels()[0]:
            figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
        return to_svg(
            figure,
            prefix,
            "New alarms before and after",
            "Each question's new alarms before and after, and their difference with its interval.",
        )


def _ranged(axis: Axes, found: dict[str, Any], place: float, colour: str, label: str | None = None) -> None:
    """A point with its interval, where there is one."""
    if found["value"] is None:
        return
    if found["low"] is not None:
        axis.plot([found["low"], found["high"]], [place, place], color=colour, linewidth=1.2)
    axis.plot(found["value"], place, "o", color=colour, markersize=5, label=label)
