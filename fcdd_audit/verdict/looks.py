"""Looking more than once: when pairs of twins are judged, and how that is paid for.

Pairs are trained in planned looks, and a question that is settled at one of them needs no more. Each look
spends a share of the error that a verdict may have: the increments of the spending function of Pocock's kind
(Lan & DeMets 1983), ln(1 + (e - 1) t) with t the share of all planned pairs. An answer is given at a look
where the test holds at that look's share alone. The shares add up to 1, so that, by Boole's inequality, all
looks together err no more often than one would, whatever is decided in between: no distribution of test
statistics over several looks is assumed. The limits at all looks up to a given one hold together; what lies
within all of them is the interval (a confidence sequence with planned looks).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FIRST_LOOKS = (4, 6, 8, 12, 16)  # pairs; beyond, half as many again each time


@dataclass(frozen=True)
class Look:
    """pairs: how many are judged. share: of the error, in (0, 1], that is spent on it."""

    pairs: int
    share: float


def planned_looks(most: int) -> tuple[Look, ...]:
    """The looks up to `most` pairs, which is the last of them. ValueError without any pair."""
    if most < 1:
        raise ValueError(f"at least one pair is needed, not {most}")
    counts = list(FIRST_LOOKS)
    while counts[-1] < most:
        counts.append(counts[-1] * 3 // 2)
    counts = [*(count for count in counts if count < most), most]
    spent = [math.log1p((math.e - 1) * count / most) for count in counts]
    return tuple(
        Look(count, now - before) for count, now, before in zip(counts, spent, [0.0, *spent], strict=False)
    )


def single_look(pairs: int) -> tuple[Look, ...]:
    """One look at a number of pairs that was fixed beforehand: nothing is paid."""
    return (Look(pairs, 1.0),)
