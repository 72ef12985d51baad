"""Explanations compared."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fcdd_audit.report.figures.style import INK, own_settings, to_svg


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
