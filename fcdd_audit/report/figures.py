"""Statistical figures as inline SVG that takes its ink from the page."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

INK = "#010203"  # stands for the page's text colour until the SVG is written
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


def score_distributions(scores: dict[str, pd.DataFrame], limits: dict[str, float], prefix: str) -> str:
    """Anomaly scores of the test images by twin: part, variant, score; a line at the frozen threshold."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.6), layout="constrained")
        axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
        for axis, (twin, frame) in zip(axes, scores.items(), strict=True):
            test = frame[frame["part"] != "validation"]
            sns.boxplot(
                data=test.assign(group=test["part"] + " " + test["variant"]),
                x="score",
                y="group",
                hue="part",
                palette=PALETTE,
                legend=False,
                fliersize=2,
                linewidth=1,
                linecolor=INK,
                ax=axis,
            )
            axis.axvline(limits[twin], linestyle="--", linewidth=1, color=INK)
            axis.set(title=f"{twin} twin", xlabel="anomaly score", ylabel="")
        return to_svg(figure, prefix)


def roc_curves(scores: dict[str, list[pd.DataFrame]], conflict: dict[str, str], prefix: str) -> str:
    """ROC of every seed by twin, on the clean and the conflict test set.

    conflict: for each part the variant that the conflict set uses.
    """
    sets = {"clean": {"nominal": "clean", "anomalous": "clean"}, "conflict": conflict}
    colours = {"clean": "#2a9d8f", "conflict": "#d97706"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
        for axis, (twin, frames) in zip(axes, scores.items(), strict=True):
            axis.plot([0, 1], [0, 1], linestyle=":", linewidth=1, color=INK)
            for name, variants in sets.items():
                for seed, frame in enumerate(frames):
                    test = frame[frame["variant"] == frame["part"].map(variants)]
                    fpr, tpr, _ = roc_curve(test["part"] == "anomalous", test["score"])
                    label = name if seed == 0 else None
                    style = "-" if name == "clean" else "--"
                    axis.plot(fpr, tpr, style, linewidth=1.4, color=colours[name], label=label)
            axis.set(title=f"{twin} twin", xlabel="false positive rate", aspect="equal")
        axes[0].set_ylabel("true positive rate")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", title="test set")
        return to_svg(figure, prefix)


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
