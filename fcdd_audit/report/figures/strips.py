"""Test scores over their thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from fcdd_audit.core.text import share
from fcdd_audit.report.figures.rows import (
    LETTERS_HEADING,
    LETTERS_NARROW,
    LINE,
    PAD,
    SMALL,
    dots,
    line,
    wrapped,
)
from fcdd_audit.report.figures.style import LIMIT, NARROW, TWINS, WIDE, own_settings, to_svg

MOST = 120  # points a strip
TALL = 0.2  # of a strip, in inches
AXIS = 0.5  # for the axis and its name
LEFT, RIGHT = 1.25, 0.75  # for names, and for the share over the threshold
GOLDEN = 0.6180339887498949
FLOOR, CEILING = 0.01, 1000.0  # of a ratio that is drawn
FAR = 10.0  # inter-quartile ranges, of a difference that is drawn
RATIO = "score over its threshold"
DIFFERENCE = "score minus threshold, in inter-quartile ranges"


@dataclass(frozen=True)
class Strip:
    """Scores of one group of images by one kind of twin, relative to each twin's threshold."""

    question: int
    scale: str
    part: str
    variant: str
    twin: str
    values: np.ndarray


def score_strips(
    scores: pd.DataFrame,
    thresholds: pd.DataFrame,
    names: Mapping[int, str],
    prefix: str,
    *,
    narrow: bool = False,
) -> str:
    """Strips of nominal and anomalous, clean and marked images by planted and control twins, on one axis.

    scores: question, twin, part, variant, score, as in scores.csv; with a column `seed` of all seeds.
    thresholds: as `strip_thresholds` gives them. names: what each question is called; its order is the
    figure's. A score is divided by its twin's threshold. Where a question has a threshold that isn't
    positive, it is the difference, in inter-quartile ranges of that twin's clean nominal scores, on its own
    axis. At most MOST points a strip, evenly by rank; what lies beyond the axis is drawn at its end. At
    the right stands the share of images over the threshold. Empty text without scores.
    """
    strips = _strips(scores, thresholds, names)
    if not strips:
        return ""
    scales = [scale for scale in (RATIO, DIFFERENCE) if any(one.scale == scale for one in strips)]
    panels = [[one for one in strips if one.scale == scale] for scale in scales]
    width, top = (NARROW if narrow else WIDE), 0.3
    heads = {
        question: wrapped(name, LETTERS_NARROW if narrow else LETTERS_HEADING)
        for question, name in names.items()
    }
    tall = [_height(panel, heads) for panel in panels]
    total = top + sum(tall) + AXIS * len(panels)
    span = width - LEFT - RIGHT
    with own_settings():
        figure = Figure(figsize=(width, total))
        start = top
        for panel, height in zip(panels, tall, strict=True):
            bottom = total - start - height
            axis = figure.add_axes((LEFT / width, bottom / total, span / width, height / total))
            axis.set_ylim(height, 0)
            _panel(axis, panel, heads, (PAD - LEFT) / span)
            start += height + AXIS
        legend = [
            *(dots(f"{twin} twin", colour) for twin, colour in TWINS.items()),
            line("threshold", color=LIMIT),
        ]
        figure.legend(
            handles=legend,
            loc="upper left",
            ncols=3,
            fontsize=SMALL,
            borderaxespad=0.2,
            handletextpad=0.4,
            columnspacing=1.2,
        )
        return to_svg(figure, prefix, "Test scores over their thresholds", _said(panels))


def score_strips_rows(
    scores: pd.DataFrame, thresholds: pd.DataFrame, names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """The table behind `score_strips`: a row a strip, with quartiles of all its values."""
    rows = []
    for one in _strips(scores, thresholds, names):
        low, middle, high = np.quantile(one.values, (0.25, 0.5, 0.75)).tolist()
        rows.append(
            {
                "finding": names[one.question],
                "images": f"{one.part} {one.variant}",
                "twin": one.twin,
                "scale": one.scale,
                "scores": len(one.values),
                "lower quartile": low,
                "median": middle,
                "upper quartile": high,
                "over the threshold": _over(one),
            }
        )
    return rows


def strip_thresholds(questions: Sequence[dict[str, Any]], results: pd.DataFrame) -> pd.DataFrame:
    """question, twin, seed, threshold of every twin; the first seed of a question stands first.

    questions: as in config.json, with the probe. results: results.csv as `read_results` gives it.
    """
    known = results[(results["split"] == "validation") & (results["metric"] == "threshold")]
    rows = []
    for index, question in enumerate(questions):
        mine = known[
            (known["nominal_class"] == question["nominal_class"])
            & (known["detector"] == question["detector"])
            & (known["probe"] == question["probe"])
            & (known["plant_on"] == question["plant_on"])
        ]
        alike = np.isclose(mine["prevalence"].astype(float), question["prevalence"])
        for twin, found in (
            ("planted", mine[(mine["twin"] == "planted") & alike]),
            ("control", mine[(mine["twin"] == "control") & (alike | (mine["prevalence"] == 0))]),
        ):
            by_seed = found.set_index("seed")["value"]
            rows += [
                {"question": index, "twin": twin, "seed": seed, "threshold": float(by_seed[seed])}
                for seed in question["seeds"]
                if seed in by_seed
            ]
    return pd.DataFrame(rows, columns=["question", "twin", "seed", "threshold"])


def _strips(scores: pd.DataFrame, thresholds: pd.DataFrame, names: Mapping[int, str]) -> list[Strip]:
    if scores.empty:
        return []
    keys = ["question", "twin", *(["seed"] if "seed" in scores else [])]
    scores = scores.merge(thresholds.drop_duplicates(keys)[[*keys, "threshold"]], on=keys)
    strips = []
    for question in names:
        mine = scores[scores["question"] == question]
        positive = bool((mine["threshold"] > 0).all())
        values = mine["score"] / mine["threshold"] if positive else _differences(mine, keys)
        groups = values.groupby([mine["part"], mine["variant"], mine["twin"]], sort=False)
        found = {key: group.to_numpy() for key, group in groups}
        strips += [
            Strip(
                question, RATIO if positive else DIFFERENCE, part, variant, twin, found[part, variant, twin]
            )
            for part in ("nominal", "anomalous")
            for variant in ("clean", "marked")
            for twin in TWINS
            if (part, variant, twin) in found
        ]
    return strips


def _differences(mine: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Scores minus their thresholds in inter-quartile ranges; in units of the score where that is 0."""
    clean = mine[(mine["part"] == "nominal") & (mine["variant"] == "clean")].groupby(keys)["score"]
    ranges = (clean.quantile(0.75) - clean.quantile(0.25)).replace(0.0, 1.0).rename("range")
    return (mine["score"] - mine["threshold"]) / mine.join(ranges, on=keys)["range"]


def _over(strip: Strip) -> float:
    return float((strip.values > (1 if strip.scale == RATIO else 0)).mean())


def _height(strips: Sequence[Strip], heads: Mapping[int, str]) -> float:
    return sum(_head(heads[question]) for question in {one.question for one in strips}) + TALL * len(strips)


def _head(text: str) -> float:
    """The height of a finding's name above its strips, in inches."""
    return 0.14 + LINE * (1 + text.count("\n"))


def _panel(axis: Axes, strips: Sequence[Strip], heads: Mapping[int, str], edge: float) -> None:
    """All strips of one scale. edge: of the figure, as a share of the axis."""
    ratio = strips[0].scale == RATIO
    low, high = _limits(np.concatenate([one.values for one in strips]), ratio)
    axis.set_xlim(low, high)
    if ratio:
        _logarithmic(axis, low, high)
    axis.set(yticks=[], xlabel=strips[0].scale)
    axis.spines["left"].set_visible(False)
    across = axis.get_yaxis_transform()
    y, before = 0.0, None
    for one in strips:
        if one.question != before:
            before, y = one.question, y + _head(heads[one.question])
            axis.text(edge, y - 0.05, heads[before], transform=across, weight="bold", va="bottom", size=SMALL)
        if one.twin == "planted":
            images = f"{one.part} {one.variant}"
            axis.text(-0.03, y + TALL, images, transform=across, ha="right", va="center", size=SMALL)
        axis.vlines(1 if ratio else 0, y, y + TALL, color=LIMIT, linewidth=1.2)
        axis.add_patch(_dots(one, y, np.clip(_thinned(one.values), low, high)))
        over = f"{share(_over(one))} over"
        axis.text(1.02, y + TALL / 2, over, transform=across, va="center", size=SMALL - 1)
        y += TALL


def _logarithmic(axis: Axes, low: float, high: float) -> None:
    """Ticks at powers of ten, and at half and double where there is room."""
    near = () if high / low > 200 else (0.5, 2)
    ticks = [one for one in (0.01, 0.1, 1, 10, 100, 1000, *near) if low <= one <= high]
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{one:g}" for one in ticks])
    axis.minorticks_off()


def _limits(values: np.ndarray, ratio: bool) -> tuple[float, float]:
    if not ratio:
        return max(-FAR, min(-1.0, float(values.min()))), min(FAR, max(1.0, float(values.max())))
    positive = values[values > 0]
    low = float(positive.min()) if len(positive) else FLOOR
    high = float(values.max()) if len(positive) else 1.0
    return max(FLOOR, min(0.5, low)) / 1.1, min(CEILING, max(2.0, high)) * 1.1


def _thinned(values: np.ndarray) -> np.ndarray:
    """In order, at most MOST, evenly by rank with the ends."""
    ordered = np.sort(values)
    if len(ordered) <= MOST:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, MOST).round().astype(int)]


def _dots(strip: Strip, top: float, values: np.ndarray) -> PathPatch:
    """One path of round line ends, which takes a quarter of the bytes of as many markers."""
    jitter = (np.arange(len(values)) * GOLDEN) % 1
    places = np.column_stack([values, top + TALL * (0.15 + 0.7 * jitter)])
    codes = np.tile([Path.MOVETO, Path.LINETO], len(values))
    path = Path(np.repeat(places, 2, axis=0), codes)
    path.should_simplify = False
    return PathPatch(path, facecolor="none", edgecolor=TWINS[strip.twin], linewidth=2.2, capstyle="round")


def _said(panels: Sequence[Sequence[Strip]]) -> str:
    scales = " and ".join(panel[0].scale for panel in panels)
    return (
        f"{scales.capitalize()}: a dot an image, by side, clean and marked, of planted and control twins; "
        "beside each strip the share of images over the threshold."
    )
