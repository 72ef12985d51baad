"""ROC curves of twins."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from fcdd_audit.report.figures.rows import line
from fcdd_audit.report.figures.style import INK, TWINS, own_settings, to_svg

SETS = {"in use": "-", "conflict": "--"}


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
            for (name, _), curve in mine.groupby(["set", "seed"], sort=False):
                axis.plot(curve["fpr"], curve["tpr"], SETS[name], linewidth=1.4, color=TWINS[twin])
            axis.set(title=f"{twin} twin", xlabel="false positive rate", aspect="equal")
        axes[0].set_ylabel("true positive rate")
        lines = [line(name, linestyle=style, color=INK) for name, style in SETS.items()]
        figure.legend(handles=lines, loc="outside right center", title="test set")
        about = "A curve a seed: solid on the test set in use, dashed on the conflict set; dotted: chance."
        return to_svg(figure, prefix, "ROC curves by twin", about)
