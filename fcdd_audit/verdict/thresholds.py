"""The only place with thresholds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Every constant that a verdict depends on; shown in every report.

    reliance: the score relies on the artifact if its reliance, and the planted twin's own drop, are
        surely above this; it does not if its reliance is surely below.
    reveal: the same for the excess pixel AUROC of an explanation.
    confidence: of all intervals.
    min_seeds: with fewer, every answer is inconclusive.
    usable_auroc: a control below this mean clean AUROC is no working detector and gets no verdict; of a found
        artifact, see `Evidence.ability`.
    room: reliance can't exceed the planted twin's AUROC in use less the control's drop; with less than
        this, "does not rely" isn't said.
    reveal_room: excess can't exceed 1 less the control's pixel AUROC; with less than this, it isn't
        said that an explanation doesn't show the artifact.
    score_quantile: of the nominal validation scores, the frozen decision threshold.
    power: chance at which the minimum detectable reliance would be found.
    draws: of the bootstrap, at least.
    """

    reliance: float = 0.05
    reveal: float = 0.05
    confidence: float = 0.95
    min_seeds: int = 3
    usable_auroc: float = 0.6
    room: float = 0.2
    reveal_room: float = 0.1
    score_quantile: float = 0.95
    power: float = 0.8
    draws: int = 2000
