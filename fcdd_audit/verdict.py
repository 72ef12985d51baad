"""From numbers to findings. The only place with thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from fcdd_audit.measures import reliance as rely
from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.statistics import (
    Interval,
    agreement,
    bootstrap_mean,
    holm,
    image_weights,
    interval,
    tail_share,
)
from fcdd_audit.seeding import numpy_generator

Verdict = Literal["relies", "does-not-rely", "inconclusive"]
Answer = Literal["yes", "no", "inconclusive"]
Quadrant = Literal["exposed", "hidden", "false-alarm", "clear", "undecided"]

HEADLINE = "pixel_auroc"  # the measure that decides whether an explanation shows the artifact

QUADRANTS: dict[tuple[str, str], Quadrant] = {
    ("relies", "yes"): "exposed",
    ("relies", "no"): "hidden",
    ("does-not-rely", "yes"): "false-alarm",
    ("does-not-rely", "no"): "clear",
}


@dataclass(frozen=True)
class Thresholds:
    """Every constant that a verdict depends on; shown in every report.

    reliance: the score relies on the artifact if its reliance, and the planted twin's own drop, are
        surely above this; it does not if its reliance is surely below.
    reveal: the same for the excess pixel AUROC of an explanation.
    confidence: of all intervals.
    min_seeds: with fewer, every answer is inconclusive.
    usable_auroc: a control below this mean clean AUROC is no working detector and gets no verdict.
    room: reliance can't exceed the planted twin's clean AUROC less the control's drop; with less than
        this, "does not rely" isn't said.
    reveal_room: excess can't exceed 1 less the control's pixel AUROC; with less than this, it isn't
        said that an explanation doesn't show the artifact.
    score_quantile: of the nominal validation scores, the frozen decision threshold.
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
    draws: int = 2000


@dataclass(frozen=True)
class Evidence:
    """What one question is judged on: a detector, a side and a prevalence, all seeds.

    planted, control: scores by seed. overlaps: by explainer and measure, how far the heatmaps coincide
    with the artifact's mask on each stamped test image, (planted, control), each (seeds, images).
    chance: each measure's chance level. references: the explainers that know nothing of the model.
    identical: why the twins can't differ, or None.
    """

    dataset: str
    nominal_class: str
    detector: str
    probe: str
    plant_on: str
    prevalence: float
    images: int
    planted: list[rely.Scores]
    control: list[rely.Scores]
    overlaps: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]
    chance: dict[str, float]
    references: tuple[str, ...] = ()
    identical: str | None = None


@dataclass(frozen=True)
class Overlap:
    """One measure of one explainer: mean over stamped images and seeds. `excess`: planted minus control."""

    measure: str
    chance: float
    planted: Interval
    control: Interval
    excess: Interval


@dataclass(frozen=True)
class ExplainerFinding:
    """Does this explanation show the artifact, beyond the control's? `excess_pixel_auroc`: in [-1, 1].

    An artifact planted on the nominal side lowers the score, which a map of what raises the score can't
    show: reveals is inconclusive then. Reference maps have no quadrant (undecided).

    agreement: Spearman correlation of excess and reliance over the detector's seeds and prevalences, or
    None where there are too few.
    """

    explainer: str
    reference: bool
    reveals: Answer
    excess_pixel_auroc: Interval
    quadrant: Quadrant
    agreement: float | None
    overlaps: tuple[Overlap, ...]


@dataclass(frozen=True)
class Finding:
    """The answer for one detector, side and prevalence. `reason` says why, where there is no clear answer."""

    dataset: str
    nominal_class: str
    detector: str
    probe: str
    plant_on: str
    prevalence: float
    verdict: Verdict
    reason: str | None
    reliance: Interval | None
    control_auroc: float | None
    planted_auroc: float | None
    seeds: int
    images: int
    explainers: tuple[ExplainerFinding, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values; a number that isn't there is None."""
        return _without_nan(asdict(self))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and np.isnan(value):
        return None
    return value


def answer(interval: Interval, limit: float) -> Answer:
    """yes if the whole interval is above the limit, no if below, else inconclusive."""
    if interval.low > limit:
        return "yes"
    return "no" if interval.high < limit else "inconclusive"


def _no_interval(value: float) -> Interval:
    return Interval(value, float("nan"), float("nan"))


@dataclass(frozen=True)
class _Trial:
    """Reliance of one piece of evidence, before the correction for several."""

    interval: Interval
    p_above: float
    p_own_drop: float
    p_below: float


def _try_reliance(evidence: Evidence, limits: Thresholds, draws_needed: int) -> _Trial:
    draws = rely.reliance_draws(
        evidence.planted,
        evidence.control,
        evidence.plant_on,
        draws_needed,
        numpy_generator(0, "bootstrap of reliance"),
    )
    value = rely.reliance(evidence.planted, evidence.control, evidence.plant_on).mean()
    return _Trial(
        interval(value, draws.reliance, limits.confidence),
        p_above=tail_share(draws.reliance, limits.reliance, above=True),
        p_own_drop=tail_share(draws.planted_drop, limits.reliance, above=True),
        p_below=tail_share(draws.reliance, limits.reliance, above=False),
    )


def _obstacle(evidence: Evidence, limits: Thresholds) -> str | None:
    """Why no verdict can be given, whatever the reliance; None if one can."""
    if evidence.identical:
        return evidence.identical
    seeds = len(evidence.planted)
    if seeds < limits.min_seeds:
        return f"{seeds} seed(s) give no interval; at least {limits.min_seeds} are needed"
    usable = _clean_auroc(evidence.control)
    if usable < limits.usable_auroc:
        return (
            f"not a working detector here: the control's clean AUROC is {usable:.3f}, under "
            f"{limits.usable_auroc}"
        )
    return None


def _clean_auroc(twins: list[rely.Scores]) -> float:
    return float(np.mean([auroc(*scores.split("clean", "anomalous")) for scores in twins]))


def _room(evidence: Evidence) -> float:
    """The largest reliance that could have been seen."""
    drops = [rely.drop(scores, evidence.plant_on) for scores in evidence.control]
    return _clean_auroc(evidence.planted) - float(np.mean(drops))


def judge(evidence: list[Evidence], limits: Thresholds) -> list[Finding]:
    """One finding for each piece of evidence, in order.

    The verdict on reliance is corrected for the number of verdicts given together (Holm); the intervals
    shown aren't.
    """
    obstacles = [_obstacle(item, limits) for item in evidence]
    tested = [index for index, obstacle in enumerate(obstacles) if obstacle is None]
    # The smallest p-value, 1 / (draws + 1), must survive the correction.
    draws = max(limits.draws, int(4 * len(tested) / (1 - limits.confidence)))
    trials = {index: _try_reliance(evidence[index], limits, draws) for index in tested}
    # A stamp that merely helps the control is no reliance of the planted twin: its own drop counts too.
    above = [max(trials[index].p_above, trials[index].p_own_drop) for index in tested]
    relies = dict(zip(tested, holm(above), strict=True))
    does_not = dict(zip(tested, holm([trials[index].p_below for index in tested]), strict=True))
    alpha = (1 - limits.confidence) / 2

    def decide(index: int) -> tuple[Verdict, str | None]:
        if obstacles[index] is not None:
            return "inconclusive", obstacles[index]
        if relies[index] < alpha:
            return "relies", None
        if does_not[index] < alpha:
            room = _room(evidence[index])
            if room < limits.room:
                return "inconclusive", (
                    f"saturated: the planted twin's clean AUROC less its control's drop leaves {room:.2f} "
                    f"to lose, under {limits.room}, so that a reliance could not show"
                )
            return "does-not-rely", None
        if trials[index].p_above < alpha <= trials[index].p_own_drop:
            return "inconclusive", (
                "the twins differ because the stamp helps the control; the planted twin's own drop isn't "
                f"surely above {limits.reliance}"
            )
        return (
            "inconclusive",
            f"the reliance isn't surely above or below {limits.reliance} with "
            f"{len(evidence[index].planted)} seeds and {len(tested)} verdict(s) given together; "
            "more seeds narrow it",
        )

    correlations = _agreements(evidence)
    findings = []
    for index, item in enumerate(evidence):
        verdict, reason = decide(index)
        weights = image_weights(item.images, limits.draws, numpy_generator(0, "bootstrap of overlap"))
        findings.append(
            Finding(
                item.dataset,
                item.nominal_class,
                item.detector,
                item.probe,
                item.plant_on,
                item.prevalence,
                verdict,
                reason,
                _shown_reliance(item, trials.get(index)),
                _clean_auroc(item.control) if item.control else None,
                _clean_auroc(item.planted) if item.planted else None,
                len(item.planted),
                item.images,
                tuple(
                    _judge_explainer(item, explainer, verdict, weights, limits, correlations)
                    for explainer in item.overlaps
                ),
            )
        )
    return findings


def _shown_reliance(item: Evidence, trial: _Trial | None) -> Interval | None:
    if trial is not None:
        return trial.interval
    if item.identical:
        return None
    return _no_interval(float(rely.reliance(item.planted, item.control, item.plant_on).mean()))


def _judge_explainer(
    item: Evidence,
    explainer: str,
    verdict: Verdict,
    weights: np.ndarray,
    limits: Thresholds,
    correlations: dict[tuple[str, str], float | None],
) -> ExplainerFinding:
    overlaps = tuple(
        Overlap(
            measure,
            item.chance[measure],
            _mean(planted, weights, limits),
            _mean(control, weights, limits),
            _mean(planted - control, weights, limits),
        )
        for measure, (planted, control) in item.overlaps[explainer].items()
    )
    excess = next(overlap.excess for overlap in overlaps if overlap.measure == HEADLINE)
    reveals = answer(excess, limits.reveal)
    control = next(overlap.control.value for overlap in overlaps if overlap.measure == HEADLINE)
    if reveals == "no" and 1 - control < limits.reveal_room:
        reveals = "inconclusive"  # the control's map already finds the artifact: nothing could exceed it
    reference = explainer in item.references
    if item.plant_on == "nominal" and not reference:
        reveals = "inconclusive"  # the artifact lowers the score; the map shows what raises it
    return ExplainerFinding(
        explainer,
        reference,
        reveals,
        excess,
        "undecided" if reference else QUADRANTS.get((verdict, reveals), "undecided"),
        correlations[item.detector, explainer],
        overlaps,
    )


def _mean(values: np.ndarray, weights: np.ndarray, limits: Thresholds) -> Interval:
    """Mean of (seeds, images) with its interval, over the images that have a value in every seed."""
    defined = ~np.isnan(values).any(axis=0)
    values = values[:, defined]
    if values.size == 0:
        return _no_interval(float("nan"))
    if len(values) < limits.min_seeds:
        return _no_interval(float(values.mean()))
    kept = weights if defined.all() else weights[:, defined]
    draws = bootstrap_mean(values, kept, numpy_generator(0, "bootstrap of seeds"))
    return interval(float(values.mean()), draws, limits.confidence)


def _agreements(evidence: list[Evidence]) -> dict[tuple[str, str], float | None]:
    """Rank correlation of excess overlap with reliance, over a detector's seeds and prevalences."""
    points: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for item in evidence:
        if item.identical:
            continue
        per_seed = rely.reliance(item.planted, item.control, item.plant_on)
        for explainer, measures in item.overlaps.items():
            planted, control = measures[HEADLINE]
            overlap, reliance = points.setdefault((item.detector, explainer), ([], []))
            overlap.extend(np.nanmean(planted - control, axis=1))
            reliance.extend(per_seed)
    return {
        key: agreement(np.array(overlap), np.array(reliance)) for key, (overlap, reliance) in points.items()
    }
