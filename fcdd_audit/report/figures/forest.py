"""What each explanation shows of the artifact, beyond the control's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fcdd_audit.core.text import span
from fcdd_audit.report.figures.rows import Column, Row, line, rows_axis, upright
from fcdd_audit.report.figures.style import INK, LIMIT, own_settings, to_svg
from fcdd_audit.report.figures.subjects import subjects
from fcdd_audit.report.naming import map_name

ANSWERS = {"yes": "shows it", "no": "doesn't show it", "inconclusive": "can't tell"}
NOT_JUDGED = "not judged"
COLUMNS = (Column("excess (interval)", "excess"), Column("the mark?"))


def forest(findings: Sequence[dict[str, Any]], limit: float, prefix: str, *, narrow: bool = False) -> str:
    """A row a detector and explainer: excess pixel AUROC with the interval that the answer used.

    findings: as in findings.json, of twins. limit: `reveal`, dotted, as is 0. Grouped by the side that is
    judged; what isn't judged is listed without a mark, references are left out. Empty text without any.
    """
    table = forest_rows(findings)
    if not table:
        return ""
    rows: list[Row] = []
    marks: list[dict[str, Any] | None] = []
    for group in dict.fromkeys(one["judged on"] for one in table):
        rows.append(Row(group if group == NOT_JUDGED else f"judged on {group} images", heading=True))
        marks.append(None)
        for one in table:
            if one["judged on"] == group:
                rows.append(Row(f"{one['finding']}: {one['explainer']}", _beside(one)))
                marks.append(None if group == NOT_JUDGED or one["excess"] is None else one)
    legend = [
        line("mean and interval", color=INK, marker="o", markersize=5),
        line(f"limit, {limit:g}", color=LIMIT, linestyle=":"),
    ]
    shown = [one for one in marks if one]
    ends = [value for one in shown for value in (one["excess"], one["from"], one["to"]) if value is not None]
    with own_settings():
        figure, axis, spots = rows_axis(rows, COLUMNS, legend, narrow)
        upright(axis, 0, rows, spots, INK)
        upright(axis, limit, rows, spots, LIMIT)
        for mark, spot in zip(marks, spots, strict=True):
            if mark:
                if mark["from"] is not None:
                    axis.plot([mark["from"], mark["to"]], [spot.y] * 2, color=INK, linewidth=1.2)
                axis.plot(mark["excess"], spot.y, "o", color=INK, markersize=5)
        axis.set(xlim=(min([-0.1, *ends]) - 0.03, max([0.3, *ends]) + 0.03), xlabel="excess pixel AUROC")
        said = "; ".join(f"{one['finding']}, {one['explainer']}: {one['answer']}" for one in table)
        return to_svg(figure, prefix, "Does the explanation show the artifact?", f"{said}.")


def forest_rows(findings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table behind `forest`, by the judged side, what isn't judged last."""
    rows = [
        {
            "judged on": (one["side"] or "all") if one["judged"] else NOT_JUDGED,
            "finding": name,
            "explainer": map_name(one),
            "excess": one["excess_pixel_auroc"]["value"],
            "from": one["excess_pixel_auroc"]["low"],
            "to": one["excess_pixel_auroc"]["high"],
            "answer": ANSWERS[one["reveals"]] if one["judged"] else NOT_JUDGED,
        }
        for name, finding in zip(subjects(findings), findings, strict=True)
        for one in finding["explainers"]
        if not one["reference"]
    ]
    order = {group: place for place, group in enumerate(dict.fromkeys(one["judged on"] for one in rows))}
    return sorted(rows, key=lambda one: (one["judged on"] == NOT_JUDGED, order[one["judged on"]]))


def _beside(one: dict[str, Any]) -> tuple[str, str]:
    interval = {"value": one["excess"], "low": one["from"], "high": one["to"]}
    return ("" if one["answer"] == NOT_JUDGED else span(interval), one["answer"])
