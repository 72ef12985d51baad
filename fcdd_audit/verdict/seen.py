"""One number a pair of twins over several looks: tests and intervals that are paid for (see `looks`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdd_audit.measures.statistics import Interval, mean_bound, mean_p_value
from fcdd_audit.verdict.looks import Look


@dataclass(frozen=True)
class Seen:
    """One number a pair, as it was seen at each look.

    values: by look, (pairs,). shares: of the error, by look. clear_from: a look with fewer pairs doesn't say
    that the mean is below anything: what few trainings do would not be among them.
    """

    values: tuple[np.ndarray, ...]
    shares: tuple[float, ...]
    clear_from: int = 2

    @property
    def last(self) -> np.ndarray:
        """At the latest look."""
        return self.values[-1]

    def _looks(self, upper: bool) -> list[tuple[np.ndarray, float]]:
        """Those that say something of the mean's lower, or upper, limit."""
        least = self.clear_from if upper else 2
        looks = zip(self.values, self.shares, strict=True)
        return [(values, share) for values, share in looks if len(values) >= least]

    def p_value(self, limit: float, above: bool) -> float:
        """That the mean isn't above (below) `limit`, whenever it is asked: the least over the looks, each
        divided by its share (a sequential p-value)."""
        found = (mean_p_value(values, limit, above) / share for values, share in self._looks(not above))
        return min(1.0, *found, 1.0)

    def interval(self, tails: tuple[float, float], bounds: tuple[float, float]) -> Interval:
        """The mean at the latest look, and what lies within the limits of all looks, cut off at `bounds`.

        tails: the chance to err below and above; (0.025, 0.025) for one verdict alone. NaN limits with fewer
        than two pairs. Where no look has enough pairs for an upper limit, that of the latest is shown, which
        no answer uses. Limits that contradict each other or leave out the mean, which those tails allow, are
        widened to hold it.
        """
        value = float(np.mean(self.last)) if len(self.last) else float("nan")
        if len(self.last) < 2:
            return Interval(value, float("nan"), float("nan"))
        latest = [(self.last, self.shares[-1])]
        low = max(mean_bound(values, tails[0] * share, False) for values, share in self._looks(False))
        high = min(
            mean_bound(values, tails[1] * share, True) for values, share in self._looks(True) or latest
        )
        return Interval(
            value, *(float(np.clip(limit, *bounds)) for limit in (min(low, value), max(high, value)))
        )


def seen(values: np.ndarray, turns: Sequence[int], looks: Sequence[Look], clear_from: int = 2) -> Seen:
    """What of one number a pair was there at each look.

    values: (pairs,). turns: each pair's place in the order of training, from 0; pairs may be missing.
    """
    places = np.asarray(turns)
    return Seen(
        tuple(values[places < look.pairs] for look in looks),
        tuple(look.share for look in looks),
        clear_from,
    )
