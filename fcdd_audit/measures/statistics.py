"""Resampling and multiplicity. The unit of repetition is the seed; images are resampled within.

The test images are the same for every seed and both twins, so a draw resamples the seeds and, once for
all of them, the images: the pigeonhole bootstrap for crossed factors (Owen 2007, arXiv 0711.1711).
Resampling images anew within each seed would treat 3 x 100 scores as 300 independent images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence limits; `low` and `high` are NaN where there is no interval."""

    value: float
    low: float
    high: float


def image_weights(images: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each image is in each bootstrap draw: (draws, images), rows sum to `images`."""
    return rng.multinomial(images, np.full(images, 1 / images), size=draws).astype(np.float64)


def resample_seeds(per_seed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap means over seeds: (seeds, draws) of per-seed draws to (draws,)."""
    return mean_over(per_seed, rng.integers(len(per_seed), size=per_seed.shape))


def mean_over(per_seed: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean over the chosen seeds of each draw; both (seeds, draws), `chosen` indices. Returns (draws,)."""
    return np.take_along_axis(per_seed, chosen, axis=0).mean(axis=0)


def interval(value: float, draws: np.ndarray, confidence: float) -> Interval:
    """Percentile interval of bootstrap draws, e.g. `confidence` 0.95; draws that are NaN don't count."""
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))


def bootstrap_mean(values: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap draws, (draws,), of the mean of `values`, (seeds, images), without NaN.

    weights: (draws, images), from `image_weights`; a draw that has none of the images is NaN.
    """
    with np.errstate(invalid="ignore"):
        return resample_seeds(values @ weights.T / weights.sum(axis=1), rng)


def tail_share(draws: np.ndarray, limit: float, above: bool) -> float:
    """One-sided bootstrap p-value that the quantity isn't above (below) `limit`, in (0, 1]."""
    against = (draws <= limit) if above else (draws >= limit)
    return float((against.sum() + 1) / (len(draws) + 1))


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    adjusted = np.empty(count)
    running = 0.0
    for position, index in enumerate(order):
        running = max(running, min(1.0, (count - position) * p_values[index]))
        adjusted[index] = running
    return adjusted.tolist()


MIN_AGREEMENT = 5  # a rank correlation of fewer points says nothing


def agreement(overlap: np.ndarray, reliance: np.ndarray) -> float | None:
    """Spearman rank correlation, in [-1, 1], of overlap and reliance over cells, both (cells,).

    None with fewer than 5 cells or where one of them doesn't vary.
    """
    if len(overlap) < MIN_AGREEMENT or np.ptp(overlap) == 0 or np.ptp(reliance) == 0:
        return None
    return float(stats.spearmanr(overlap, reliance).statistic)
