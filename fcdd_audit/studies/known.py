"""What is known of a pool: the means over all its pairs, which a single audit only estimates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fcdd_audit.measures.effects import DROP, NEW_ALARMS, SHIFT
from fcdd_audit.measures.reliance import cut
from fcdd_audit.measures.statistics import Interval, mean_interval
from fcdd_audit.studies.pool import Pool
from fcdd_audit.verdict.thresholds import Thresholds

Known = Literal["yes", "no", "unclear"]
NOTHING = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Means:
    """Means over a pool's pairs with Student's t intervals: of what verdicts are about.

    dependence, own_shift: score shift, planted minus control, and the planted twins' own, each pair's cut off
    at 5. alarms, drop: new alarms, and AUROC drop, planted minus control.
    """

    dependence: Interval
    own_shift: Interval
    alarms: Interval
    drop: Interval

    def relied_on(self, limits: Thresholds) -> Known:
        """Whether dependence and own shift are both surely over the threshold, or one surely under it."""
        if min(self.dependence.low, self.own_shift.low) > limits.shift:
            return "yes"
        if min(self.dependence.high, self.own_shift.high) < limits.shift:
            return "no"
        return "unclear"

    def harmless(self, limits: Thresholds) -> Known:
        """Whether alarms and drop are both surely under their thresholds, or one surely over it."""
        if self.alarms.high < limits.no_alarms and self.drop.high < limits.reliance:
            return "yes"
        if self.alarms.low > limits.no_alarms or self.drop.low > limits.reliance:
            return "no"
        return "unclear"

    def clear_is_wrong(self, limits: Thresholds) -> bool:
        """Whether "does not rely" is wrong: the artifact is relied on, and, by the means, not harmless."""
        harms = self.alarms.value > limits.no_alarms or self.drop.value > limits.reliance
        return harms and self.relied_on(limits) == "yes"


UNKNOWN = Means(NOTHING, NOTHING, NOTHING, NOTHING)


def means_of(pool: Pool, limits: Thresholds) -> Means:
    """The means over all pairs; NaN limits with fewer than 2, or where a twin's shift can't be measured."""
    values = (
        cut(pool.differences(SHIFT.name)),
        cut(pool.scores[SHIFT.name][0]),
        pool.differences(NEW_ALARMS.name),
        pool.differences(DROP.name),
    )
    return Means(*(_mean(one, limits.confidence) for one in values))


def _mean(values: np.ndarray, confidence: float) -> Interval:
    if len(values) < 2:
        return Interval(float(values.mean()), NOTHING.low, NOTHING.high)
    return mean_interval(values, confidence)
