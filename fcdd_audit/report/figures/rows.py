"""Figures of labelled rows: a mark on a shared axis, and numbers as text beside it."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fcdd_audit.core.text import one_line
from fcdd_audit.report.figures.style import NARROW, SIZE, WIDE

SMALL = 8  # of text beside the marks, in points
LINE = 0.16  # of text, in inches
PAD = 0.14  # between columns
MARK = 0.3  # the least height of a mark
LETTERS = 32  # of a label's line
LETTERS_NARROW = 40
LETTERS_HEADING = 84
LETTERS_UNDER = 58  # of the texts below a mark
BOTTOM = 0.52  # for the axis and its name


@dataclass(frozen=True)
class Row:
    """label: what it is of. beside: a text for each column. heading: a line of text without a mark."""

    label: str
    beside: tuple[str, ...] = ()
    heading: bool = False


class Column(NamedTuple):
    """head: above the texts beside the marks. short: before each of them where they stand below a mark."""

    head: str
    short: str = ""


class Spot(NamedTuple):
    """Where a row's mark is, in inches from the top, and how much of the axis is its own."""

    y: float
    top: float
    bottom: float


def rows_axis(
    rows: Sequence[Row], columns: Sequence[Column], legend: Sequence[Artist], narrow: bool
) -> tuple[Figure, Axes, list[Spot]]:
    """A figure with an axis beside its labels, and each row's spot on it; headings have one too.

    The axis counts inches from the top. Narrow, label and texts stand above and below the mark.
    """
    texts = [_label(row, narrow) for row in rows]
    under = [_under(row, columns) if narrow else "" for row in rows]
    heights = [_height(*one, narrow) for one in zip(rows, texts, under, strict=True)]
    top = _top(columns, legend, narrow)
    width, total = (NARROW if narrow else WIDE), top + sum(heights) + BOTTOM
    widths = [] if narrow else _widths(rows, columns)
    left = (
        PAD
        if narrow
        else PAD + max(_inches(text, SIZE) for row, text in zip(rows, texts, strict=True) if not row.heading)
    )
    figure = Figure(figsize=(width, total))
    span = width - left - PAD - sum(widths)
    axis = figure.add_axes((left / width, BOTTOM / total, span / width, sum(heights) / total))
    starts = list(accumulate(heights, initial=0.0))[:-1]
    axis.set(ylim=(sum(heights), 0), yticks=[])
    axis.spines["left"].set_visible(False)
    if legend:
        figure.legend(
            handles=list(legend),
            loc="upper left",
            ncols=2 if narrow else len(legend),
            fontsize=SMALL,
            borderaxespad=0.2,
            handletextpad=0.4,
            columnspacing=1.2,
        )
    if narrow:
        spots = _stacked(axis, rows, texts, under, starts)
    else:
        spots = [
            Spot(start + height / 2, start, start + height)
            for start, height in zip(starts, heights, strict=True)
        ]
        _labels(axis, rows, texts, spots, left - PAD, span)
        _columns(axis, rows, columns, spots, list(accumulate(widths, initial=span))[:-1], span)
    return figure, axis, spots


def upright(axis: Axes, x: float, rows: Sequence[Row], spots: Sequence[Spot], colour: str) -> None:
    """A dotted line at `x` past all marks, but through no text."""
    marked = [spot for row, spot in zip(rows, spots, strict=True) if not row.heading]
    tops, bottoms = [spot.top for spot in marked], [spot.bottom for spot in marked]
    axis.vlines([x] * len(marked), tops, bottoms, linestyle=":", linewidth=1.2, color=colour)


def line(label: str, **style: Any) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], label=label, **style)


def dots(label: str, colour: str, marker: str = "o") -> Line2D:
    """An entry of a legend."""
    return line(label, linestyle="none", marker=marker, color=colour, markersize=6)


def _label(row: Row, narrow: bool) -> str:
    letters = LETTERS_NARROW if narrow else LETTERS_HEADING if row.heading else LETTERS
    return wrapped(row.label, letters)


def _under(row: Row, columns: Sequence[Column]) -> str:
    """The texts beside with their columns' names, in lines for a phone."""
    said = [f"{name.short} {text}".strip() for name, text in zip(columns, row.beside, strict=False) if text]
    return wrapped("; ".join(said), LETTERS_UNDER) if said else ""


def wrapped(text: str, letters: int) -> str:
    """In lines of at most so many letters, none of which begins with a percent sign; at least a space."""
    lines = textwrap.wrap(
        one_line(text).replace(" %", "\N{NO-BREAK SPACE}%"), letters, break_on_hyphens=False
    )
    return "\n".join(lines) or " "


def _height(row: Row, label: str, under: str, narrow: bool) -> float:
    lines = LINE * (1 + label.count("\n"))
    if row.heading:
        return lines + 0.14
    if not narrow:
        return max(MARK, lines + 0.08)
    return lines + MARK + (LINE * (1 + under.count("\n")) if under else 0) + 0.06


def _top(columns: Sequence[Column], legend: Sequence[Artist], narrow: bool) -> float:
    keys = 0.08 + 0.18 * -(-len(legend) // (2 if narrow else len(legend))) if legend else 0.0
    return keys + (0.06 if narrow else 0.24)


def _widths(rows: Sequence[Row], columns: Sequence[Column]) -> list[float]:
    texts = [[name.head, *(row.beside[at] for row in rows if row.beside)] for at, name in enumerate(columns)]
    return [PAD + max(_inches(text, SMALL) for text in column) for column in texts]


def _inches(text: str, size: float) -> float:
    """About how wide its longest line is; a little more in most fonts' letters."""
    wide = max(
        sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in line) for line in text.split("\n")
    )
    return 0.62 * size / 72 * wide


def _labels(
    axis: Axes, rows: Sequence[Row], texts: Sequence[str], spots: Sequence[Spot], left: float, span: float
) -> None:
    for row, text, spot in zip(rows, texts, spots, strict=True):
        x = -left / span
        weight = "bold" if row.heading else "normal"
        axis.text(x, spot.y, text, transform=axis.get_yaxis_transform(), va="center", weight=weight)


def _columns(
    axis: Axes,
    rows: Sequence[Row],
    columns: Sequence[Column],
    spots: Sequence[Spot],
    starts: Sequence[float],
    span: float,
) -> None:
    transform = axis.get_yaxis_transform()
    for at, (column, start) in enumerate(zip(columns, starts, strict=True)):
        x = (start + PAD) / span
        axis.text(x, -0.1, column.head, transform=transform, va="center", size=SMALL, style="italic")
        for row, spot in zip(rows, spots, strict=True):
            if row.beside:
                axis.text(x, spot.y, row.beside[at], transform=transform, va="center", size=SMALL)


def _stacked(
    axis: Axes, rows: Sequence[Row], texts: Sequence[str], under: Sequence[str], starts: Sequence[float]
) -> list[Spot]:
    """Label, mark and texts of each row one below the other; returns where the marks are."""
    transform = axis.get_yaxis_transform()
    spots = []
    for row, text, said, start in zip(rows, texts, under, starts, strict=True):
        below = start + 0.04 + LINE * (1 + text.count("\n"))
        weight = "bold" if row.heading else "normal"
        axis.text(0, start + 0.04, text, transform=transform, va="top", weight=weight, size=SMALL + 0.5)
        axis.text(0, below + MARK - 0.04, said, transform=transform, va="top", size=SMALL - 0.5)
        spots.append(Spot(below + MARK / 2 - 0.02, below, below + MARK - 0.06))
    return spots
