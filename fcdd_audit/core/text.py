"""Numbers as people read them."""

from __future__ import annotations

import math
import re

# Control characters, lone surrogates and what else XML 1.0 can't hold; white space splits words before.
UNFIT = re.compile("[^\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) != 0 else text.lstrip("-")


def share(value: float | None) -> str:
    """A share as a percentage, in whole ones: `98 %`; a dash for none."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.0f} %"


def span(interval: dict[str, float | None] | None, digits: int = 2) -> str:
    """`0.45 (0.40 to 0.49)`, or the value alone where there is no interval."""
    if interval is None:
        return "–"
    value = number(interval["value"], digits)
    if interval["low"] is None:
        return value
    return f"{value} ({number(interval['low'], digits)} to {number(interval['high'], digits)})"


def between(low: float | None, high: float | None) -> str:
    """The numbers from `low` to `high`; None: without an end there."""
    if low is None:
        return "any number" if high is None else f"{plain(high)} or less"
    return f"{plain(low)} or more" if high is None else f"{plain(low)} to {plain(high)}"


def plain(value: float) -> str:
    """Three digits, or as many as its whole part has, with a true minus sign."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def percent(interval: dict[str, float | None] | None) -> str:
    """A share and its interval as percentages: `82.1 % (6.8 to 100.0 %)`; a dash for none."""
    if interval is None or interval["value"] is None:
        return "–"
    value = f"{number(100 * interval['value'], 1)} %"
    low, high = interval["low"], interval["high"]
    return (
        value
        if low is None or high is None
        else f"{value} ({number(100 * low, 1)} to {number(100 * high, 1)} %)"
    )


def duration(seconds: float) -> str:
    """A time in whole seconds, in minutes, or in hours: `45 s`, `2.5 min`, `30 min`, `1.4 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.{int(minutes < 10)}f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"


def one_line(text: str) -> str:
    """The text in one line, without characters that XML 1.0 or a terminal can't show."""
    words = (UNFIT.sub("", word) for word in text.split())
    return " ".join(word for word in words if word)
