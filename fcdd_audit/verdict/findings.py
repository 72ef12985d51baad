"""What a verdict is given on, and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import Interval

Verdict = Literal["relies", "does-not-rely", "inconclusive"]
Answer = Literal["yes", "no", "inconclusive"]
Quadrant = Literal["exposed", "hidden", "false-alarm", "clear", "undecided"]
Null = Literal["twins", "placebos"]

QUADRANTS: dict[tuple[str, str], Quadrant] = {
    ("relies", "yes"): "exposed",
    ("relies", "no"): "hidden",
    ("does-not-rely", "yes"): "false-alarm",
    ("does-not-rely", "no"): "clear",
}


@dataclass(frozen=True)
class Evidence:
    """What one question is judged on: a detector, a side and a prevalence, all seeds.

    planted, control: scores by seed. overlaps: by explainer and measure, how far the heatmaps coincide
    with the artifact's mask on each marked test image, (planted, control), each (seeds, images).
    chance: each measure's chance level, or None. untrained: by explainer and measure, of the network before
    training. references: the explainers that know nothing of the model. either_way: those that also show what
    lowers the score.
    identical: why the twins can't differ, or no verdict is possible otherwise; or None.
    ability: of a found artifact, the better of two mean AUROC: the control's with the artifact removed, and
    the planted twin's as found, which it may be all of.
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
    identical: str | None = None
    untrained: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ability: float | None = None


@dataclass(frozen=True)
class Overlap:
    """One measure of one explainer: mean over marked images and seeds. `excess`: planted minus control.

    chance: of a random ranking, or None. untrained: of the same explainer on the network before training,
    mean over images and seeds; None for reference maps.
    """

    measure: str
    chance: float | None
    planted: Interval
    control: Interval
    excess: Interval
    untrained: float | None = None


@dataclass(frozen=True)
class Effect:
    """One measure of the score: mean over seeds. `difference`: planted minus control."""

    measure: str
    planted: Interval
    control: Interval
    difference: Interval


@dataclass(frozen=True)
class ExplainerFinding:
    """Does this explanation show the artifact, beyond the control's? `excess_pixel_auroc`: in [-1, 1].

    judged: whether that can be asked. An artifact planted on the nominal side lowers the score, which a map
    of what raises the score can't show, but one of what moves it either way can; reference maps explain
    nothing. Otherwise reveals is inconclusive, and there is no quadrant (undecided).

    images: how many bear the artifact. agreement: Spearman correlation of excess and reliance over the
    detector's seeds and prevalences, or None where there are too few.
    """

    explainer: str
    reference: bool
    reveals: Answer
    excess_pixel_auroc: Interval
    quadrant: Quadrant
    agreement: float | None
    overlaps: tuple[Overlap, ...]
    images: int = 0
    judged: bool = True


@dataclass(frozen=True)
class Finding:
    """The answer for one detector, side and prevalence. `reason` says why, where there is no clear answer.

    seeds_relying: how many pairs of twins have a reliance above the threshold. minimum_detectable: the least
    true reliance that so many seeds and images would have found, with the chance `Thresholds.power`.
    seeds_needed: how many seeds would settle the verdict, if the estimate and its spread stayed as they
    are; None where that can't be said, or not even 1,000 would. Both allow for the number of verdicts given
    together, as Holm's strictest step does.

    null: what the artifact's effect is compared with. Of a finished detector that is `placebos`: prevalence
    is None and seeds 0, and `placebo` holds the numbers of the placebo test as plain values (docs/files.md).
    """

    dataset: str
    nominal_class: str
    detector: str
    probe: str
    plant_on: str
    prevalence: float | None
    verdict: Verdict
    reason: str | None
    reliance: Interval | None
    control_auroc: float | None
    planted_auroc: float | None
    seeds: int
    images: int
    explainers: tuple[ExplainerFinding, ...]
    effects: tuple[Effect, ...] = ()
    seeds_relying: int | None = None
    minimum_detectable: float | None = None
    seeds_needed: int | None = None
    null: Null = "twins"
    placebo: dict[str, Any] | None = None

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
