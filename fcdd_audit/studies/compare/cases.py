"""The cases whose truth is known: what each explainer shows of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.experiment.folder import PAIR
from fcdd_audit.studies.compare.halves import least, lowers
from fcdd_audit.studies.compare.reading import CASE


def alone(explainer: dict[str, Any], headline: str) -> dict[str, float | None] | None:
    """Its excess on the side that is judged, with the interval for one explainer at one look; None where it
    can't be asked."""
    if not (explainer["reference"] or explainer["judged"]):
        return None
    if lowers(explainer):
        return least(explainer)
    return next(
        (
            overlap["excess"]
            for overlap in explainer["overlaps"]
            if (overlap["side"], overlap["measure"]) == (explainer["side"], headline)
        ),
        None,
    )


def lowest(excess: dict[str, float | None]) -> float:
    """The lower limit; without one, below any number."""
    return -np.inf if excess["low"] is None else excess["low"]


def highest(excess: dict[str, float | None]) -> float:
    """The upper limit; without one, above any number."""
    return np.inf if excess["high"] is None else excess["high"]


def planted_twins(own: pd.DataFrame, mine: pd.DataFrame, shown: pd.DataFrame, headline: str) -> pd.DataFrame:
    """A row a planted twin of the findings in `shown`: dependence, excess, overlap, whether it may rely."""
    keys = [*CASE, "seed"]
    paired = own[own["twin"] == PAIR]
    found = paired[paired["metric"] == "dependence"][[*keys, "value"]].rename(columns={"value": "dependence"})
    excess = mine[(mine["twin"] == PAIR) & (mine["metric"] == "excess_pixel_auroc") & judged(mine)]
    found = found.merge(excess[[*keys, "value"]].rename(columns={"value": "excess"}), on=keys)
    found = found.merge(overlap_of(mine, "planted", headline), on=keys)
    return found.merge(shown[[*CASE, "possible"]], on=CASE)


def judged(rows: pd.DataFrame, split: str = "marked") -> pd.Series:
    """Whether each is of the side that heat is judged on: the one that the conflict set changes."""
    sides = rows["plant_on"].map(lambda name: DIRECTIONS[name].changed)
    return rows["split"] == split + "-" + sides


def overlap_of(mine: pd.DataFrame, twin: str, headline: str) -> pd.DataFrame:
    """Of each such twin, the overlap with the artifact on the side that is judged."""
    chosen = mine[(mine["twin"] == twin) & judged(mine) & (mine["metric"] == headline)]
    return chosen[[*CASE, "seed", "value"]].rename(columns={"value": "overlap"})


def with_controls(cases: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """The cases, or twins of them, with their controls' prevalence in place of their own: the same where
    other artifacts are planted in controls, else 0."""
    own = set(controls[CASE].itertuples(index=False, name=None))
    keys = cases[CASE].itertuples(index=False, name=None)
    return cases.assign(prevalence=[key[-1] if key in own else 0.0 for key in keys])


def untrained(mine: pd.DataFrame, relying: pd.DataFrame, headline: str) -> float:
    """Mean overlap of the networks before training, of runs and classes in which twins rely, as often as they
    do; NaN without any. Of each run and class one network is explained before, or a few."""
    keys = ["run", "nominal_class", "probe", "plant_on"]
    chosen = mine[judged(mine, "untrained") & (mine["metric"] == headline)]
    means = chosen.groupby(keys, as_index=False)["value"].mean()
    return float(relying[keys].merge(means, on=keys)["value"].mean())


def control_pairs(controls: pd.DataFrame, shown: pd.DataFrame) -> np.ndarray:
    """Overlap of each control of these cases less the next seed's, the last one's less the first's."""
    known = set(with_controls(shown, controls)[CASE].itertuples(index=False, name=None))
    pairs: list[float] = []
    for case, group in controls.groupby(CASE, sort=False):
        overlap = group.sort_values("seed")["overlap"].to_numpy()
        if case in known and len(overlap) > 1:
            pairs.extend(overlap - np.roll(overlap, -1))
    return np.array(pairs)
