"""Intervals and tests of a mean over pairs of twins, and multiplicity.

The unit is the pair of twins: each gives one number, and the mean's error is told from how they scatter
(Student's t). The test images are the same for every pair, so that what is said holds for these images.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from fcdd_audit.measures.table import Measure, register

MOST_PAIRS, MOST_IMAGES = 1000, 20_000  # that are looked for


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence limits; `low` and `high` are NaN where there is no interval."""

    value: float
    low: float
    high: float


def interquartile_range(values: np.ndarray) -> float:
    """Distance of the quartiles of (N,) values; NaN where it is 0, so that nothing is measured in it."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) if high > low else float("nan")


def mean_bound(values: np.ndarray, tail: float, upper: bool) -> float:
    """Student's t limit of the mean of independent `values`, (n,): the mean lies beyond it with a chance of
    `tail`, in (0, 0.5]. NaN with fewer than 2 values, or where one is NaN."""
    if len(values) < 2:
        return float("nan")
    margin = _error(values) * float(special.stdtrit(len(values) - 1, 1 - tail))
    return float(values.mean()) + (margin if upper else -margin)


def mean_p_value(values: np.ndarray, limit: float, above: bool) -> float:
    """One-sided p-value that the mean of independent `values`, (n,), isn't above (below) `limit` (Student's
    t). 1 with fewer than 2 values, or where one is NaN; values without any scatter are taken as sure."""
    if len(values) < 2 or np.isnan(values).any():
        return 1.0
    distance = float(values.mean()) - limit
    distance = distance if above else -distance
    error = _error(values)
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(special.stdtr(len(values) - 1, -distance / error))


def _error(values: np.ndarray) -> float:
    """Standard error of the mean."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def pairs_needed(values: np.ndarray, limit: float, tail: float) -> int | None:
    """How many values would tell the mean from `limit`, were mean and scatter to stay as they are, with a
    chance of `tail` to be wrong. None: over 1,000, or it can't be said."""
    if len(values) < 2 or np.isnan(values).any():
        return None
    distance, scatter = abs(float(values.mean()) - limit), float(np.std(values, ddof=1))
    counts = range(len(values), MOST_PAIRS + 1)
    enough = bisect_left(
        counts, True, key=lambda n: bool(scatter / math.sqrt(n) * special.stdtrit(n - 1, 1 - tail) < distance)
    )
    return counts[enough] if enough < len(counts) else None


def interval(
    value: float, draws: np.ndarray, confidence: float, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Interval:
    """Percentile interval of draws, e.g. `confidence` 0.95, cut off at what is possible."""
    tail = (1 - confidence) / 2
    low, high = np.clip(np.quantile(draws, [tail, 1 - tail]), *bounds)
    return Interval(float(value), float(low), float(high))


def holm(p_values: list[float]) -> list[float]:
    """p-values with Holm's step-down correction for their number.

    In the order given (Holm 1979).
    """
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    adjusted = np.empty(count)
    running = 0.0
    for position, index in enumerate(order):
        running = max(running, min(1.0, (count - position) * p_values[index]))
        adjusted[index] = running
    return adjusted.tolist()


def holm_steps(p_values: list[float], tail: float, others: int = 0) -> list[int]:
    """By how much Holm's procedure multiplies each p-value before it compares it with `tail`: by the number
    of those not rejected before it; one is rejected where the product is at most `tail` (Holm 1979). What
    isn't rejected has the number of all that aren't. In the order given.

    others: further p-values that belong to the family and aren't known yet.
    """
    steps = [0] * len(p_values)
    left = len(p_values) + others
    for index in np.argsort(p_values, kind="stable"):
        steps[index] = left
        left -= p_values[index] * left <= tail
    return steps


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """The mean of at least 2 independent values with Student's t interval."""
    tail = (1 - confidence) / 2
    return Interval(
        float(values.mean()), mean_bound(values, tail, upper=False), mean_bound(values, tail, upper=True)
    )


def share(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """A share with its exact interval (Clopper and Pearson 1934); NaN without trials."""
    if trials == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    exact = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    return Interval(hits / trials, float(exact.low), float(exact.high))


def share_p_value(hits: int, trials: int, limit: float, above: bool) -> float:
    """Exact one-sided p-value that a share isn't above (below) `limit`, in (0, 1), of `hits` among `trials`
    independent images (binomial). 1 without trials."""
    if trials == 0:
        return 1.0
    tail = stats.binom.sf(hits - 1, trials, limit) if above else stats.binom.cdf(hits, trials, limit)
    return float(tail)


def images_needed(hits: int, trials: int, limit: float, tail: float) -> int | None:
    """How many images would tell a share from `limit`, were it to stay at hits / trials, with a chance of
    `tail` to be wrong. None: over 20,000, or without images."""
    if trials == 0:
        return None
    counts = np.arange(trials, MOST_IMAGES + 1)
    at = np.rint(counts * hits / trials).astype(int)
    if hits / trials > limit:
        found = stats.binom.sf(at - 1, counts, limit) <= tail
    else:
        found = stats.binom.cdf(at, counts, limit) <= tail
    return int(counts[found.argmax()]) if found.any() else None


MIN_AGREEMENT = 5  # a rank correlation of fewer points says nothing


def agreement(overlap: np.ndarray, reliance: np.ndarray) -> float | None:
    """Spearman's rank correlation of excess overlap and reliance over pairs of twins.

    overlap, reliance: (pairs,). None with fewer than 5 pairs or where one of them doesn't vary.
    """
    if len(overlap) < MIN_AGREEMENT or np.ptp(overlap) == 0 or np.ptp(reliance) == 0:
        return None
    return float(stats.spearmanr(overlap, reliance).statistic)


register(
    Measure(
        name="agreement",
        label="agreement of overlap with reliance",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=agreement,
        source="Spearman 1904",
        family="pairs",
        row=None,
    )
)
