"""What a verdict is given on, and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import Interval

Verdict = Literal["relies", "does-not-rely", "inconclusive"]
Answer = Literal["yes", "no", "inconclusive"]
Quadrant = Literal["exposed", "hidden", "false-alarm", "clear", "undecided"]

QUADRANTS: dict[tuple[str, str], Quadrant] = {
    ("relies", "yes"): "exposed",
    ("relies", "no"): "hidden",
    ("does-not-rely", "yes"): "false-alarm",
    ("does-not-rely", "no"): "clear",
}


def _said(words: str) -> Any:
    """What a field is: stands in the published schema and in docs/findings.md."""
    return Field(description=words)


@dataclass(frozen=True)
class FailedTwin:
    """A twin that has no numbers, so that its pair is missing."""

    seed: Annotated[int, _said("Of the pair.")]
    twin: Annotated[str, _said("planted or control.")]
    reason: Annotated[str, _said("Why: its training diverged, ran out of memory or was killed.")]


def said_of(failed: Sequence[FailedTwin]) -> str:
    """Which twins have no numbers, and why."""
    alike: dict[tuple[str, str], list[str]] = {}
    for one in failed:
        alike.setdefault((one.twin, one.reason), []).append(str(one.seed))
    return "; ".join(
        f"the {twin} twin of seed {seeds[0]} has no numbers: {reason}"
        if len(seeds) == 1
        else f"the {twin} twins of seeds {', '.join(seeds)} have no numbers: {reason}"
        for (twin, reason), seeds in alike.items()
    )


@dataclass(frozen=True)
class Evidence:
    """What one question is judged on: a detector, a side and a prevalence, all seeds.

    planted, control: scores by seed. overlaps: by explainer and measure, how far the heatmaps coincide
    with the artifact's mask on each marked test image, (planted, control), each (seeds, images).
    chance: each measure's chance level, or None. untrained: by explainer and measure, of the network before
    training. references: the explainers that know nothing of the model. either_way: those that also show what
    lowers the score.
    obstacle: why the twins can't differ, or no verdict is possible otherwise; or None.
    ability: of a found artifact, the better of two mean AUROC: the control's with the artifact removed, and
    the planted twin's as found, which it may be all of. failed: twins without numbers; planted and control
    are without their pairs.
    """

    dataset: str
    nominal_class: str
    detector: str
    probe: str
    plant_on: str
    prevalence: float
    images: int
    planted: list[Scores]
    control: list[Scores]
    overlaps: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]
    chance: dict[str, float | None]
    references: tuple[str, ...] = ()
    either_way: tuple[str, ...] = ()
    obstacle: str | None = None
    untrained: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ability: float | None = None
    failed: tuple[FailedTwin, ...] = ()


@dataclass(frozen=True)
class Overlap:
    """One measure of one explainer: means over marked images and seeds."""

    measure: Annotated[
        str, _said("The measure's name; `_dilated`: on the mask grown by half the map's stride.")
    ]
    chance: Annotated[
        float | None, _said("What a random ranking of the pixels gives; null where there is no such level.")
    ]
    planted: Annotated[Interval, _said("Of the planted twins.")]
    control: Annotated[Interval, _said("Of the control twins.")]
    excess: Annotated[Interval, _said("Planted minus control, paired by image and seed.")]
    untrained: Annotated[
        float | None,
        _said("Of the same explainer on the network before training; null for reference maps."),
    ] = None
    lift: Annotated[
        float | None,
        _said("The planted twins' over chance; null for the pixel AUROC, whose chance is 0.5 for any mask."),
    ] = None


@dataclass(frozen=True)
class Effect:
    """One measure of the scores: means over seeds."""

    measure: Annotated[str, _said("The measure's name.")]
    planted: Annotated[Interval, _said("Of the planted twins.")]
    control: Annotated[Interval, _said("Of the control twins.")]
    difference: Annotated[Interval, _said("Planted minus control, paired by seed.")]


@dataclass(frozen=True)
class ExplainerFinding:
    """Does this explanation show the artifact, beyond the control's?"""

    explainer: Annotated[str, _said("Its name.")]
    reference: Annotated[bool, _said("Whether it is a reference map that knows nothing of the model.")]
    reveals: Annotated[
        Answer, _said("Does it show the artifact beyond the control; `inconclusive` where it isn't judged.")
    ]
    excess_pixel_auroc: Annotated[
        Interval,
        _said("Planted minus control, in [-1, 1]; of a finished detector, beyond the placebos' median."),
    ]
    quadrant: Annotated[Quadrant, _said("Verdict and answer together; `undecided` where one is open.")]
    agreement: Annotated[
        float | None,
        _said(
            "Spearman's correlation of excess and reliance over the detector's seeds and prevalences;"
            " null with too few."
        ),
    ]
    overlaps: Annotated[tuple[Overlap, ...], _said("Its numbers, measure by measure.")]
    images: Annotated[
        int, _said("How many images bear the artifact, so that the overlap could be measured.")
    ] = 0
    judged: Annotated[
        bool,
        _said(
            "Whether it can be asked what it shows. Reference maps explain nothing. A map of what "
            "raises the score can't show an artifact that lowers it."
        ),
    ] = True


@dataclass(frozen=True)
class Finding:
    """The answer for one detector, side and prevalence."""

    dataset: Annotated[str, _said("The data set.")]
    nominal_class: Annotated[str, _said("The class that is nominal.")]
    detector: Annotated[str, _said("The detector.")]
    probe: Annotated[str, _said("The artifact.")]
    plant_on: Annotated[
        str,
        _said(
            "The direction: where the artifact is in training; of a finished detector, where it would"
            " be a cue."
        ),
    ]
    prevalence: Annotated[
        float | None,
        _said("The share of those training images that bear the artifact; null for a finished detector."),
    ]
    verdict: Annotated[Verdict, _said("Does the score rely on the artifact?")]
    reason: Annotated[str | None, _said("Why there is no clear answer; null where there is one.")]
    reliance: Annotated[
        Interval | None,
        _said(
            "In [-2, 2], usually [-1, 1]. The interval is cut off at what the planted twin could "
            "lose, less what the control does. Null where the twins are identical by construction. Of"
            " a finished detector: AUROC that the artifact costs beyond the placebos' median."
        ),
    ]
    control_auroc: Annotated[
        float | None, _said("Mean AUROC of the control twins on the test images as they are in use.")
    ]
    planted_auroc: Annotated[float | None, _said("The same of the planted twins.")]
    seeds: Annotated[int, _said("Pairs of twins; 0 for a finished detector.")]
    images: Annotated[int, _said("Test images.")]
    explainers: Annotated[
        tuple[ExplainerFinding, ...],
        _said("One for each explainer that works on the detector; empty for an artifact without a place."),
    ]
    effects: Annotated[tuple[Effect, ...], _said("What the scores do, measure by measure.")] = ()
    seeds_relying: Annotated[
        int | None,
        _said("Pairs of twins whose reliance is above the threshold; null where they are identical."),
    ] = None
    minimum_detectable: Annotated[
        float | None,
        _said(
            "The least true reliance that so many seeds and images would have found, with the chance "
            "that `thresholds.power` names. It allows for the number of verdicts given together. Null"
            " without a verdict."
        ),
    ] = None
    seeds_needed: Annotated[
        int | None,
        _said(
            "How many seeds would settle the verdict if estimate and spread stayed as they are. It "
            "allows for the number of verdicts given together. Null where not even 1,000 would."
        ),
    ] = None
    failed: Annotated[
        tuple[FailedTwin, ...],
        _said("Twins without numbers: their pairs are missing from `seeds` and from every number."),
    ] = ()
    design: Annotated[str, _said("What the effect is compared with.")] = "twins"
    placebo: Annotated[
        dict[str, Any] | None, _said("Numbers of the test against placebos (docs/files.md); null for twins.")
    ] = None

    @property
    def lacks_pairs(self) -> bool:
        """Whether there is no verdict for lack of pairs whose training failed: then the reason names them."""
        return bool(self.failed) and said_of(self.failed) in (self.reason or "")

    def as_json(self) -> dict[str, Any]:
        """Plain values; a number that isn't there is None."""
        return without_nan(asdict(self))


def without_nan(value: Any) -> Any:
    """Plain values for JSON, which has no NaN: None in its place."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and np.isnan(value):
        return None
    return value
