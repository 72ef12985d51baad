"""Scores of twins: distributions and ROC curves."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from fcdd_audit.report.figures.rows import line
from fcdd_audit.report.figures.style import INK, LIMIT, TWINS, own_settings, to_svg

SETS = {"in use": "-", "conflict": "--"}


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
            for box in drawn["boxes"]:
                box.set_facecolor(TWINS[twin])
            axis.axvline(limit, linestyle="--", linewidth=1.2, color=LIMIT)
            axis.set(title=f"{twin} twin", xlabel="anomaly score")
        axes[0].invert_yaxis()
        about = "Box plots by side of the test images, clean and marked; dashed: the frozen threshold."
        return to_svg(figure, prefix, "Anomaly scores by twin", about)


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
