"""Where an artifact lowers the score, the half of signed maps that lowers it stands for the map."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fcdd_audit.experiment.folder import PAIR, second_name
from fcdd_audit.studies.compare.reading import CASE

Interval = dict[str, float | None]
EXCESS = "excess_pixel_auroc"
LOWERING, BEYOND = "lowering_pixel_auroc", ("lowering_excess", "lowering_above_chance")


def lowers(explainer: dict[str, Any]) -> bool:
    """Whether it is judged by what lowers the score. explainer: as in findings.json."""
    return explainer.get("map") == "lowers"


def least(explainer: dict[str, Any]) -> Interval:
    """Of one that is: the least of what it has beyond its own chance and beyond the control's, by each
    baseline, with its least limits; None for a limit that isn't known of all."""
    asked = [
        opinion[key] for opinion in explainer["lowering"]["opinions"] for key in ("above_chance", "excess")
    ]

    def of(name: str) -> float | None:
        values = [one[name] for one in asked]
        return None if None in values else min(values)

    return {name: of(name) for name in ("value", "low", "high")}


def as_judged(own: pd.DataFrame, name: str, shown: pd.DataFrame, headline: str) -> pd.DataFrame:
    """An explainer's rows, of a detector's `own`, with what lowers the score in place of what raises it in
    the cases of `shown` that are judged by that: its overlap as `headline`, and as excess the least of what a
    planted twin has beyond its own chance and beyond the control's, by each baseline.
    """
    mine = own[own["explainer"] == name]
    sides = [key for key in CASE if key != "prevalence"]  # a control has none
    lowered = shown[shown["lowers"]][sides].drop_duplicates()
    if lowered.empty:
        return mine
    of_half = _in(mine, lowered)
    kept = mine[~(of_half & mine["metric"].isin([headline, EXCESS]))]
    overlap = mine[of_half & (mine["metric"] == LOWERING)].assign(metric=headline)
    opinions = own[own["explainer"].isin([name, second_name(name)]) & _in(own, lowered)]
    paired = opinions[(opinions["twin"] == PAIR) & opinions["metric"].isin(BEYOND)]
    keys = [one for one in mine.columns if one not in ("explainer", "metric", "value")]
    excess = paired.groupby(keys, as_index=False, dropna=False)["value"].min()
    return pd.concat([kept, overlap, excess.assign(explainer=name, metric=EXCESS)], ignore_index=True)


def _in(rows: pd.DataFrame, cases: pd.DataFrame) -> pd.Series:
    """Whether each row is of one of these cases."""
    columns = list(cases.columns)
    known = set(cases.itertuples(index=False, name=None))
    return pd.Series(
        [key in known for key in rows[columns].itertuples(index=False, name=None)], rows.index, bool
    )
