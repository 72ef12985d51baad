"""A change in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.text import share
from fcdd_audit.measures.statistics import Interval

COUNTED = {"anomalous": "new alarms", "nominal": "anomalies newly hidden"}  # by the artifact's side


def said_of_alarms(
    named: Sequence[str], plant_on: str, before: float, after: float, difference: Interval
) -> str:
    """`fcdd: new alarms 82 % before, 3 % after: 79 points fewer (60 to 95)`. named: the detector, and the
    class where there are several."""
    what = f"{', '.join(named)}: {COUNTED[DIRECTIONS[plant_on].side]}"
    if math.isnan(difference.value):
        return f"{what} aren't known of both"
    return f"{what} {share(before)} before, {share(after)} after: {points(difference)}"


def points(difference: Interval) -> str:
    """A difference of shares in percentage points: `79 points fewer (60 to 95)`; both ends with their own
    word where the interval holds both."""
    value, ends = _whole(difference.value), (difference.low, difference.high)
    said = _worded(value, "point" if abs(value) == 1 else "points") if value else "no difference"
    if any(math.isnan(end) for end in ends):
        return f"{said} (no interval)"
    low, high = map(_whole, ends)
    if value < 0 and high <= 0:
        return f"{said} ({-high} to {-low})"
    if value > 0 and low >= 0:
        return f"{said} ({low} to {high})"
    return f"{said} ({_worded(low)} to {_worded(high)})"


def _worded(value: int, unit: str = "") -> str:
    word = "" if value == 0 else "fewer" if value < 0 else "more"
    return " ".join(part for part in (str(abs(value)), unit, word) if part)


def _whole(value: float) -> int:
    return round(100 * value)
