"""How sure a repeated content is: its strength among null searches, over all that was searched at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdd_audit.discovery.repeats import Family, Window, strengths, windows_of

NARROW = 0.3  # least range between the median and the 95 % quantile of a family's null searches
USUAL, RARE = 0.5, 0.95  # quantiles of a family's strongest windows that set its scale


@dataclass(frozen=True)
class Repeat:
    """The strongest repeated content. bearers: the images that have partners there. strength: on the scale of
    its family's null searches: 0 is their median, 1 their 95 % quantile. p: family-wise, in (0, 1]."""

    family: Family
    window: Window
    bearers: np.ndarray
    strength: float
    p: float


def coins(images: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """bool (1 + draws, images): in the first search no image is mirrored, in the others each by a coin."""
    tossed = generator.random((draws, images)) < 0.5
    return np.vstack([np.zeros((1, images), bool), tossed])


def strongest(families: Sequence[Family], signs: Sequence[np.ndarray], gone: Sequence[np.ndarray]) -> Repeat:
    """The strongest window of all families, with its p-value.

    signs, gone: of each family, as in `strengths`; families of the same images share theirs, and all have as
    many draws. p is the share of all searches, the real one included, whose strongest window is at least as
    strong: of all families, places, sizes and ways to count. It is exact if mirroring any image changes
    nothing in how likely the images are (Westfall & Young 1993, single-step maxT).
    """
    scaled, places, bearers = [], [], []
    for family, own_signs, own_gone in zip(families, signs, gone, strict=True):
        strong, own = strengths(family, own_signs, own_gone)
        most = strong.max(axis=0)
        usual, rare = np.quantile(most, (USUAL, RARE))
        scaled.append((most - usual) / max(NARROW, rare - usual))
        place = int(strong[:, 0].argmax())
        places.append(windows_of(family)[place])
        bearers.append(own[place])
    together = np.stack(scaled).max(axis=0)
    best = int(np.argmax([one[0] for one in scaled]))
    p = float((together >= together[0]).mean())
    return Repeat(families[best], places[best], bearers[best], float(scaled[best][0]), p)
