"""Separation and agreement, with a bootstrap over twins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.measures.detection import placements
from fcdd_audit.measures.statistics import MIN_AGREEMENT, Interval, interval
from fcdd_audit.studies.compare.reading import CASE

DRAWS = 2000


def separation(relying: pd.DataFrame, controls: pd.DataFrame, confidence: float) -> Interval:
    """Within a run, class, artifact and direction, relying twins against their controls; the mean over all
    such pairs. relying: with its controls' prevalence (`with_controls`)."""
    groups = []
    for key, group in relying.groupby(CASE, sort=False):
        here = controls[(controls[CASE] == list(key)).all(axis=1)]
        if len(here):
            groups.append((here["overlap"].to_numpy(), group["overlap"].to_numpy()))
    if not groups:
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = numpy_generator(0, "bootstrap of separation")
    pairs = np.array([len(control) * len(twins) for control, twins in groups])

    def mean(chosen: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
        found = [placements(control, twins)[1].mean() for control, twins in chosen]
        return float(np.average(found, weights=pairs))

    draws = [
        mean(
            [(rng.choice(control, len(control)), rng.choice(twins, len(twins))) for control, twins in groups]
        )
        for _ in range(DRAWS)
    ]
    return _bootstrapped(mean(groups), np.array(draws), confidence, (0, 1))


def _bootstrapped(
    value: float, draws: np.ndarray, confidence: float, bounds: tuple[float, float]
) -> Interval:
    """No limits where all draws are the same: so few twins say nothing of how sure that is."""
    if len(draws) == 0 or np.ptp(draws) == 0:
        return Interval(value, float("nan"), float("nan"))
    return interval(value, draws, confidence, bounds)


def agreement(planted: pd.DataFrame, confidence: float) -> Interval:
    """Rank correlation over planted twins, with a bootstrap over them; NaN for fewer than 5, or where one of
    the two doesn't vary."""
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    pair = planted[["excess", "dependence"]].to_numpy().T
    if pair.shape[1] < MIN_AGREEMENT or (np.ptp(pair, axis=1) == 0).any():
        return nothing
    rng = numpy_generator(0, "bootstrap of agreement")
    drawn = pair[:, rng.integers(pair.shape[1], size=(DRAWS, pair.shape[1]))]  # (2, draws, twins)
    ranks = stats.rankdata(drawn, axis=2)
    centred = ranks - ranks.mean(axis=2, keepdims=True)
    spread = np.sqrt(np.square(centred).sum(axis=2).prod(axis=0))
    draws = (centred[0] * centred[1]).sum(axis=1)[spread > 0] / spread[spread > 0]
    return _bootstrapped(float(stats.spearmanr(*pair).statistic), draws, confidence, (-1, 1))
