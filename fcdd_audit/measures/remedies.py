"""What a remedy removed, and what it cost: from one number a pair before and after it."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from fcdd_audit.measures.detection import rate_above
from fcdd_audit.measures.effects import Twins
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.measures.table import Measure, register


def ratio_interval(over: np.ndarray, under: np.ndarray, confidence: float = 0.95) -> Interval | None:
    """Mean of `over` through mean of `under`, paired, (pairs,) each, with Fieller's interval (Fieller 1954).

    None where it has no finite interval: with fewer than 2 pairs, or where the mean of `under` isn't surely
    another than 0.
    """
    count = len(over)
    if count < 2 or np.isnan(over).any() or np.isnan(under).any():
        return None
    (above, both), (_, below) = np.cov(over, under) / count
    a, b = float(over.mean()), float(under.mean())
    t2 = float(special.stdtrit(count - 1, (1 + confidence) / 2)) ** 2
    square = b**2 - t2 * below
    if square <= 0:
        return None
    middle = a * b - t2 * both
    root = math.sqrt(max(0.0, middle**2 - square * (a**2 - t2 * above)))
    return Interval(a / b, (middle - root) / square, (middle + root) / square)


def removed(before: np.ndarray, after: np.ndarray, confidence: float = 0.95) -> Interval | None:
    """How much of an artifact's effect a remedy removes: 1 - |mean after| / |mean before|, over pairs of
    twins, with the interval that follows from Fieller's; 1: all of it, 0: nothing, below: it adds to it.

    before, after: the effect on the planted and on the remedied twin of each pair, (pairs,). None where the
    effect before isn't surely another than 0.
    """
    ratio = ratio_interval(after, before, confidence)
    if ratio is None:
        return None
    ends = abs(ratio.low), abs(ratio.high)
    least = 0.0 if ratio.low <= 0 <= ratio.high else min(ends)
    return Interval(1 - abs(ratio.value), 1 - max(ends), 1 - least)


REMOVED = register(
    Measure(
        name="removed",
        label="removed by a remedy",
        unit=None,
        bounds=(-math.inf, 1),
        chance=None,
        function=removed,
        source="Fieller 1954",
        family="pairs",
        row=None,
    )
)


def caught(scores: Scores, plant_on: str, limit: float) -> float:
    """Share of the anomalous test images without the artifact whose score passes the threshold `limit`."""
    return rate_above(scores.split("clean", plant_on)[1], limit)


def rise(twins: Twins) -> np.ndarray:
    """How much further a cue moves the score after a remedy than before, without its sign, (pairs,)."""
    before, after = twins
    return np.abs(after) - np.abs(before)
