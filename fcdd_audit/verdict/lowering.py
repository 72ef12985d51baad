"""Does an explanation show that the artifact lowered the score? Judged on the lowering half of signed maps.

It does where that half finds the artifact's mask both beyond its own level of chance, which is what the same
map has with such a mask on images without the artifact, and beyond the control's. A control that avoids the
artifact is below chance, so that the second alone would say too much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from fcdd_audit.measures.effects import Twins
from fcdd_audit.measures.lowering import (
    LOWERING,
    LOWERING_ABOVE_CHANCE,
    LOWERING_EXCESS,
    SIGNED_RELEVANCE,
)
from fcdd_audit.measures.reliance import CUT, cut
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.verdict.said import said
from fcdd_audit.verdict.seen import Seen
from fcdd_audit.verdict.thresholds import Thresholds

Mean = Callable[[np.ndarray, float, float], Interval]  # of values with these bounds


@dataclass(frozen=True)
class Opinion:
    """What the maps of one explainer say, one number a pair of twins, means over images.

    planted, control: `lowering_pixel_auroc` at the latest look. chance: the planted twins' own. excess:
    planted minus control; above: planted minus chance, each at every look.
    """

    planted: np.ndarray
    control: np.ndarray
    chance: np.ndarray
    excess: Seen
    above: Seen


@dataclass(frozen=True)
class Lowering:
    """What an explainer says lowered the score, on the side that is judged.

    opinions: of the explainer, and of the same with another baseline where it depends on that; all have to
    agree. relevance: `signed_relevance`. change: what the score does when the artifact is taken off the same
    images, median, in inter-quartile ranges of nominal scores. Both of planted and control twins, (pairs,).
    elsewhere: what the artifact does to the planted twins' scores of other images, which no map is judged
    on, likewise, (pairs,): its sign says whether this half of the map is judged. images: how many are judged.
    """

    opinions: tuple[Opinion, ...]
    relevance: Twins
    change: Twins
    elsewhere: np.ndarray
    images: int

    @property
    def lowers(self) -> bool:
        """Whether the artifact lowers the score of other images."""
        return bool(np.mean(cut(self.elsewhere)) < 0)

    @property
    def _asked(self) -> list[Seen]:
        """What has to be above the limit, all of it."""
        return [seen for one in self.opinions for seen in (one.above, one.excess)]

    @property
    def ways(self) -> int:
        """Of saying that it isn't shown."""
        return len(self._asked)

    def p_values(self, limits: Thresholds) -> tuple[float, float]:
        """Of "it shows the artifact", which takes all, and of "it doesn't", which takes one and is corrected
        for that."""
        asked = [replace(one, clear_from=limits.clear_pairs) for one in self._asked]
        shown = max(one.p_value(limits.reveal, True) for one in asked)
        return shown, min(1.0, self.ways * min(one.p_value(limits.reveal, False) for one in asked))

    @property
    def to_exceed(self) -> np.ndarray:
        """The most that the planted twin's map has to exceed, the control's or its own chance, (pairs,)."""
        return max((found for one in self.opinions for found in (one.control, one.chance)), key=np.mean)

    @property
    def excess(self) -> Seen:
        """Of the opinion that finds the artifact least."""
        return min(self.opinions, key=lambda one: float(np.mean(one.excess.last))).excess


@dataclass(frozen=True)
class LoweringOpinion:
    """Pixel AUROC of what lowers the score."""

    planted: Annotated[Interval, said("Of the planted twins.")]
    control: Annotated[Interval, said("Of the control twins.")]
    chance: Annotated[
        Interval, said("The planted twins' own level: on images without the artifact, other images' masks.")
    ]
    above_chance: Annotated[Interval, said("Planted minus chance, by pair; not allowed for looks.")]
    excess: Annotated[Interval, said("Planted minus control, by pair; not allowed for looks.")]


@dataclass(frozen=True)
class LoweringFinding:
    """What an explanation says lowered the score."""

    opinions: Annotated[
        tuple[LoweringOpinion, ...],
        said("Of the explainer, and, where it depends on a baseline that has two, of the same with another."),
    ]
    relevance_planted: Annotated[
        Interval,
        said("Signed relevance in the mask of the planted twins' maps; negative: it lowered the score."),
    ]
    relevance_control: Annotated[Interval, said("The same of the control twins.")]
    change_planted: Annotated[
        Interval,
        said(
            "What the planted twins' scores of the same images do when the artifact is taken off, in "
            "inter-quartile ranges of the nominal scores."
        ),
    ]
    change_control: Annotated[Interval, said("The same of the control twins.")]
    elsewhere: Annotated[
        Interval,
        said(
            "What the artifact does to the planted twins' scores of other images, on which no map is judged, "
            "in inter-quartile ranges, each pair's cut off at 5. Negative: the half that lowers is judged."
        ),
    ]


def lowering_finding(found: Lowering, mean: Mean) -> LoweringFinding:
    """What is said of it. mean: gives the mean of numbers with its interval, each by itself."""
    low, high = LOWERING.bounds
    relevance_planted, relevance_control = (mean(one, *SIGNED_RELEVANCE.bounds) for one in found.relevance)
    change_planted, change_control = (mean(one, -np.inf, np.inf) for one in found.change)
    return LoweringFinding(
        tuple(
            LoweringOpinion(
                mean(one.planted, low, high),
                mean(one.control, low, high),
                mean(one.chance, low, high),
                mean(one.above.last, *LOWERING_ABOVE_CHANCE.bounds),
                mean(one.excess.last, *LOWERING_EXCESS.bounds),
            )
            for one in found.opinions
        ),
        relevance_planted,
        relevance_control,
        change_planted,
        change_control,
        mean(cut(found.elsewhere), -CUT, CUT),
    )
