"""How far donors stand out from the others, and whether exchanges between the sides do as much."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FLOOR = 0.02  # IQR, added to how an image's windows scatter: less is no difference
TAIL = 0.1  # the strongest share of donors, which the tests are about
LOW = 15  # percentile below the median that says how donors scatter
NORMAL = 1.4826  # a normal distribution's standard deviation, in median absolute deviations
# Of `apart`, for a candidate. Set on FCDD and HSC trained on CIFAR-10 (frogs against all, cats against dogs):
# without artifacts, where they passed the exchange test, they reached 2.6; with discs on a fifth, 6.4 to 18.
APART = 4.0
EXCHANGES = 999


def standing_of(
    first: np.ndarray, estimated: np.ndarray, best: np.ndarray, sign: int
) -> tuple[np.ndarray, np.ndarray]:
    """How far each donor's window stands out, and its strength alone: (D,) each.

    first: effects of all windows where they are chosen, (D, W). estimated: of the chosen ones, `best`, on the
    other receivers. The donor's other windows are those of `first`: their noise isn't that of the estimate.
    """
    middle = np.median(first, axis=1)
    scatter = NORMAL * np.median(np.abs(first - middle[:, None]), axis=1) + FLOOR
    lead = sign * (estimated - middle)
    return lead / scatter, lead / np.sqrt(scatter)


def beyond(donors: np.ndarray, own: np.ndarray) -> float:
    """How much more the strongest tenth of the donors stands out than that of the own donors, each (N,)."""
    return _tail(donors) - _tail(own)


def apart(donors: np.ndarray) -> float:
    """How far the strongest tenth of the donors, (N,), lies from the others; at least 0, typically 2 to 3.

    Distance of the tail's mean from the median, in units of the distance from the 15th percentile to the
    median (1.04 standard deviations of a normal distribution, for which it is 1.7). Shift and scale change
    nothing. A fifth of donors with an artifact hardly moves the unit, as it would one of the upper half.
    """
    low, middle = np.percentile(donors, [LOW, 50])
    return float((_tail(donors) - middle) / max(middle - low, np.finfo(float).tiny))


def exchange_p(
    values: np.ndarray,
    count: int,
    statistic: Callable[[np.ndarray, np.ndarray], float],
    rng: np.random.Generator,
    permutations: int = EXCHANGES,
) -> float:
    """p of a statistic where donors are exchanged between the sides, in (0, 1].

    values: (N,), of the donors, `count`, and then of the own donors. statistic: of both, large where they
    differ. p = (1 + exchanges at least as large) / (1 + exchanges), valid where values are exchangeable.
    """
    observed = statistic(values[:count], values[count:])
    drawn = (rng.permutation(values) for _ in range(permutations))
    large = sum(statistic(mixed[:count], mixed[count:]) >= observed for mixed in drawn)
    return (1 + large) / (1 + permutations)


def _tail(values: np.ndarray) -> float:
    count = max(1, round(TAIL * len(values)))
    return float(np.partition(values, len(values) - count)[-count:].mean())
