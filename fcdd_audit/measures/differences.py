"""Intervals of a difference: of two means, paired or not, and of two shares."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from fcdd_audit.measures.statistics import Interval, mean_interval

UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


def clipped(found: Interval, low: float, high: float) -> Interval:
    """The interval with its limits cut off at what is possible."""
    return Interval(found.value, float(np.clip(found.low, low, high)), float(np.clip(found.high, low, high)))


def mean_or_value(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """The mean of independent `values`, (n,), with Student's t interval; without limits for one, NaN for
    none."""
    if len(values) > 1:
        return mean_interval(values, confidence)
    return Interval(float(values[0]), float("nan"), float("nan")) if len(values) else UNKNOWN


def unpaired_difference(before: np.ndarray, after: np.ndarray, confidence: float = 0.95) -> Interval:
    """Mean of `after`, (m,), less that of `before`, (n,), with Welch's t interval (Welch 1947).

    Without limits where either has fewer than 2 values, NaN where it has none. Values without any scatter are
    taken as sure.
    """
    if not (len(before) and len(after)):
        return UNKNOWN
    value = float(after.mean() - before.mean())
    if min(len(before), len(after)) < 2:
        return Interval(value, float("nan"), float("nan"))
    errors = [float(np.var(values, ddof=1)) / len(values) for values in (before, after)]
    total = sum(errors)
    if total == 0:
        return Interval(value, value, value)
    # By shares of the total: squares of the errors themselves may be too small for a float.
    freedom = 1 / sum(
        (error / total) ** 2 / (len(values) - 1)
        for error, values in zip(errors, (before, after), strict=True)
    )
    margin = math.sqrt(total) * float(special.stdtrit(freedom, (1 + confidence) / 2))
    return Interval(value, value - margin, value + margin)


def wilson(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """A share with Wilson's score interval, without a correction for continuity (Wilson 1927); NaN without
    trials."""
    if trials == 0:
        return UNKNOWN
    z = float(special.ndtri((1 + confidence) / 2))
    found, spread = hits / trials, z**2 / trials
    middle = (found + spread / 2) / (1 + spread)
    margin = z * math.sqrt(found * (1 - found) / trials + spread / (4 * trials)) / (1 + spread)
    low = 0.0 if hits == 0 else middle - margin
    high = 1.0 if hits == trials else middle + margin
    return Interval(found, low, high)


def hybrid_difference(before: Interval, after: Interval) -> Interval:
    """`after` less `before`, of two independent estimates, from the limits of each: the distances of the
    limits from their estimates are added as squares."""
    value = after.value - before.value
    return Interval(
        value,
        value - math.hypot(after.value - after.low, before.high - before.value),
        value + math.hypot(after.high - after.value, before.value - before.low),
    )


def share_difference(before: tuple[int, int], after: tuple[int, int], confidence: float = 0.95) -> Interval:
    """Share `after` less share `before`, each hits and trials of its own images: the hybrid of two Wilson
    intervals (Newcombe 1998, method 10), which holds whatever the shares are; NaN without trials."""
    return hybrid_difference(wilson(*before, confidence), wilson(*after, confidence))
