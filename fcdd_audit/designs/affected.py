"""The images that a page shows of a side: those that the artifact affects most, in the median and least."""

from __future__ import annotations

import numpy as np

MOST, MEDIAN, LEAST, OTHER = "most", "median", "least", "other"
SHOWN = 3  # images of a side, at most
ORDER = (MOST, MEDIAN, LEAST, OTHER)


def by_affect(moved: np.ndarray) -> list[tuple[int, str]]:
    """Places of the most, the median and the least affected image, and which of them it is.

    moved: (N,), how far the artifact moves each score the wrong way. Of an even number the median is the more
    affected of the middle two. Of fewer than three images each stands once, as the most affected first.
    """
    ranked = np.argsort(-moved, kind="stable").tolist()
    found = {MOST: ranked[:1], LEAST: ranked[-1:], MEDIAN: ranked[(len(ranked) - 1) // 2 :][:1]}
    once = {place: why for why in (MEDIAN, LEAST, MOST) for place in found[why]}  # the last one counts
    return sorted(once.items(), key=lambda one: ORDER.index(one[1]))
