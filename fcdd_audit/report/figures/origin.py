"""Do the training images' sides differ in how they were made?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fcdd_audit.core.text import plain, span
from fcdd_audit.report.figures.rows import Column, Row, dots, line, rows_axis, upright
from fcdd_audit.report.figures.style import INK, LIMIT, SERIES, own_settings, to_svg

CLASSES = 4  # that are drawn
LISTED = 12  # features of a class
MARKERS = ("s", "^", "o", "v", "P", "X")
COLUMNS = (Column("AUROC (interval)"), Column("nominal against anomalous"))


def origin_dots(origin: Sequence[dict[str, Any]], prefix: str, *, narrow: bool = False) -> str:
    """A row a group of features, large, and a feature: how well it tells the sides apart, with interval.

    origin: as in findings.json. Colour and form tell the group; chance, and the limit that groups have,
    are dotted. The first CLASSES classes that were checked are drawn, each with its first LISTED features; a
    last line says how many more classes there are. Empty text if none was checked.
    """
    checked = [one for one in origin if one["groups"] or one["features"]]
    if not checked:
        return ""
    drawn, left = checked[:CLASSES], len(checked) - CLASSES
    groups = list(dict.fromkeys(row["group"] for row in origin_rows(drawn)))
    looks = {
        group: (SERIES[place % len(SERIES)], MARKERS[place % len(MARKERS)])
        for place, group in enumerate(groups)
    }
    rows: list[Row] = []
    marks: list[dict[str, Any] | None] = []
    for one in drawn:
        if len(checked) > 1:
            rows.append(Row(one["nominal_class"], heading=True))
            marks.append(None)
        table = origin_rows([one])
        shown = table[: len(one["groups"]) + LISTED]
        rows += [Row(row["feature"], _beside(row)) for row in shown]
        marks += shown
    if left > 0:
        rows.append(Row(f"{left} more class{'' if left == 1 else 'es'} in the table", heading=True))
        marks.append(None)
    limit = drawn[0]["limits"]["separates"]
    legend = [
        *(dots(group, colour, marker) for group, (colour, marker) in looks.items()),
        line("chance", color=INK, linestyle=":"),
        line(f"limit of a group, {limit:g}", color=LIMIT, linestyle=":"),
    ]
    known = [row for row in marks if row]
    with own_settings():
        figure, axis, spots = rows_axis(rows, COLUMNS, legend, narrow)
        upright(axis, 0.5, rows, spots, INK)
        upright(axis, limit, rows, spots, LIMIT)
        for mark, spot in zip(marks, spots, strict=True):
            if mark:
                colour, marker = looks[mark["group"]]
                if mark["from"] is not None:
                    axis.plot([mark["from"], mark["to"]], [spot.y] * 2, color=colour, linewidth=1.2)
                size = 8 if mark["nominal"] is None else 5
                axis.plot(mark["AUROC"], spot.y, marker, color=colour, markersize=size, clip_on=False)
        low = min(0.47, *(row["AUROC"] for row in known), *(row["from"] or 1 for row in known))
        axis.set(xlim=(low - 0.01, 1.01), xlabel="AUROC, nominal against anomalous")
        more = f" {left} more classes are in the table." if left > 0 else ""
        said = " ".join(f"{one['nominal_class']}: {one['summary']}" for one in drawn)
        return to_svg(figure, prefix, "What tells the training images' sides apart", said + more)


def origin_rows(origin: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table behind `origin_dots`: of each class its groups, then its features; all of them."""
    return [row for one in origin for row in (*_groups(one), *_features(one))]


def _groups(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "class": one["nominal_class"],
            "feature": f"all of {group['group']}",
            "group": group["group"],
            "AUROC": group["auroc"]["value"],
            "from": group["auroc"]["low"],
            "to": group["auroc"]["high"],
            "nominal": None,
            "anomalous": None,
            "unit": "",
        }
        for group in one["groups"]
    ]


def _features(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "class": one["nominal_class"],
            "feature": feature["label"],
            "group": feature["group"],
            "AUROC": feature["auroc"]["value"],
            "from": feature["auroc"]["low"],
            "to": feature["auroc"]["high"],
            "nominal": feature["nominal"],
            "anomalous": feature["anomalous"],
            "unit": feature["unit"],
        }
        for feature in one["features"]
    ]


def _beside(row: dict[str, Any]) -> tuple[str, str]:
    interval = {"value": row["AUROC"], "low": row["from"], "high": row["to"]}
    if row["nominal"] is None:
        return (span(interval), "")
    return (
        span(interval),
        f"{plain(row['nominal'])} against {plain(row['anomalous'])} {row['unit']}".strip(),
    )
