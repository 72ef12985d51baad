"""What the test of a finished detector against placebos answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fcdd_audit.core.sides import Side
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.verdict.findings import Answer, Verdict, without_nan


@dataclass(frozen=True)
class SideResult:
    """What the artifact does on the images of one side, next to what placebos do there.

    side: the images that bear it. On `nominal` ones a cue makes them look anomalous, on `anomalous` ones it
    hides them. effect: AUROC lost by it, in [-1, 1]; positive: it misleads. placebo_effects: the same of each
    placebo. excess: effect less their median, in [-2, 2]. p: share of the placebos that cost as much or more,
    the artifact counted with them; p_holm: corrected for both sides.

    shift, placebo_shifts: median paired change of the score, in inter-quartile ranges of the clean nominal
    scores; positive: more anomalous; NaN where that range is 0. shift_p: rank p-value of the shift in the
    direction that misleads, uncorrected; unlike the effect, a shift doesn't saturate.

    `reason` says why there is no clear answer.
    """

    side: Side
    verdict: Verdict
    reason: str | None
    effect: Interval
    placebo_effects: tuple[float, ...]
    excess: Interval
    p: float
    p_holm: float
    shift: float
    placebo_shifts: tuple[float, ...]
    shift_p: float


@dataclass(frozen=True)
class RevealResult:
    """Do the heatmaps of marked nominal images show the artifact, more than they show placebos?

    overlap: mean pixel AUROC with the artifact's mask, in [0, 1]; placebo_overlaps: the same of each placebo.
    excess: overlap less their median, in [-1, 1]. p: rank p-value; p_holm: corrected for all explanations
    asked for together. `reason`: why there is no clear answer.
    """

    reveals: Answer
    reason: str | None
    overlap: Interval
    placebo_overlaps: tuple[float, ...]
    excess: Interval
    p: float
    p_holm: float


@dataclass(frozen=True)
class PlaceboResult:
    """The answer for one detector and artifact.

    verdict: relies if it does on one side, does-not-rely if it doesn't on both, else inconclusive; `reason`
    says why. clean_auroc: of the detector without any mark. likeness: median absolute correlation of the
    placebos' content with the artifact's, in [0, 1]. explanations: by the name that was given; a single one
    is called `explain`; empty if none was asked for.
    """

    verdict: Verdict
    reason: str | None
    clean_auroc: float
    placebos: int
    likeness: float
    seed: int
    nominal_images: int
    anomalous_images: int
    sides: tuple[SideResult, ...]
    explanations: dict[str, RevealResult]

    @property
    def explanation(self) -> RevealResult | None:
        """The one explanation that was asked for; None if none was, or several."""
        found = list(self.explanations.values())
        return found[0] if len(found) == 1 else None

    def as_json(self) -> dict[str, Any]:
        """Plain values; a number that isn't there is None."""
        return without_nan(asdict(self))
