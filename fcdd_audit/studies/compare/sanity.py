"""Checks of the maps themselves, and what they cost: means and medians over twins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

NAN = float("nan")


def checked(mine: pd.DataFrame, alike: Sequence[str]) -> dict[str, Any]:
    """The sanity numbers of `Compared`. mine: an explainer's rows. alike: the measures of similarity."""
    means = mine.groupby(["split", "metric"])["value"].mean()

    def mean(split: str, metric: str) -> float:
        return float(means.get((split, metric), NAN))

    return {
        "randomised": by_depth(mine, "cascade", alike),
        "single": by_depth(mine, "layer", alike),
        "twins": {metric: mean("twins", metric) for metric in alike},
        "noise": {metric: mean("noise", metric) for metric in alike},
        "deletion": mean("deletion", "mean_fall"),
        "insertion": mean("insertion", "mean_rise"),
    }


def cost(spent: pd.DataFrame) -> dict[str, Any]:
    """Seconds and MiB that a map takes, and those seconds in times that scoring takes; NaN without rows."""
    if not len(spent):
        return dict.fromkeys(("seconds", "megabytes", "passes"), NAN)
    return {
        "seconds": float(spent["seconds"].median()),
        "megabytes": float(spent["megabytes"].median()),
        "passes": float((spent["seconds"] / spent["seconds_to_score"]).median()),
    }


def by_depth(mine: pd.DataFrame, kind: str, alike: Sequence[str]) -> dict[str, list[float]]:
    """Mean similarity by measure, over the layers in order."""
    rows = mine[mine["split"].str.match(rf"{kind}-\d+$")]
    depth = rows["split"].str.extract(r"(\d+)$", expand=False).astype(int)
    means = rows.assign(depth=depth).groupby(["metric", "depth"])["value"].mean()
    return {
        metric: means[metric].sort_index().tolist()
        for metric in alike
        if metric in means.index.get_level_values(0)
    }
