"""Intervals for few seeds and many images, and multiplicity.

The test images are the same for every seed and both twins: seeds and images are crossed factors. A draw
adds to the mean what resampling the images does to it, once for all seeds (Bayesian bootstrap, Rubin 1981),
and what other seeds might do to it: the seeds' standard error times a draw of Student's t. Resampling three
or five seeds instead (Owen 2007, arXiv 0711.1711, for many of both) gives intervals that cover the truth far
too seldom: it can't see beyond the seeds it has, and knows nothing of how uncertain their spread is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from fcdd_audit.measures.table import Measure, register

MOST_SEEDS = 1000  # that are looked for
WEIGHTS_AT_ONCE = 1 << 22


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


def image_weights(images: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of the images in each bootstrap draw, uniform on all that sum to 1: float32 (draws, images)."""
    weights = rng.standard_exponential((draws, images), dtype=np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def student_draws(seeds: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Student's t with `seeds` - 1 degrees of freedom, (draws,): evenly spaced quantiles in random order."""
    quantiles = stats.t.ppf((np.arange(draws) + 0.5) / draws, seeds - 1)
    return rng.permutation(quantiles)


@dataclass(frozen=True)
class Estimate:
    """A number for each seed, and how each image moves its mean over seeds.

    per_seed: (seeds,). influence: for each set of images, (images,), the mean's first-order change when the
    weight of an image in its set grows by one; sums to 0. (Of a mean these are the images' values less
    their mean, of an AUROC the placement values less theirs, DeLong et al. 1988.)
    """

    per_seed: np.ndarray
    influence: tuple[np.ndarray, ...]

    @classmethod
    def of_mean(cls, values: np.ndarray) -> Estimate:
        """The mean over images of `values`, (seeds, images); an image that is NaN for a seed doesn't count.

        NaN without any image that counts.
        """
        counts = ~np.isnan(values).any(axis=0)
        if not counts.any():
            return cls(np.full(len(values), np.nan), (np.zeros(values.shape[1]),))
        per_seed = values[:, counts].mean(axis=1)
        of_image = values[:, counts].mean(axis=0)
        influence = np.zeros(values.shape[1])
        influence[counts] = (of_image - of_image.mean()) / counts.mean()
        return cls(per_seed, (influence,))

    @property
    def value(self) -> float:
        return float(self.per_seed.mean())

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference, paired by seed and image."""
        pairs = zip(self.influence, other.influence, strict=True)
        return Estimate(self.per_seed - other.per_seed, tuple(a - b for a, b in pairs))

    @property
    def spread(self) -> Spread:
        """The standard errors that the seeds and the images give to the mean."""
        of_images = sum(float(np.square(part).sum()) / len(part) ** 2 for part in self.influence)
        return Spread(float(stats.sem(self.per_seed)), float(np.sqrt(of_images)), len(self.per_seed))


def draw(estimates: Sequence[Estimate], draws: int, rng: np.random.Generator) -> np.ndarray:
    """What the means over seeds could also have been: (estimates, draws), all from the same resamples.

    The estimates are of the same images and of the same, at least 2, seeds. Needs 16 MB or one row of
    weights at a time, whatever the number of draws.
    """
    errors = np.array([stats.sem(one.per_seed) for one in estimates])
    values = np.array([one.value for one in estimates])
    student = student_draws(len(estimates[0].per_seed), draws, rng)
    drawn = values[:, None] + errors[:, None] * student
    for parts in zip(*(one.influence for one in estimates), strict=True):
        influence = np.stack(parts, axis=1).astype(np.float32)  # (images, estimates)
        rows = max(1, WEIGHTS_AT_ONCE // len(influence))
        for first in range(0, draws, rows):
            weights = image_weights(len(influence), min(rows, draws - first), rng)
            drawn[:, first : first + rows] += (weights @ influence).T
    return drawn


@dataclass(frozen=True)
class Spread:
    """Standard errors of a mean over `count` seeds, by the seeds and by the images."""

    seeds: float
    images: float
    count: int

    def _error(self, count: int) -> tuple[float, Any]:
        """The standard error with so many seeds, and its distribution (Welch and Satterthwaite)."""
        of_seeds = self.seeds**2 * self.count / count
        total = of_seeds + self.images**2
        if of_seeds == 0:
            return float(np.sqrt(total)), stats.norm()
        return float(np.sqrt(total)), stats.t((count - 1) * (total / of_seeds) ** 2)

    def half_width(self, confidence: float, count: int | None = None) -> float:
        """Of the two-sided interval that so many seeds would give, by default those that there are."""
        error, law = self._error(count or self.count)
        return float(error * law.ppf((1 + confidence) / 2))

    def detectable(self, confidence: float, power: float) -> float:
        """How far from a limit the truth must lie to be told from it with this chance."""
        error, law = self._error(self.count)
        return float(error * (law.ppf((1 + confidence) / 2) + law.ppf(power)))

    def seeds_needed(self, distance: float, confidence: float) -> int | None:
        """The least number of seeds, at least as many as there are, whose interval is shorter than
        `distance` to either side. None: over 1,000, or none, because the images alone make it longer."""
        counts = range(self.count, MOST_SEEDS + 1)
        enough = bisect_left(
            counts, True, key=lambda count: self.half_width(confidence, count) < abs(distance)
        )
        return counts[enough] if enough < len(counts) else None


def interval(
    value: float, draws: np.ndarray, confidence: float, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Interval:
    """Percentile interval of draws, e.g. `confidence` 0.95, cut off at what is possible."""
    tail = (1 - confidence) / 2
    low, high = np.clip(np.quantile(draws, [tail, 1 - tail]), *bounds)
    return Interval(float(value), float(low), float(high))


def tail_share(draws: np.ndarray, limit: float, above: bool) -> float:
    """One-sided p-value that the quantity isn't above (below) `limit`, in (0, 1]; NaN speaks against it."""
    against = ~(draws > limit) if above else ~(draws < limit)
    return float((against.sum() + 1) / (len(draws) + 1))


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


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """The mean of at least 2 independent values with Student's t interval."""
    # Not `stats.t.interval`: it has no interval for values that are all the same.
    margin = stats.sem(values) * stats.t.ppf((1 + confidence) / 2, len(values) - 1)
    mean = float(values.mean())
    return Interval(mean, mean - float(margin), mean + float(margin))


def share(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """A share with its exact interval (Clopper and Pearson 1934); NaN without trials."""
    if trials == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    exact = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    return Interval(hits / trials, float(exact.low), float(exact.high))


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
