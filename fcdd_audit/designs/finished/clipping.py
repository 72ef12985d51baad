"""Scores that can't tell: all alike, or cut off at a least or highest value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcdd_audit.core.errors import InputError

LEAST_SHARE, LEAST_COUNT = 0.02, 5  # of scores at exactly the highest or least value


@dataclass(frozen=True)
class Clipped:
    """Where scores are cut off. low, high: the value, or None. notes: what that means, for people."""

    low: float | None = None
    high: float | None = None
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.notes)


def clipped(scores: np.ndarray) -> Clipped:
    """Whether scores, (N,), are cut off. InputError if all are the same."""
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        raise InputError(
            f"the detector gives all {len(scores)} test images the score {low:g}, so that nothing can be "
            "audited; let it return raw scores"
        )
    at_low, at_high = (int((scores == end).sum()) for end in (low, high))
    notes = tuple(
        f"{count} of {len(scores)} scores are exactly {end:g}, the {word}: they look clipped, so that shifts "
        "aren't given; raw scores would say more."
        for count, end, word in ((at_low, low, "lowest"), (at_high, high, "highest"))
        if _much(count, len(scores))
    )
    return Clipped(
        low if _much(at_low, len(scores)) else None, high if _much(at_high, len(scores)) else None, notes
    )


def _much(count: int, scores: int) -> bool:
    return count >= max(LEAST_COUNT, LEAST_SHARE * scores)
