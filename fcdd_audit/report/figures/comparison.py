"""Explanations compared."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fcdd_audit.report.figures.style import INK, TWINS, own_settings, to_svg


def exposure(rows: list[dict[str, Any]], prefix: str) -> str:
    """How often each explainer exposes a relying twin, and how often it raises an alarm on controls.

    rows: as in comparison.json, of one detector, in the order to be shown; with exact intervals.
    """
    panels = (("exposes_twins", "exposes relying twins"), ("alarms_on_controls", "false alarms on controls"))
    with own_settings():
        figure = Figure(figsize=(7.2, 0.9 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, (key, label), colour in zip(axes, panels, TWINS.values(), strict=True):
            for place, row in enumerate(rows):
                found = row[key]["share"]
                if found["value"] is not None:
                    axis.plot([found["low"], found["high"]], [place, place], color=INK, linewidth=1)
                    axis.plot(found["value"], place, "o", color=colour, markersize=5)
            axis.set(xlabel=label, xlim=(-0.03, 1.03))
        axes[0].set_yticks(range(len(rows)), [row["explainer"] for row in rows])
        axes[0].invert_yaxis()
        about = "Shares with exact intervals: left of relying twins, right of controls."
        return to_svg(figure, prefix, "How often explanations expose twins", about)


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
        about = "A line an explainer, over the number of layers redrawn from the last."
        return to_svg(figure, prefix, f"{label} as layers are redrawn", about)
