"""Statistical figures as inline SVG that takes its ink from the page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BINS = 40  # of a histogram
INK = "#010203"  # stands for the page's text colour until the SVG is written
SETS = {"in use": ("-", "#2a9d8f"), "conflict": ("--", "#d97706")}  # line and colour
PALETTE = {"nominal": "#3b82c4", "anomalous": "#d1495b"}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fcdd-audit",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def own_settings() -> Iterator[None]:
    """Inside it figures follow Matplotlib's defaults and STYLE; then the user's settings are as before."""
    defaults = mpl.rcParamsDefault
    with mpl.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mpl.MatplotlibDeprecationWarning)  # of defaults that will go
            # The backend draws no SVG, and rc_context wouldn't set it back.
            mpl.rcParams.update({key: defaults[key] for key in defaults if key != "backend"})
        mpl.rcParams.update(STYLE)
        yield


def score_distributions(scores: pd.DataFrame, limits: dict[str, float], prefix: str) -> str:
    """Anomaly scores of the test images by twin: twin, part, variant, score; a line at the frozen threshold.

    limits: the threshold of each twin.
    """
    with own_settings():
        figure = Figure(figsize=(7.2, 2.6), layout="constrained")
        axes = figure.subplots(1, len(limits), sharey=True, squeeze=False)[0]
        for axis, (twin, limit) in zip(axes, limits.items(), strict=True):
            test = scores[scores["twin"] == twin]
            groups = test.groupby(["part", "variant"], sort=False)["score"]
            drawn = axis.boxplot(
                [values for _, values in groups],
                tick_labels=[" ".join(names) for names, _ in groups],
                orientation="horizontal",
                patch_artist=True,
                widths=0.8,
                medianprops={"color": INK},
                flierprops={"markersize": 2},
            )
            for box, ((part, _), _) in zip(drawn["boxes"], groups, strict=True):
                box.set_facecolor(PALETTE[part])
            axis.axvline(limit, linestyle="--", linewidth=1, color=INK)
            axis.set(title=f"{twin} twin", xlabel="anomaly score")
        axes[0].invert_yaxis()
        return to_svg(figure, prefix)


def roc_curves(curves: pd.DataFrame, prefix: str) -> str:
    """ROC of every seed by twin, on the test set as it is in use and on the conflict set.

    curves: twin, seed, set, fpr, tpr, as in curves.csv.
    """
    twins = curves["twin"].unique()
    with own_settings():
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        axes = figure.subplots(1, len(twins), sharey=True, squeeze=False)[0]
        for axis, twin in zip(axes, twins, strict=True):
            axis.plot([0, 1], [0, 1], linestyle=":", linewidth=1, color=INK)
            mine = curves[curves["twin"] == twin]
            for (name, seed), curve in mine.groupby(["set", "seed"], sort=False):
                label = name if seed == mine["seed"].min() else None
                axis.plot(
                    curve["fpr"], curve["tpr"], SETS[name][0], linewidth=1.4, color=SETS[name][1], label=label
                )
            axis.set(title=f"{twin} twin", xlabel="false positive rate", aspect="equal")
        axes[0].set_ylabel("true positive rate")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", title="test set")
        return to_svg(figure, prefix)


def dose_response(
    findings: list[dict[str, Any]], limits: dict[str, float], label: Callable[[str], str], prefix: str
) -> str:
    """Dependence, new alarms and what each explainer shows, over prevalence, with intervals.

    findings: as in findings.json, of one detector, class and side; those without a number are left out.
    limits: the thresholds `shift`, `alarms` and `reveal`, as lines. label: of a measure's name, what people
    read.
    """
    panels: list[tuple[str, dict[str, list[tuple[float, dict[str, Any]]]], float]] = [
        (label(name), {name: [(one["prevalence"], one[key]) for one in findings if one[key]]}, limits[limit])
        for name, key, limit in (("dependence", "dependence", "shift"), ("new_alarms", "alarms", "alarms"))
    ]
    shown: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for one in findings:
        for explainer in one["explainers"]:
            if not explainer["reference"]:
                shown.setdefault(explainer["explainer"], []).append(
                    (one["prevalence"], explainer["excess_pixel_auroc"])
                )
    if shown:
        panels.append((label("excess_pixel_auroc"), shown, limits["reveal"]))
    with own_settings():
        figure = Figure(figsize=(7.2, 2.6), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (name, lines, limit) in zip(axes, panels, strict=True):
            _over_prevalence(axis, lines)
            axis.axhline(limit, linestyle=":", linewidth=1, color=INK)
            axis.set(ylabel=name)
            if len(lines) > 1:
                axis.legend()
        return to_svg(figure, prefix)


def rates_figure(rates: list[dict[str, Any]], prefix: str) -> str:
    """Sensitivity over prevalence, and the rate of false alarms, by detector, of disjoint audits with exact
    intervals.

    rates: as in calibration.json.
    """
    planted: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for rate in rates:
        if not rate["null"] and rate["audits"]:
            planted.setdefault(rate["detector"], []).append((rate["prevalence"], rate["says_relies"]))
    # Another artifact that carries over is no null: there "relies" is right.
    alarms = [rate for rate in rates if rate["null"] and rate["audits"] and not rate["carries_over"]]
    with own_settings():
        figure = Figure(figsize=(7.2, 0.8 + max(2.0, 0.24 * len(alarms))), layout="constrained")
        left, right = figure.subplots(1, 2)
        _over_prevalence(left, planted)
        left.set(ylabel="sensitivity", ylim=(-0.03, 1.03))
        if planted:
            left.legend()
        for row, rate in enumerate(alarms):
            found = rate["says_relies"]
            right.plot([found["low"], found["high"]], [row, row], color=INK, linewidth=1)
            right.plot(found["value"], row, "o", color=INK, markersize=4)
        right.set_yticks(range(len(alarms)), [f"{rate['detector']}, {rate['label']}" for rate in alarms])
        right.axvline(0.05, linestyle=":", linewidth=1, color=INK)
        right.set(xlabel="false alarms", xlim=(-0.01, None))
        right.invert_yaxis()
        return to_svg(figure, prefix)


def among_placebos(artifact: float, placebos: list[float], label: str, threshold: float, prefix: str) -> str:
    """A number of each placebo as a histogram, and the artifact's as a diamond above.

    label: of the axis. threshold: as a line.
    """
    with own_settings():
        figure = Figure(figsize=(7.2, 2.2), layout="constrained")
        axis = figure.subplots()
        shown = [artifact, threshold, *placebos]
        counts, edges = np.histogram(placebos, BINS, (min(shown), max(shown) + 1e-9))
        axis.stairs(counts, edges, fill=True, color=PALETTE["nominal"], alpha=0.6, label="placebos")
        above = 1.15 * float(counts.max())
        axis.plot(artifact, above, "D", color=PALETTE["anomalous"], markersize=6, label="artifact")
        axis.axvline(threshold, linestyle=":", linewidth=1, color=INK)
        axis.set(xlabel=label, ylabel="placebos", ylim=(0, 1.25 * above))
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")
        return to_svg(figure, prefix)


def dose_figure(dose: dict[str, Any], limit: float, prefix: str) -> str:
    """Share of decisions turned wrong over the artifact's opacity and size, as shares of its own.

    dose: as in findings.json. limit: as a line.
    """
    panels = [(kind, dose[kind]) for kind in ("opacity", "size") if dose[kind]]
    with own_settings():
        figure = Figure(figsize=(7.2, 2.2), layout="constrained")
        for axis, (kind, steps) in zip(
            figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
        ):
            x, y = [step["share"] for step in steps], [step["newly_wrong"] for step in steps]
            axis.plot(x, y, "o-", markersize=4, linewidth=1.4, color=PALETTE["anomalous"])
            axis.axhline(limit, linestyle=":", linewidth=1, color=INK)
            axis.set(xlabel=f"share of the artifact's {kind}", ylim=(-0.03, 1.03), xlim=(0, 1.03))
            axis.set_ylabel("turned wrong" if kind == "opacity" else "")
        return to_svg(figure, prefix)


def places_figure(rows: list[int], columns: list[int], places: list[list[float]], prefix: str) -> str:
    """Share of decisions turned wrong by where the artifact's upper left corner is, in pixels."""
    with own_settings():
        figure = Figure(figsize=(4.2, 3.2), layout="constrained")
        axis = figure.subplots()
        drawn = axis.pcolormesh(np.array(places), cmap="viridis", vmin=0, vmax=1)
        axis.set_xticks(np.arange(len(columns)) + 0.5, [str(column) for column in columns])
        axis.set_yticks(np.arange(len(rows)) + 0.5, [str(row) for row in rows])
        axis.invert_yaxis()
        axis.set(xlabel="from the left, px", ylabel="from the top, px")
        figure.colorbar(drawn, ax=axis, label="turned wrong")
        return to_svg(figure, prefix)


def exposure(rows: list[dict[str, Any]], prefix: str) -> str:
    """How often each explainer exposes a relying twin, and how often it raises an alarm on controls.

    rows: as in comparison.json, of one detector, in the order to be shown; with exact intervals.
    """
    panels = (("exposes_twins", "exposes relying twins"), ("alarms_on_controls", "false alarms on controls"))
    with own_settings():
        figure = Figure(figsize=(7.2, 0.9 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, (key, label), colour in zip(axes, panels, PALETTE.values(), strict=True):
            for place, row in enumerate(rows):
                found = row[key]["share"]
                if found["value"] is not None:
                    axis.plot([found["low"], found["high"]], [place, place], color=INK, linewidth=1)
                    axis.plot(found["value"], place, "o", color=colour, markersize=5)
            axis.set(xlabel=label, xlim=(-0.03, 1.03))
        axes[0].set_yticks(range(len(rows)), [row["explainer"] for row in rows])
        axes[0].invert_yaxis()
        return to_svg(figure, prefix)


def cascade_curves(rows: list[dict[str, Any]], measure: str, label: str, prefix: str) -> str:
    """A similarity with the maps of copies whose last 1, 2, ... layers are redrawn, a line an explainer.

    rows: as in comparison.json, of one detector, with such numbers. measure, label: its name.
    """
    with own_settings():
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axis = figure.subplots()
        for place, row in enumerate(rows):
            values = row["randomised"][measure]
            style = ("-", "--", ":")[place // len(mpl.rcParams["axes.prop_cycle"]) % 3]
            axis.plot(range(len(values) + 1), [1.0, *values], style, linewidth=1.4, label=row["explainer"])
        axis.axhline(0, linestyle=":", linewidth=1, color=INK)
        axis.set(xlabel="layers redrawn, from the last", ylabel=label, ylim=(-1.03, 1.03))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")
        return to_svg(figure, prefix)


def _over_prevalence(axis: Axes, lines: dict[str, list[tuple[float, dict[str, Any]]]]) -> None:
    """One line each, on a logarithmic axis with a tick at every prevalence."""
    ticks = sorted({x for points in lines.values() for x, _ in points})
    for name, points in lines.items():
        ordered = sorted(points, key=lambda point: point[0])
        x, values = [x for x, _ in ordered], [found["value"] for _, found in ordered]
        known = [(x, found) for x, found in ordered if found["low"] is not None]
        (line,) = axis.plot(x, values, "o-", markersize=4, linewidth=1.4, label=name)
        axis.vlines(
            [x for x, _ in known],
            [found["low"] for _, found in known],
            [found["high"] for _, found in known],
            color=line.get_color(),
            linewidth=1,
        )
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{100 * x:g} %" for x in ticks])
    axis.minorticks_off()
    axis.set(xlabel="prevalence")


def to_svg(figure: Figure, prefix: str) -> str:
    """An <svg> element whose ids start with `prefix` and whose ink is `currentColor`."""
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(xlink:href|href)="#', rf'\1="#{prefix}-', svg)
    svg = svg.replace("url(#", f"url(#{prefix}-")
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]+)"[^>]*>',
        r'<svg viewBox="\1" aria-hidden="true">',
        svg,
        count=1,
    )
