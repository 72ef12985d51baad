"""What a verdict looks like: the contents of findings.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np

from fcdd_audit.measures.statistics import Interval
from fcdd_audit.verdict.lowering import LoweringFinding
from fcdd_audit.verdict.remedies import Mending, RemedyFinding
from fcdd_audit.verdict.said import said
from fcdd_audit.verdict.training import Training

Verdict = Literal["relies", "does-not-rely", "vulnerable", "robust", "inconclusive"]
Answer = Literal["yes", "no", "inconclusive"]
Harm = Literal["alarms", "hides", "none", "open"]
Missing = Literal["pairs", "images", "failed-pairs", "working-control", "training", "room", "identical"]
Quadrant = Literal["exposed", "hidden", "false-alarm", "clear", "undecided"]
Half = Literal["raises", "lowers"]

IDENTICAL = "identical by construction"  # begins the reason why twins can't differ
QUADRANTS: dict[tuple[str, str], Quadrant] = {
    ("relies", "yes"): "exposed",
    ("relies", "no"): "hidden",
    ("does-not-rely", "yes"): "false-alarm",
    ("does-not-rely", "no"): "clear",
    ("vulnerable", "yes"): "exposed",
    ("vulnerable", "no"): "hidden",
    ("robust", "yes"): "false-alarm",
    ("robust", "no"): "clear",
}


@dataclass(frozen=True)
class FailedTwin:
    """A twin that has no numbers, so that its pair is missing."""

    seed: Annotated[int, said("Of the pair.")]
    twin: Annotated[str, said("planted or control.")]
    reason: Annotated[str, said("Why: its training diverged, ran out of memory or was killed.")]


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
class Overlap:
    """One measure of one explainer on one side: means over marked images and pairs of twins."""

    side: Annotated[str, said("Of the images: nominal or anomalous.")]
    measure: Annotated[
        str, said("The measure's name; `_dilated`: on the mask grown by half the map's stride.")
    ]
    chance: Annotated[
        float | None, said("What a random ranking of the pixels gives; null where there is no such level.")
    ]
    planted: Annotated[Interval, said("Of the planted twins.")]
    control: Annotated[Interval, said("Of the control twins.")]
    excess: Annotated[
        Interval, said("Planted minus control, by pair of twins and image; not allowed for looks.")
    ]
    untrained: Annotated[
        float | None,
        said("Of the same explainer on the network before training; null for reference maps."),
    ] = None
    lift: Annotated[
        float | None,
        said("The planted twins' over chance; null for the pixel AUROC, whose chance is 0.5 for any mask."),
    ] = None


@dataclass(frozen=True)
class Effect:
    """One measure of the scores: means over pairs. Intervals are for one look at one number."""

    measure: Annotated[str, said("The measure's name.")]
    planted: Annotated[Interval, said("Of the planted twins.")]
    control: Annotated[Interval, said("Of the control twins.")]
    difference: Annotated[Interval, said("Planted minus control, by pair of twins.")]


@dataclass(frozen=True)
class ExplainerFinding:
    """Does this explanation show the artifact, beyond the control's?"""

    explainer: Annotated[str, said("Its name.")]
    reference: Annotated[bool, said("Whether it is a reference map that knows nothing of the model.")]
    reveals: Annotated[
        Answer, said("Does it show the artifact beyond the control; `inconclusive` where it isn't judged.")
    ]
    excess_pixel_auroc: Annotated[
        Interval,
        said(
            "On `side`, planted minus control, in [-1, 1], with the interval that the answer used; of a map "
            "of what lowers the score, of its half that does, and of two baselines the lesser; of a finished "
            "detector, beyond the placebos' mean."
        ),
    ]
    quadrant: Annotated[Quadrant, said("Verdict and answer together; `undecided` where one is open.")]
    agreement: Annotated[
        float | None,
        said(
            "Spearman's correlation of excess and dependence over the detector's pairs and prevalences;"
            " null with too few."
        ),
    ]
    overlaps: Annotated[tuple[Overlap, ...], said("Its numbers, side by side and measure by measure.")]
    images: Annotated[
        int, said("How many images of `side` that bear the artifact were explained, at the latest look.")
    ] = 0
    judged: Annotated[
        bool,
        said(
            "Whether it can be asked what it shows. Reference maps explain nothing. A map of what "
            "raises the score can't show an artifact that lowers it."
        ),
    ] = True
    unjudged: Annotated[str | None, said("Why it can't be asked; null where it can.")] = None
    side: Annotated[
        str | None,
        said("The images that it is judged on: the side that the conflict set changes; null: both."),
    ] = None
    map: Annotated[
        Half,
        said(
            "What is judged of its map: what `raises` the score, of a map without sign all of it; or what "
            "`lowers` it, where an artifact on the nominal side lowers the score."
        ),
    ] = "raises"
    lowering: Annotated[
        LoweringFinding | None,
        said("What of its map lowers the score, for an artifact on the nominal side; null without a sign."),
    ] = None


@dataclass(frozen=True)
class Transplant:
    """What a found artifact does where it is put on images that came without it.

    Every donor's is put on every receiver. Intervals are for new pairs, donors and receivers, and allow for
    the number of verdicts and for looks."""

    side: Annotated[str, said("Of the receivers: nominal or anomalous.")]
    donors: Annotated[
        int, said("Images that it is cut out of; of a mark that a discovery extracted, its places.")
    ]
    receivers: Annotated[int, said("Test images that it is put on.")]
    passing: Annotated[
        float,
        said("Share of the nominal validation images that raise an alarm at the thresholds that are used."),
    ]
    harm: Annotated[
        Interval,
        said(
            "Alarms of the planted twins with the artifact, less with a placebo in its place, as shares in "
            "[-1, 1]; negative: anomalies with it are missed."
        ),
    ]
    attribution: Annotated[Interval, said("The same, less that of the control twins.")]


@dataclass(frozen=True)
class Finding:
    """The answer for one detector, side and prevalence."""

    dataset: Annotated[str, said("The data set.")]
    nominal_class: Annotated[str, said("The class that is nominal.")]
    detector: Annotated[str, said("The detector.")]
    probe: Annotated[str, said("The artifact.")]
    plant_on: Annotated[
        str,
        said(
            "The direction: where the artifact is in training; of a finished detector, where it would"
            " be a cue."
        ),
    ]
    prevalence: Annotated[
        float | None,
        said("The share of those training images that bear the artifact; null for a finished detector."),
    ]
    verdict: Annotated[
        Verdict,
        said(
            "Does the score rely on the artifact? Of a finished detector: is it `vulnerable` or `robust` to "
            "it?"
        ),
    ]
    reason: Annotated[str | None, said("Why there is no clear answer; null where there is one.")]
    reliance: Annotated[
        Interval | None,
        said(
            "The AUROC drop, planted minus control, in [-2, 2]. Null where the twins are identical by "
            "construction. Of a finished detector: the AUROC that the artifact costs, without an interval."
        ),
    ]
    control_auroc: Annotated[
        float | None,
        said(
            "Mean AUROC of the control twins on the test images as they are in use; of a finished detector "
            "its own, without the artifact."
        ),
    ]
    planted_auroc: Annotated[float | None, said("The same of the planted twins.")]
    seeds: Annotated[int, said("Pairs of twins; 0 for a finished detector.")]
    images: Annotated[int, said("Test images.")]
    explainers: Annotated[
        tuple[ExplainerFinding, ...],
        said("One for each explainer that works on the detector; empty for an artifact without a place."),
    ]
    effects: Annotated[tuple[Effect, ...], said("What the scores do, measure by measure.")] = ()
    harm: Annotated[
        Harm | None,
        said(
            "What the artifact does at the frozen threshold beyond the control: nominal images raise "
            "`alarms`, anomalies hide (`hides`), `none`, or it is `open`; null where nothing can be judged. "
            "Of a finished detector: what it does by itself."
        ),
    ] = None
    dependence: Annotated[
        Interval | None,
        said(
            "Score shift, planted minus control, each pair's cut off at 5, in inter-quartile ranges of the "
            "nominal scores. Its interval is the one that the verdict used. Of a finished detector: its own "
            "shift, positive where the score rises, without an interval; null where scores are clipped."
        ),
    ] = None
    alarms: Annotated[
        Interval | None,
        said(
            "New alarms (of an artifact on the nominal side: anomalies that hide), planted minus control, in "
            "[-1, 1]. Its interval is the one that `harm` used, unless there are `transplants`. Of a "
            "finished detector: its own, in [0, 1]."
        ),
    ] = None
    pairs_relying: Annotated[
        int | None, said("Pairs whose dependence, and planted twin's own shift, are above the threshold.")
    ] = None
    pairs_harmed: Annotated[int | None, said("Pairs whose new alarms are above the threshold.")] = None
    missing: Annotated[
        Missing | None,
        said(
            "What a clear answer lacks: more `pairs` or `images`; `failed-pairs`; a `working-control`; "
            "enough `training` of the control; `room` to lose; the twins are `identical` by construction. "
            "Null with one."
        ),
    ] = None
    pairs_needed: Annotated[
        int | None,
        said(
            "How many pairs would settle the verdict if mean and scatter stayed as they are. It allows for "
            "looks and for the number of verdicts. Null where not even 1,000 would, or none are missing."
        ),
    ] = None
    images_needed: Annotated[
        int | None,
        said(
            "Of a finished detector: how many images of the side would settle the verdict if the share "
            "stayed as it is. Null where not even 20,000 would, or none are missing."
        ),
    ] = None
    specific: Annotated[
        Answer | None,
        said(
            "Of a finished detector: does the artifact turn more decisions wrong than placebos do? Null of "
            "twins, and where there are no placebos."
        ),
    ] = None
    looks: Annotated[tuple[int, ...], said("After how many pairs it was judged.")] = ()
    failed: Annotated[
        tuple[FailedTwin, ...],
        said("Twins without numbers: their pairs are missing from `seeds` and from every number."),
    ] = ()
    transplants: Annotated[
        tuple[Transplant, ...],
        said(
            "Of an artifact that is put on images which came without it: at the frozen thresholds first, and "
            "at lower ones where the control catches under 30 % of the anomalies at those. Empty else, and "
            "where the control's AUROC is under 0.7."
        ),
    ] = ()
    training: Annotated[
        Training | None,
        said(
            "Whether the control twins were trained enough: to be read first, beside a clear verdict too. "
            "Null of a finished detector, and where there are no pairs."
        ),
    ] = None
    design: Annotated[str, said("What the effect is compared with.")] = "twins"
    finished: Annotated[
        dict[str, Any] | None,
        said("Numbers of the test of a finished detector (docs/files.md); null of twins."),
    ] = None
    remedies: Annotated[
        tuple[RemedyFinding, ...],
        said("What remedies do; empty where none were asked for, or there is nothing to mend."),
    ] = ()
    mending: Annotated[
        Mending | None,
        said("Which remedy is recommended, or why none is; null where none were asked for."),
    ] = None

    @property
    def settled(self) -> bool:
        """Whether more pairs of twins wouldn't change the verdict on the score."""
        return self.missing not in ("pairs", "failed-pairs", "training")

    @property
    def open(self) -> tuple[str, ...]:
        """What is asked and has no answer yet: `score`, `harm`, and explainers by name."""
        if not self.settled:
            return ("score",)
        if self.verdict == "inconclusive":
            return ()
        explanations = (
            one.explainer for one in self.explainers if one.judged and one.reveals == "inconclusive"
        )
        return (*(["harm"] if self.harm == "open" and self.verdict == "relies" else []), *explanations)

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
