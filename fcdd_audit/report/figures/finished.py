"""Of a finished detector: placebos, dose and place."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fcdd_audit.report.figures.style import LIMIT, TWINS, own_settings, to_svg

BINS = 40  # of a histogram


def among_placebos(artifact: float, placebos: list[float], label: str, threshold: float, prefix: str) -> str:
    """A number of each placebo as a histogram, and the artifact's as a diamond above.

    label: of the axis. threshold: as a line.
    """
    with own_settings():
        figure = Figure(figsize=(7.2, 2.2), layout="constrained")
        axis = figure.subplots()
        shown = [artifact, threshold, *placebos]
        counts, edges = np.histogram(placebos, BINS, (min(shown), max(shown) + 1e-9))
        axis.stairs(counts, edges, fill=True, color=TWINS["control"], alpha=0.6, label="placebos")
        above = 1.15 * float(counts.max())
        axis.plot(artifact, above, "D", color=TWINS["planted"], markersize=6, label="artifact")
        axis.axvline(threshold, linestyle=":", linewidth=1.2, color=LIMIT)
        axis.set(xlabel=label, ylabel="placebos", ylim=(0, 1.25 * above))
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")
        about = "Histogram of the placebos, and the artifact as a diamond; dotted: the limit."
        return to_svg(figure, prefix, f"The artifact among its placebos: {label}", about)


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
            axis.plot(x, y, "o-", markersize=4, linewidth=1.4, color=TWINS["planted"])
            axis.axhline(limit, linestyle=":", linewidth=1.2, color=LIMIT)
            axis.set(xlabel=f"share of the artifact's {kind}", ylim=(-0.03, 1.03), xlim=(0, 1.03))
            axis.set_ylabel("turned wrong" if kind == "opacity" else "")
        about = "Over the artifact's opacity and size, as shares of its own; dotted: the limit."
        return to_svg(figure, prefix, "Decisions turned wrong by dose", about)


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
        about = "By where its upper left corner is, in pixels; brighter: more decisions."
        return to_svg(figure, prefix, "Decisions turned wrong by the artifact's place", about)
