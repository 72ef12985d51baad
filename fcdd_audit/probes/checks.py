"""Checks of probes' options, with one wording for all."""

from __future__ import annotations

from collections.abc import Sequence

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest


def check_interval(probe: str, interval: str, **options: float) -> None:
    """InputError unless every option is in the interval, written as in mathematics: `(0, 1]`."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    for name, value in options.items():
        above = value > low if interval[0] == "(" else value >= low
        below = value < high if interval[-1] == ")" else value <= high
        if not (above and below):
            raise InputError(f"{probe} {name} is {value}; it must be in {interval}")


def check_choice(probe: str, option: str, value: str, known: Sequence[str]) -> None:
    """InputError unless the option's value is one of `known`."""
    if value not in known:
        raise InputError(
            f"unknown {probe} {option} '{value}'{suggest(value, list(known))} (known: {', '.join(known)})"
        )
