"""What an artifact does that is cut out of some images and put on others: its harm, beyond placebos.

Donors, receivers and pairs of twins are crossed: every donor's artifact is put on every receiver, and every
twin scores all of them. A number of such a table has an error from each of the three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.measures.table import Measure, register

DONOR, PLACEBO = "donor-{}", "placebo-{}"  # variants: what the k-th donor bears, and its placebo
UNSEEN = "unseen"  # something that no training image bears


def crossed_scores(scores: Scores, plant_on: str, variant: str) -> np.ndarray | None:
    """Scores of the receivers, with what each donor bears: (donors, receivers); None where nothing was
    transplanted. variant: `DONOR` or `PLACEBO`."""
    side = DIRECTIONS[plant_on].changed
    found: list[np.ndarray] = []
    while (side, variant.format(len(found))) in scores.crossed:
        found.append(scores.crossed[side, variant.format(len(found))])
    return np.stack(found) if found else None


def net_flags(scores: Scores, plant_on: str, limit: float) -> np.ndarray | None:
    """Alarms with the artifact less alarms with the placebo: -1, 0 or 1 for each donor and receiver,
    (donors, receivers). None where nothing was transplanted. limit: alarms have a higher score.

    Net changes only: what merely becomes an alarm by noise ceases to be one as often.
    """
    marked = crossed_scores(scores, plant_on, DONOR)
    placebo = crossed_scores(scores, plant_on, PLACEBO)
    if marked is None or placebo is None:
        return None
    return (marked > limit).astype(float) - (placebo > limit)


def all_flags(twins: Sequence[Scores], plant_on: str, limits: Sequence[float]) -> np.ndarray | None:
    """The same of several twins, (twins, donors, receivers)."""
    found = [net_flags(scores, plant_on, limit) for scores, limit in zip(twins, limits, strict=True)]
    known = [one for one in found if one is not None]
    return np.stack(known) if known and len(known) == len(found) else None


def _errors(x: np.ndarray) -> np.ndarray:
    """What pairs, donors and receivers each add to the variance of the mean of x, (pairs, donors, receivers).

    The variance of each one's means over its number; that of receivers is at least what one receiver more or
    less would change, since alarms that are all alike have no scatter."""
    found = []
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        means = x.mean(axis=others)
        found.append(float(means.var(ddof=1)) / len(means) if len(means) > 1 else math.nan)
    found[2] = max(found[2], 1 / x.shape[2] ** 2)
    return np.array(found)


def _spread(x: np.ndarray) -> tuple[float, float]:
    """Standard error of the mean, and its degrees of freedom (Satterthwaite 1946)."""
    errors = _errors(x)
    total = float(errors.sum())
    freedom = total**2 / float((errors**2 / (np.array(x.shape) - 1)).sum())
    return math.sqrt(total), freedom


def crossed_interval(
    x: np.ndarray, tails: tuple[float, float], bounds: tuple[float, float] = (-1, 1)
) -> Interval:
    """The mean of x, (pairs, donors, receivers), with its limits, cut off at `bounds`; for new pairs, donors
    and receivers like these. tails: the chance to err below and above. NaN limits where one of them is
    single.
    """
    value = float(x.mean())
    if min(x.shape) < 2:
        return Interval(value, math.nan, math.nan)
    error, freedom = _spread(x)
    low, high = (
        value + sign * error * float(special.stdtrit(freedom, 1 - tail))
        for sign, tail in zip((-1, 1), tails, strict=True)
    )
    return Interval(value, *(float(np.clip(limit, *bounds)) for limit in (low, high)))


def crossed_p_value(x: np.ndarray, limit: float, above: bool) -> float:
    """One-sided p-value that the mean of x, (pairs, donors, receivers), isn't above (below) `limit`; 1 where
    one of them is single."""
    if min(x.shape) < 2:
        return 1.0
    error, freedom = _spread(x)
    distance = float(x.mean()) - limit
    return float(special.stdtr(freedom, -(distance if above else -distance) / error))


def passing(control: Sequence[Scores], plant_on: str, rates: Sequence[float], least: float) -> float | None:
    """The least of `rates`, shares of nominal validation images that are let to raise an alarm, at which the
    control twins catch at least the share `least` of the anomalous receivers as they are; None where none
    does, or the receivers are nominal."""
    if DIRECTIONS[plant_on].changed == "nominal":
        return None
    for rate in rates:
        caught = [
            float((scores.split("usual", plant_on)[1] > np.quantile(scores.validation, 1 - rate)).mean())
            for scores in control
        ]
        if np.mean(caught) >= least:
            return rate
    return None


def _caught(twins: list[Scores], plant_on: str, limits: list[float], variant: str) -> np.ndarray | None:
    found = [crossed_scores(scores, plant_on, variant) for scores in twins]
    if any(one is None for one in found):
        return None
    return np.array(
        [float((one > limit).mean()) for one, limit in zip(found, limits, strict=True) if one is not None]
    )


def alarms_transplanted(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray | None:
    """Share of alarms among the receivers with the artifact of each donor put on them."""
    return _caught(twins, plant_on, limits, DONOR)


WITH_ARTIFACT = register(
    Measure(
        name="alarms_transplanted",
        label="alarms, artifact transplanted",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=alarms_transplanted,
        source=None,
        family="scores",
        row=("transplanted", "alarms"),
    )
)


def alarms_placebo(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray | None:
    """The same with what another image without the artifact has in its place."""
    return _caught(twins, plant_on, limits, PLACEBO)


WITH_PLACEBO = register(
    Measure(
        name="alarms_placebo",
        label="alarms, placebo transplanted",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=alarms_placebo,
        source=None,
        family="scores",
        row=("transplanted-placebo", "alarms"),
    )
)


def alarms_unseen(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray | None:
    """The same with something that no training image bears, as far from the placebo as the artifact, the
    other way: what novelty alone does."""
    side = DIRECTIONS[plant_on].changed
    if not all((side, UNSEEN) in scores.crossed for scores in twins):
        return None
    return np.array(
        [
            float((scores.crossed[side, UNSEEN] > limit).mean())
            for scores, limit in zip(twins, limits, strict=True)
        ]
    )


WITH_UNSEEN = register(
    Measure(
        name="alarms_unseen",
        label="alarms, something unseen transplanted",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=alarms_unseen,
        source=None,
        family="scores",
        row=("transplanted-unseen", "alarms"),
    )
)


def transplant_harm(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray | None:
    """Share of alarms with the artifact transplanted less that with the placebo, over all donors and
    receivers. Negative: anomalies with it are missed. Positive: nominal images with it raise alarms."""
    found = all_flags(twins, plant_on, limits)
    return None if found is None else found.mean(axis=(1, 2))


HARM = register(
    Measure(
        name="transplant_harm",
        label="harm of the transplanted artifact",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=transplant_harm,
        source=None,
        family="scores",
        row=("transplanted", "harm"),
    )
)
