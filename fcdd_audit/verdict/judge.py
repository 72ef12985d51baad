"""From numbers to findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.measures.detection import threshold
from fcdd_audit.measures.effects import CLEAN_AUROC, DROP, USUAL_AUROC, auroc_estimate
from fcdd_audit.measures.localization import HEADLINE, lift
from fcdd_audit.measures.reliance import Scores, reliance
from fcdd_audit.measures.statistics import (
    Estimate,
    Interval,
    agreement,
    draw,
    holm,
    interval,
    tail_share,
)
from fcdd_audit.measures.table import family, measure_of
from fcdd_audit.verdict.findings import (
    QUADRANTS,
    Answer,
    Effect,
    Evidence,
    ExplainerFinding,
    Finding,
    Overlap,
    Verdict,
    said_of,
)
from fcdd_audit.verdict.thresholds import Thresholds

Key = TypeVar("Key")


@dataclass(frozen=True)
class _Drawn:
    """An estimate and what it could also have been; None with too few seeds to say."""

    estimate: Estimate
    draws: np.ndarray | None

    def shown(self, limits: Thresholds, low: float, high: float) -> Interval:
        """With its interval, cut off at the least and the largest possible value."""
        value = self.estimate.value
        if self.draws is None or np.isnan(value):
            return Interval(value, float("nan"), float("nan"))
        return interval(value, self.draws, limits.confidence, (low, high))

    def p(self, limit: float, above: bool) -> float:
        """One-sided p-value that it isn't above (below) the limit."""
        return 1.0 if self.draws is None else tail_share(self.draws, limit, above)


@dataclass(frozen=True)
class _Paired:
    """A number of both twins. `difference`: planted minus control."""

    planted: _Drawn
    control: _Drawn
    difference: _Drawn

    def shown(self, limits: Thresholds, low: float, high: float) -> tuple[Interval, Interval, Interval]:
        """Planted, control and difference with their intervals, for numbers from `low` to `high`: the
        difference is cut off at what the planted twin's could be beside the control's estimate."""
        control = self.control.estimate.value
        return (
            self.planted.shown(limits, low, high),
            self.control.shown(limits, low, high),
            self.difference.shown(limits, low - control, high - control),
        )


def _paired(
    pairs: Mapping[Key, tuple[Estimate, Estimate]], draws: int | None, purpose: str
) -> dict[Key, _Paired]:
    """All from the same resamples of seeds and images. draws: None for no draws."""
    estimates = [one for planted, control in pairs.values() for one in (planted, control, planted - control)]
    drawn = [None] * len(estimates)
    if draws is not None and estimates:
        drawn = list(draw(estimates, draws, numpy_generator(0, purpose)))
    each = iter(map(_Drawn, estimates, drawn))
    return {key: _Paired(next(each), next(each), next(each)) for key in pairs}


def _score_pairs(item: Evidence, limits: Thresholds) -> dict[str, tuple[Estimate, Estimate]]:
    """What the scores do, by measure: planted and control."""

    def of(twins: list[Scores]) -> dict[str, Estimate]:
        frozen = [threshold(scores.validation, limits.score_quantile) for scores in twins]
        found = {one.name: one.function(twins, item.plant_on, frozen) for one in family("scores")}
        return {name: estimate for name, estimate in found.items() if estimate is not None}

    planted, control = of(item.planted), of(item.control)
    return {name: (planted[name], control[name]) for name in planted}


def _overlap_pairs(item: Evidence) -> dict[tuple[str, str], tuple[Estimate, Estimate]]:
    """How far heatmaps and mask coincide, by explainer and measure: planted and control. An image that is
    NaN for one of the twins counts for neither."""
    pairs = {}
    for explainer, measures in item.overlaps.items():
        for measure, (planted, control) in measures.items():
            missing = np.isnan(planted) | np.isnan(control)
            planted, control = (np.where(missing, np.nan, values) for values in (planted, control))
            pairs[explainer, measure] = Estimate.of_mean(planted), Estimate.of_mean(control)
    return pairs


def _answers(tests: Mapping[Key, Sequence[_Drawn]], limit: float, confidence: float) -> dict[Key, Answer]:
    """yes if all that belongs to a key are surely above the limit, no if the first is surely below, with
    Holm's correction for all keys together."""
    above = holm([max(one.p(limit, above=True) for one in drawn) for drawn in tests.values()])
    below = holm([drawn[0].p(limit, above=False) for drawn in tests.values()])
    alpha = (1 - confidence) / 2
    return {
        key: "yes" if yes < alpha else "no" if no < alpha else "inconclusive"
        for key, yes, no in zip(tests, above, below, strict=True)
    }


def _obstacle(item: Evidence, limits: Thresholds) -> str | None:
    """Why no verdict can be given, whatever the reliance; None if one can."""
    if item.obstacle:
        return item.obstacle
    seeds = len(item.planted)
    if seeds < limits.min_seeds and item.failed:
        return (
            f"{seeds} of {seeds + len({one.seed for one in item.failed})} pairs are left, and at least "
            f"{limits.min_seeds} are needed: {said_of(item.failed)}"
        )
    if seeds < limits.min_seeds:
        return f"{seeds} seed(s) give no interval; at least {limits.min_seeds} are needed"
    if item.ability is not None:
        if item.ability < limits.usable_auroc:
            return (
                "not a working detector here: neither the control without the artifact nor the planted twin "
                f"has a mean AUROC of {limits.usable_auroc} (at best {item.ability:.3f})"
            )
        return None
    usable = auroc_estimate(item.control, "clean", item.plant_on).value
    if usable < limits.usable_auroc:
        return (
            f"not a working detector here: the control's clean AUROC is {usable:.3f}, under "
            f"{limits.usable_auroc}"
        )
    return None


def judge(evidence: list[Evidence], limits: Thresholds) -> list[Finding]:
    """One finding for each piece of evidence, in order.

    The verdicts on reliance are corrected for their number, and so is what explanations show (Holm); the
    intervals shown aren't.
    """
    obstacles = [_obstacle(item, limits) for item in evidence]
    enough = [len(item.planted) >= limits.min_seeds for item in evidence]
    revealing = [
        (index, explainer)
        for index, item in enumerate(evidence)
        for explainer in item.overlaps
        if enough[index] and _can_show(item, explainer)
    ]

    def draws(tests: int, possible: bool) -> int | None:
        # The smallest p-value, 1 / (draws + 1), must survive the correction.
        return max(limits.draws, int(4 * tests / (1 - limits.confidence))) if possible else None

    scores = [
        _paired(_score_pairs(item, limits), draws(obstacles.count(None), able), "bootstrap of reliance")
        if item.planted
        else {}
        for item, able in zip(evidence, enough, strict=True)
    ]
    overlaps = [
        _paired(_overlap_pairs(item), draws(len(revealing), able), "bootstrap of overlap")
        for item, able in zip(evidence, enough, strict=True)
    ]
    # A mark that merely helps the control is no reliance of the planted twin: its own drop counts too.
    drops = {
        index: (scores[index][DROP.name].difference, scores[index][DROP.name].planted)
        for index, obstacle in enumerate(obstacles)
        if obstacle is None
    }
    relies = _answers(drops, limits.reliance, limits.confidence)
    shows = _answers(
        {key: [overlaps[key[0]][key[1], HEADLINE.name].difference] for key in revealing},
        limits.reveal,
        limits.confidence,
    )
    correlations = _agreements(evidence)
    findings = []
    for index, item in enumerate(evidence):
        verdict, reason = _decide(relies.get(index), obstacles[index], scores[index], len(drops), limits)
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
                seeds=len(item.planted),
                images=item.images,
                failed=item.failed,
                explainers=tuple(
                    _judge_explainer(
                        item,
                        explainer,
                        verdict,
                        shows.get((index, explainer), "inconclusive"),
                        overlaps[index],
                        limits,
                        correlations[item.detector, explainer],
                    )
                    for explainer in item.overlaps
                ),
                **_about_scores(scores[index], index in drops, len(drops), limits),
            )
        )
    return findings


def _decide(
    relies: Answer | None,
    obstacle: str | None,
    scores: dict[str, _Paired],
    together: int,
    limits: Thresholds,
) -> tuple[Verdict, str | None]:
    """The verdict, and why there is no clear one."""
    if relies is None:
        return "inconclusive", obstacle
    if relies == "yes":
        return "relies", None
    drop, usual = scores[DROP.name], _usual_auroc(scores)
    if relies == "no":
        room = usual.planted.estimate.value - drop.control.estimate.value
        if room >= limits.room:
            return "does-not-rely", None
        return "inconclusive", (
            f"saturated: the planted twin's AUROC less its control's drop leaves {room:.2f} "
            f"to lose, under {limits.room}, so that a reliance could not show"
        )
    alpha = (1 - limits.confidence) / 2
    if drop.difference.p(limits.reliance, above=True) < alpha <= drop.planted.p(limits.reliance, above=True):
        return "inconclusive", (
            "the twins differ because the mark helps the control; the planted twin's own drop isn't "
            f"surely above {limits.reliance}"
        )
    seeds = len(drop.difference.estimate.per_seed)
    needed = _seeds_needed(drop.difference, together, limits)
    more = f"about {needed} would do, if what was seen holds" if needed else "more alone won't settle it"
    return "inconclusive", (
        f"the reliance isn't surely above or below {limits.reliance} with {seeds} seeds and {together} "
        f"verdict(s) given together; of seeds, {more}"
    )


def _usual_auroc(scores: dict[str, _Paired]) -> _Paired:
    """On the test images as the detector meets them in use: without the artifact, unless it is theirs."""
    return scores.get(USUAL_AUROC.name, scores[CLEAN_AUROC.name])


def _each(together: int, limits: Thresholds) -> float:
    """The confidence that settles one of so many verdicts whatever the others are: Holm's strictest step."""
    return 1 - (1 - limits.confidence) / together


def _seeds_needed(reliance: _Drawn, together: int, limits: Thresholds) -> int | None:
    estimate = reliance.estimate
    return estimate.spread.seeds_needed(estimate.value - limits.reliance, _each(together, limits))


def _about_scores(
    scores: dict[str, _Paired], judged: bool, together: int, limits: Thresholds
) -> dict[str, Any]:
    """The fields of a finding that describe the scores."""
    if not scores:
        return {"reliance": None, "control_auroc": None, "planted_auroc": None}
    drop, usual = scores[DROP.name], _usual_auroc(scores)
    estimate = drop.difference.estimate
    found: dict[str, Any] = {
        "reliance": drop.shown(limits, *DROP.bounds)[2],
        "control_auroc": usual.control.estimate.value,
        "planted_auroc": usual.planted.estimate.value,
        "effects": tuple(
            Effect(name, *paired.shown(limits, *measure_of(name).bounds)) for name, paired in scores.items()
        ),
        "seeds_relying": int((estimate.per_seed > limits.reliance).sum()),
    }
    if judged:
        detectable = estimate.spread.detectable(_each(together, limits), limits.power)
        found["minimum_detectable"] = limits.reliance + detectable
        found["seeds_needed"] = _seeds_needed(drop.difference, together, limits)
    return found


def _can_show(item: Evidence, explainer: str) -> bool:
    """Reference maps know nothing of the model; and an artifact on the nominal side lowers the score, which
    a map of what raises it can't show."""
    raises = DIRECTIONS[item.plant_on].side == "anomalous"
    return explainer not in item.references and (raises or explainer in item.either_way)


def _overlap(
    measure: str,
    chance: float | None,
    shown: tuple[Interval, Interval, Interval],
    untrained: float | None,
) -> Overlap:
    over = lift(shown[0].value, chance) if chance and measure_of(measure) is not HEADLINE else None
    return Overlap(measure, chance, *shown, untrained, over)


def _judge_explainer(
    item: Evidence,
    explainer: str,
    verdict: Verdict,
    reveals: Answer,
    pairs: dict[tuple[str, str], _Paired],
    limits: Thresholds,
    correlation: float | None,
) -> ExplainerFinding:
    overlaps = tuple(
        _overlap(
            measure,
            item.chance[measure],
            pairs[explainer, measure].shown(limits, *measure_of(measure).bounds),
            item.untrained.get(explainer, {}).get(measure),
        )
        for measure in item.overlaps[explainer]
    )
    headline = pairs[explainer, HEADLINE.name]
    if reveals == "no" and HEADLINE.bounds[1] - headline.control.estimate.value < limits.reveal_room:
        reveals = "inconclusive"  # the control's map already finds the artifact: nothing could exceed it
    return ExplainerFinding(
        explainer,
        explainer in item.references,
        reveals,
        headline.shown(limits, *HEADLINE.bounds)[2],
        QUADRANTS.get((verdict, reveals), "undecided"),
        correlation,
        overlaps,
        images=item.overlaps[explainer][HEADLINE.name][0].shape[1],
        judged=_can_show(item, explainer),
    )


def _agreements(evidence: list[Evidence]) -> dict[tuple[str, str], float | None]:
    """Rank correlation of excess overlap with reliance, over a detector's seeds and prevalences."""
    points: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for item in evidence:
        if item.obstacle:
            continue
        per_seed = reliance(item.planted, item.control, item.plant_on)
        for explainer, measures in item.overlaps.items():
            planted, control = measures[HEADLINE.name]
            overlaps, reliances = points.setdefault((item.detector, explainer), ([], []))
            overlaps.extend(Estimate.of_mean(planted - control).per_seed)
            reliances.extend(per_seed)
    return {key: agreement(*map(np.array, both)) for key, both in points.items()}
