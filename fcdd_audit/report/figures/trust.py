"""How often audits whose truth is known are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from fcdd_audit.report.figures.rows import SMALL, Column, Row, rows_axis
from fcdd_audit.report.figures.style import ANSWERS, INK, ON_COLOUR, own_settings, to_svg
from fcdd_audit.report.naming import detector_name

GROUPS = {
    "planted": "the artifact planted",
    "null": "nulls: nothing that could be relied on",
    "carries over": "look-alikes that carry over: relying is right",
}
WORDS = {"relies": "relies", "does-not-rely": "does not rely", "inconclusive": "can't tell"}
TRUTH = {"yes": "relies", "no": "does not rely", "unclear": "unclear"}
COLUMNS = (Column("audits", "audits:"), Column("truth", "truth:"))
THICK = 0.17  # of a bar, in inches
ROOM = 0.05  # share of the axis that a count needs


def trust_bars(rates: Sequence[dict[str, Any]], prefix: str, *, narrow: bool = False) -> str:
    """A bar a detector and kind of audit: how many said what, with the counts in it, and the truth beside.

    rates: as in calibration.json; sums of several kinds and kinds without audits are left out. Planted ones,
    nulls, and look-alikes that carry over stand apart. A count that finds no room in its bar is in the table
    only. Empty text without audits.
    """
    table = trust_rows(rates)
    if not table:
        return ""
    rows: list[Row] = []
    bars: list[dict[str, Any] | None] = []
    for group in GROUPS.values():
        mine = [one for one in table if one["group"] == group]
        if mine:
            rows += [Row(group, heading=True), *(Row(_label(one), _beside(one)) for one in mine)]
            bars += [None, *mine]
    most = max(one["audits"] for one in table)
    legend = [Patch(facecolor=ANSWERS[key], label=f"says “{word}”") for key, word in WORDS.items()]
    with own_settings():
        figure, axis, spots = rows_axis(rows, COLUMNS, legend, narrow)
        for bar, spot in zip(bars, spots, strict=True):
            if bar:
                _draw(axis, bar, spot.y, ROOM * most)
        axis.set(xlim=(0, 1.02 * most), xlabel="audits")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        return to_svg(figure, prefix, "How often such audits are right", _said(table))


def trust_rows(rates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table behind `trust_bars`."""
    return [
        {
            "group": GROUPS[_group(rate)],
            "detector": detector_name(rate["detector"]),
            "kind": rate["label"],
            "audits": rate["audits"],
            **{word: rate["verdicts"].get(key, 0) for key, word in WORDS.items()},
            "truth": TRUTH[rate["relied_on"]],
        }
        for rate in rates
        if rate["audits"] and rate["truth"] != "any-null"
    ]


def _draw(axis: Axes, bar: dict[str, Any], y: float, room: float) -> None:
    """One stacked bar; a count over `room` stands in it."""
    left = 0
    for key, word in WORDS.items():
        count = bar[word]
        if count:
            axis.barh(y, count, THICK, left, color=ANSWERS[key], edgecolor=INK, linewidth=0.4)
        if count > room:
            middle = left + count / 2
            axis.text(middle, y, str(count), color=ON_COLOUR, ha="center", va="center", size=SMALL)
        left += count


def _group(rate: dict[str, Any]) -> str:
    if rate["carries_over"]:
        return "carries over"
    return "null" if rate["null"] else "planted"


def _label(one: dict[str, Any]) -> str:
    return f"{one['detector']}: {one['kind']}"


def _beside(one: dict[str, Any]) -> tuple[str, str]:
    return (str(one["audits"]), one["truth"])


def _said(table: Sequence[dict[str, Any]]) -> str:
    """Counts by group."""
    sums = []
    for group in dict.fromkeys(one["group"] for one in table):
        mine = [one for one in table if one["group"] == group]
        counts = ", ".join(f"{word} {sum(one[word] for one in mine)}" for word in WORDS.values())
        sums.append(f"{group}: {counts}")
    return "; ".join(sums) + "."
