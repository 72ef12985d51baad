"""From numbers to findings."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fcdd_audit.core.sides import Side
from fcdd_audit.measures.effects import SHIFT
from fcdd_audit.measures.localization import EXCESS, HEADLINE, lift
from fcdd_audit.measures.reliance import DEPENDENCE, EXCESS_ALARMS, RELIANCE, cut
from fcdd_audit.measures.statistics import (
    Interval,
    agreement,
    holm_steps,
    mean_interval,
    pairs_needed,
)
from fcdd_audit.measures.table import measure_of
from fcdd_audit.verdict.evidence import Evidence
from fcdd_audit.verdict.findings import (
    IDENTICAL,
    QUADRANTS,
    Answer,
    Effect,
    ExplainerFinding,
    Finding,
    Harm,
    Missing,
    Overlap,
    Verdict,
    said_of,
)
from fcdd_audit.verdict.lowering import lowering_finding
from fcdd_audit.verdict.pairs import WAYS, Pairs
from fcdd_audit.verdict.seen import Seen
from fcdd_audit.verdict.thresholds import Thresholds

Key = TypeVar("Key", bound=Hashable)
NOTHING = Interval(float("nan"), float("nan"), float("nan"))


class Asked(NamedTuple):
    """How many answers are given together. scores: verdicts. explanations: on what explanations show."""

    scores: int
    explanations: int


def asked(evidence: Sequence[Evidence]) -> Asked:
    """The answers that are asked for; twins that are identical by construction are asked for none."""
    open_ones = [item for item in evidence if item.obstacle is None]
    explanations = sum(item.can_show(name) for item in open_ones for name in item.overlaps)
    return Asked(len(open_ones), explanations)


@dataclass(frozen=True)
class _Answered:
    """answer: yes is surely above, no surely below. tails: the chances to err that an answer had, for its
    lower and its upper limit."""

    answer: Answer
    tails: tuple[float, float]


def _answers(
    tests: Mapping[Key, tuple[float, float]], limits: Thresholds, together: int, ways: int = 1
) -> dict[Key, _Answered]:
    """With Holm's correction for `together` answers. tests: p-values of yes and of no. ways: of saying no,
    which its p-values are corrected for."""
    others = together - len(tests)
    steps = [holm_steps([pair[way] for pair in tests.values()], limits.tail, others) for way in range(2)]
    found = {}
    for (key, (yes, no)), up, down in zip(tests.items(), *steps, strict=True):
        answer: Answer = "inconclusive"
        if yes * up <= limits.tail:
            answer = "yes"
        elif no * down <= limits.tail:
            answer = "no"
        found[key] = _Answered(answer, (limits.tail / up, limits.tail / down / ways))
    return found


def judge(evidence: Sequence[Evidence], limits: Thresholds, together: Asked | None = None) -> list[Finding]:
    """One finding for each piece of evidence, in order.

    Verdicts on scores are corrected for their number, and so is what explanations show (Holm, each family by
    itself); the intervals of what is judged allow for that and for the looks. together: of all answers, where
    some have no evidence yet; by default those of this evidence.
    """
    together = together or asked(evidence)
    scores = [Pairs(item, limits) for item in evidence]
    obstacles = [_obstacle(one, limits) for one in scores]
    relies = _answers(
        {index: (one.relies(), one.clears()) for index, one in enumerate(scores) if obstacles[index] is None},
        limits,
        together.scores,
        WAYS,
    )
    shows = _answers(
        {
            (index, name): tests
            for index, item in enumerate(evidence)
            if item.obstacle is None and item.pairs >= limits.min_seeds
            for name, tests in _judged(item, limits).items()
        },
        limits,
        together.explanations,
    )
    correlations = _agreements(evidence, limits)
    findings = []
    for index, (item, pairs, obstacle) in enumerate(zip(evidence, scores, obstacles, strict=True)):
        alone = (
            _Answered("inconclusive", (limits.tail / together.scores, limits.tail / together.scores / WAYS))
            if together.scores
            else None
        )
        found = relies.get(index, alone)
        verdict, missing, reason, needed = _decide(found, obstacle, pairs, limits)
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
                missing=missing,
                pairs_needed=needed,
                seeds=item.pairs,
                looks=tuple(look.pairs for look in item.looks) if item.pairs else (),
                images=item.images,
                failed=item.failed,
                training=pairs.training,
                explainers=tuple(
                    _judge_explainer(
                        item,
                        name,
                        verdict,
                        shows.get((index, name)),
                        limits,
                        correlations[item.detector, name],
                    )
                    for name in item.overlaps
                ),
                **_about_scores(pairs, found, obstacle is None, limits),
            )
        )
    return findings


def _judged(item: Evidence, limits: Thresholds) -> dict[str, tuple[float, float]]:
    """By explainer that can show the artifact: p-values of yes and of no, on the side that is judged."""
    found = {}
    for name, sides in item.overlaps.items():
        if not item.can_show(name) or item.judged_side not in sides:
            continue
        if item.half_of(name) == "lowers":
            found[name] = item.lowering[name].p_values(limits)
        else:
            excess = _excess(item, name, limits)
            found[name] = (excess.p_value(limits.reveal, True), excess.p_value(limits.reveal, False))
    return found


def _excess(item: Evidence, explainer: str, limits: Thresholds) -> Seen:
    """Of the half of its map that is judged, on the side that is."""
    if item.half_of(explainer) == "lowers":
        found = item.lowering[explainer].excess
    else:
        found = item.overlaps[explainer][item.judged_side].excess
    return replace(found, clear_from=limits.clear_pairs)


class _Obstacle(NamedTuple):
    """Why no verdict can be given, whatever the numbers."""

    missing: Missing
    reason: str


def _obstacle(pairs: Pairs, limits: Thresholds) -> _Obstacle | None:
    item = pairs.item
    if item.obstacle:
        return _Obstacle("identical" if item.obstacle.startswith(IDENTICAL) else "images", item.obstacle)
    count = item.pairs
    if count < limits.min_seeds and item.failed:
        asked_for = count + len({one.seed for one in item.failed})
        return _Obstacle(
            "failed-pairs",
            f"{count} of {asked_for} pairs are left, and at least {limits.min_seeds} are needed: "
            f"{said_of(item.failed)}",
        )
    if count and pairs.ability < limits.usable_auroc:
        least = limits.usable_auroc
        why = (
            f"the control's clean AUROC is {pairs.ability:.3f}, under {least}"
            if item.ability is None
            else "neither the control without the artifact nor the planted twin has a mean AUROC of "
            f"{least} (at best {item.ability:.3f})"
        )
        return _Obstacle("working-control", f"not a working detector here: {why}")
    if count < limits.min_seeds and pairs.untrained is not None:
        return _Obstacle("training", pairs.untrained)
    if count < limits.min_seeds:
        return _Obstacle("pairs", f"{count} pair(s) give no interval; at least {limits.min_seeds} are needed")
    if np.isnan(pairs.dependence.last).any():
        return _Obstacle(
            "working-control",
            "the nominal scores of a twin are all alike, so that no shift can be measured against them",
        )
    return None


def _decide(
    found: _Answered | None, obstacle: _Obstacle | None, pairs: Pairs, limits: Thresholds
) -> tuple[Verdict, Missing | None, str | None, int | None]:
    """The verdict, and where there is no clear one: what is missing, why, and how many pairs would do."""
    if obstacle is not None or found is None:
        missing, reason = obstacle or (None, None)
        return "inconclusive", missing, reason, None
    if found.answer == "yes":
        return "relies", None, None, None
    if found.answer == "no":
        if pairs.control_follows():
            reason = (
                "the control twin moves by the artifact too, more than by a placebo: images that bear it and "
                "that the search missed may be in the training of both twins"
            )
            return "inconclusive", "working-control", reason, None
        room = pairs.room()
        if room >= limits.room:
            return "does-not-rely", None, None, None
        reason = (
            f"saturated: beyond the control only {max(room, 0):.2f} of the AUROC, or of the right decisions, "
            f"is left to lose, under {limits.room}, so that a dependence could not show"
        )
        return "inconclusive", "room", reason, None
    if pairs.untrained is not None:
        return "inconclusive", "training", pairs.untrained, None
    needed = _pairs_needed(pairs, found, limits)
    count = len(pairs.dependence.last)
    more = f"about {needed} would do, if what was seen holds" if needed else "more alone won't settle it"
    if pairs.dependence.p_value(limits.shift, True) <= found.tails[0]:
        about = "the twins differ, and the planted twin's own shift isn't surely above"
    else:
        about = "the dependence isn't surely above or below"
    reason = f"{about} {limits.shift} with {count} pairs of twins; {more}"
    return "inconclusive", "pairs", reason, needed


def _pairs_needed(pairs: Pairs, found: _Answered, limits: Thresholds) -> int | None:
    """How many pairs would settle the verdict one way or another, were means and scatter to stay."""
    above, below = (tail * pairs.item.looks[-1].share for tail in found.tails)
    ways = [  # what must be told from a limit together, and whether it must be above
        (True, above, ((pairs.dependence, limits.shift), (pairs.own_shift, limits.shift))),
        (False, below, ((pairs.dependence, limits.shift),)),
    ]
    if not pairs.shifts():
        ways.append((False, below, ((pairs.alarms, limits.no_alarms), (pairs.drop, limits.reliance))))
    enough = []
    for wants_above, tail, told in ways:
        if all((np.mean(one.last) > limit) == wants_above for one, limit in told):
            counts = [pairs_needed(one.last, limit, tail) for one, limit in told]
            known = [count for count in counts if count is not None]
            if len(known) == len(counts):
                enough.append(max(known if wants_above else [*known, limits.clear_pairs]))
    return min(enough, default=None)


def _about_scores(pairs: Pairs, found: _Answered | None, judged: bool, limits: Thresholds) -> dict[str, Any]:
    """The fields of a finding that describe the scores."""
    if not pairs.item.pairs or found is None:
        return {"reliance": None, "control_auroc": None, "planted_auroc": None}
    usual = pairs.usual_auroc()
    relying = np.minimum(pairs.dependence.last, pairs.own_shift.last) > limits.shift
    return {
        "dependence": pairs.dependence.interval(found.tails, DEPENDENCE.bounds),
        "alarms": pairs.alarms.interval(found.tails, EXCESS_ALARMS.bounds),
        "reliance": pairs.drop.interval(found.tails, RELIANCE.bounds),
        "harm": _harm(pairs, found.tails, limits) if judged else None,
        "transplants": pairs.transplants(found.tails),
        "control_auroc": float(usual[1].mean()),
        "planted_auroc": float(usual[0].mean()),
        "effects": tuple(
            _effect(name, planted, control, limits) for name, (planted, control) in pairs.item.scores.items()
        ),
        "pairs_relying": int(relying.sum()),
        "pairs_harmed": int((pairs.alarms.last > limits.alarms).sum()),
    }


def _harm(pairs: Pairs, tails: tuple[float, float], limits: Thresholds) -> Harm:
    does: Harm = "alarms" if pairs.item.judged_side == "nominal" else "hides"
    if pairs.item.transplants:
        harms, spares = pairs.transplant_harms(tails)
    else:
        harms = pairs.alarms.p_value(limits.alarms, True) <= tails[0]
        spares = pairs.alarms.p_value(limits.no_alarms, False) <= tails[1]
    return does if harms else "none" if spares else "open"


def _effect(name: str, planted: np.ndarray, control: np.ndarray, limits: Thresholds) -> Effect:
    low, high = measure_of(name).bounds
    return Effect(
        name,
        _mean(planted, limits, low, high),
        _mean(control, limits, low, high),
        _mean(planted - control, limits, low - high, high - low),
    )


def _mean(values: np.ndarray, limits: Thresholds, low: float, high: float) -> Interval:
    """A mean with its interval, cut off at what is possible; no interval of fewer than `min_seeds` pairs."""
    if len(values) < limits.min_seeds:
        return Interval(float(values.mean()), NOTHING.low, NOTHING.high)
    found = mean_interval(values, limits.confidence)
    return Interval(found.value, *(float(np.clip(limit, low, high)) for limit in (found.low, found.high)))


def _judge_explainer(
    item: Evidence,
    explainer: str,
    verdict: Verdict,
    found: _Answered | None,
    limits: Thresholds,
    correlation: float | None,
) -> ExplainerFinding:
    sides = item.overlaps[explainer]
    overlaps = tuple(
        _overlap(item, explainer, side, measure, limits)
        for side, one in sides.items()
        for measure in one.numbers
    )
    reveals: Answer = "inconclusive" if found is None else found.answer
    judged, lowering = sides.get(item.judged_side), item.lowering.get(explainer)
    half = item.half_of(explainer)
    tails = (limits.tail, limits.tail) if found is None else found.tails
    excess = NOTHING
    if judged is not None:
        controls = judged.numbers[HEADLINE.name][1]
        if half == "lowers" and lowering is not None:
            tails = (tails[0], tails[1] / lowering.ways)
            controls = lowering.to_exceed
        excess = _excess(item, explainer, limits).interval(tails, EXCESS.bounds)
        control = float(np.mean(controls))
        if reveals == "no" and HEADLINE.bounds[1] - control < limits.reveal_room:
            reveals = "inconclusive"  # what is to be exceeded finds the artifact already: nothing could
    return ExplainerFinding(
        explainer,
        explainer in item.references,
        reveals,
        excess,
        QUADRANTS.get((verdict, reveals), "undecided"),
        correlation,
        overlaps,
        images=lowering.images if half == "lowers" and lowering else judged.images if judged else 0,
        judged=item.can_show(explainer),
        unjudged=item.unjudged(explainer),
        side=item.judged_side,
        map=half,
        lowering=None
        if lowering is None
        else lowering_finding(lowering, lambda values, low, high: _mean(values, limits, low, high)),
    )


def _overlap(item: Evidence, explainer: str, side: Side, measure: str, limits: Thresholds) -> Overlap:
    planted, control = item.overlaps[explainer][side].numbers[measure]
    low, high = measure_of(measure).bounds
    chance = item.chance[measure]
    shown = _mean(planted, limits, low, high)
    over = lift(shown.value, chance) if chance and measure_of(measure) is not HEADLINE else None
    return Overlap(
        side,
        measure,
        chance,
        shown,
        _mean(control, limits, low, high),
        _mean(planted - control, limits, low - high, high - low),
        item.untrained.get(explainer, {}).get(side, {}).get(measure),
        over,
    )


def _agreements(evidence: Sequence[Evidence], limits: Thresholds) -> dict[tuple[str, str], float | None]:
    """Rank correlation of excess overlap with dependence, over a detector's pairs and prevalences."""
    points: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for item in evidence:
        if item.obstacle or not item.pairs:
            continue
        planted, control = item.scores[SHIFT.name]
        per_pair = cut(planted - control)
        for explainer, sides in item.overlaps.items():
            overlaps, dependences = points.setdefault((item.detector, explainer), ([], []))
            if item.judged_side in sides:
                overlaps.extend(_excess(item, explainer, limits).last)
                dependences.extend(per_pair)
    return {key: agreement(*map(np.array, both)) for key, both in points.items()}
