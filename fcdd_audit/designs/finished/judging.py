"""From scores and overlaps of a finished detector to answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.core.text import share as words
from fcdd_audit.designs.finished.answers import Beyond, Result, SideAnswer
from fcdd_audit.designs.finished.clipping import Clipped
from fcdd_audit.designs.finished.measuring import Measured
from fcdd_audit.designs.finished.tested import Tested
from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.placebos import (
    as_strong,
    auroc_lost,
    beyond_placebos,
    newly_wrong,
    own_shift,
    rank_p_value,
)
from fcdd_audit.measures.statistics import (
    Interval,
    holm,
    holm_steps,
    images_needed,
    mean_interval,
    share,
    share_p_value,
)
from fcdd_audit.verdict.findings import Answer, Harm, Missing, Verdict
from fcdd_audit.verdict.thresholds import Thresholds

ROUNDING = 1e-9
CHANCE = 0.5  # of an AUROC
MOST_PLACEBOS_AS_STRONG = 0.05  # of all marks like it: with more, it isn't this mark
LEAST_PLACEBOS = 39
LEAST_IMAGES = 5  # that placebos are tried on, or that are explained
WORDS = {"nominal": "raise an alarm", "anomalous": "hide"}
HARMS: dict[Side, Harm] = {"nominal": "alarms", "anomalous": "hides"}
Sides = tuple[np.ndarray, np.ndarray]  # scores of nominal and of anomalous images
NOTHING = Interval(float("nan"), float("nan"), float("nan"))


def placebos_needed(level: float, together: int = len(SIDES)) -> int:
    """With fewer, no p-value is at most `level`, in (0, 1), after Holm's correction for so many answers given
    together; both sides by default."""
    return ceil(together / level - ROUNDING) - 1


def judge(
    tested: Mapping[Side, Tested],
    measured: Mapping[Side, Measured],
    usual: Sides,
    clean: Sides,
    threshold: float,
    threshold_from: str,
    explained: int,
    limits: Thresholds,
    clipped: Clipped,
) -> Result:
    """All answers but the dose.

    tested, measured: of the sides that are asked of. usual, clean: scores of all nominal and anomalous test
    images, as the detector meets them in use, and without the artifact. A detector works if either tells
    them apart.
    """
    ability = max(auroc(*usual), auroc(*clean))
    useless = _useless(threshold, np.concatenate([*usual, *clean]))
    sides = _judge_sides(tested, measured, usual, ability, useless, threshold, limits, clipped)
    nominal = measured.get("nominal")
    shown = {} if nominal is None else judge_shown(nominal.overlaps, limits)
    why_not = None
    if not shown:
        why_not = "no nominal image bears the artifact" if nominal is None else tested["nominal"].why_none
    return Result(
        auroc(*clean),
        auroc(*usual),
        threshold,
        threshold_from,
        sides,
        shown,
        why_not,
        min(explained, len(tested["nominal"].tried)) if nominal is not None else 0,
        clipped.notes,
    )


def _judge_sides(
    tested: Mapping[Side, Tested],
    measured: Mapping[Side, Measured],
    usual: Sides,
    ability: float,
    useless: str | None,
    threshold: float,
    limits: Thresholds,
    clipped: Clipped,
) -> tuple[SideAnswer, ...]:
    asked = [side for side in SIDES if side in tested]
    turned = {side: _turned(measured[side], threshold, tested[side]) for side in asked}
    rights = {side: 1 - wrong_share(measured[side].clean, threshold, side) for side in asked}
    p_values = [min(_p_values(turned[side], len(measured[side].clean), limits.alarms)) for side in asked]
    steps, corrected = holm_steps(p_values, limits.tail), holm(p_values)
    specific = judge_specific({side: (tested[side], measured[side]) for side in asked}, threshold, limits)
    answers = []
    for place, side in enumerate(asked):
        own, hits = measured[side], turned[side]
        images, tail = len(own.clean), limits.tail / steps[place]
        room = _room(side, rights[side], threshold, clipped)
        decided = _decide(side, hits, images, tail, room, limits)
        if (obstacle := _obstacle(ability, useless, limits)) is not None:
            decided = _Decided("inconclusive", *obstacle)
        level = 1 - 2 * tail / len(hits)
        lost = (own.marked, usual[1]) if side == "nominal" else (usual[0], own.marked)
        clean = auroc(own.clean, usual[1]) if side == "nominal" else auroc(usual[0], own.clean)
        answers.append(
            SideAnswer(
                side=side,
                verdict=decided.verdict,
                missing=decided.missing,
                reason=decided.reason,
                harm=decided.harm,
                images=images,
                rate=share(hits[0], images, level),
                righted=share(hits[1], images, level) if len(hits) > 1 else None,
                p=p_values[place],
                p_holm=corrected[place],
                images_needed=decided.needed,
                wrong_clean=wrong_share(own.clean, threshold, side),
                wrong_marked=wrong_share(own.marked, threshold, side),
                shift=float("nan") if clipped else own_shift(own.clean, own.marked, usual[0]),
                auroc_lost=auroc_lost(clean, *lost),
                specific=specific.get(side),
                why_not_specific=tested[side].why_none,
                likeness=tested[side].likeness,
                kinds=tested[side].kinds[: max(0, len(own.tried) - 1)],
            )
        )
    return tuple(answers)


def _room(side: Side, right: float, threshold: float, clipped: Clipped) -> float:
    """Share of the images that the artifact could turn wrong: none, where scores are clipped at the threshold
    or below and should raise an alarm, or are clipped above it and should hide."""
    end = clipped.high if side == "nominal" else clipped.low
    stuck = end is not None and (threshold >= end if side == "nominal" else threshold < end)
    return 0.0 if stuck else right


def wrong_share(scores: np.ndarray, threshold: float, side: Side) -> float:
    """Share of wrong decisions: nominal images over the threshold, anomalous ones that aren't."""
    above = float((scores > threshold).mean())
    return above if side == "nominal" else 1 - above


def _turned(measured: Measured, threshold: float, tested: Tested) -> list[int]:
    """How many images the artifact turns wrong; of a found one also how many are right only because of it."""
    pairs = [(measured.clean, measured.marked), (measured.marked, measured.clean)][: 1 + tested.found]
    return [
        round(float(newly_wrong(before, after, threshold, tested.side)) * len(before))
        for before, after in pairs
    ]


def _p_values(hits: list[int], images: int, limit: float) -> tuple[float, float]:
    """That no share is above the limit, and that not all are below: with several shares Bonferroni's
    correction, and the largest."""
    above, below = (
        [share_p_value(one, images, limit, above=direction) for one in hits] for direction in (True, False)
    )
    return min(1.0, len(hits) * min(above)), max(below)


@dataclass(frozen=True)
class _Decided:
    """As in `SideAnswer`."""

    verdict: Verdict
    missing: Missing | None = None
    reason: str | None = None
    harm: Harm | None = None
    needed: int | None = None


def _useless(threshold: float, scores: np.ndarray) -> str | None:
    """Why the threshold decides nothing, if it doesn't. scores: of all test images, with and without a found
    artifact: it may be all that decides."""
    low, high = float(scores.min()), float(scores.max())
    if low <= threshold < high:
        return None
    word = "above" if threshold >= high else "below"
    return (
        f"the threshold {threshold:g} lies {word} all scores of the test images ({low:g} to {high:g}), so "
        "that it decides nothing; give one in the units of the scores (--threshold)"
    )


def _obstacle(ability: float, useless: str | None, limits: Thresholds) -> tuple[Missing, str] | None:
    """What stands in the way of any verdict, and why."""
    if ability < CHANCE - limits.room:
        return "working-control", (
            f"nominal images score higher than anomalous ones (AUROC {ability:.3f}): if a high score of this "
            "detector means normal, let it return the negative"
        )
    if ability < limits.usable_auroc:
        return "working-control", (
            f"not a working detector here: the AUROC is {ability:.3f}, under {limits.usable_auroc}"
        )
    return None if useless is None else ("room", useless)


def _decide(
    side: Side, hits: list[int], images: int, tail: float, room: float, limits: Thresholds
) -> _Decided:
    """tail: the level that the p-value of this side must reach. room: share of the images that could be
    turned wrong."""
    limit = limits.alarms
    vulnerable, robust = _p_values(hits, images, limit)
    if vulnerable <= tail:
        return _Decided("vulnerable", harm=HARMS[side])
    if robust <= tail:
        if room >= limits.room - ROUNDING:
            return _Decided("robust", harm="none")
        reason = (
            f"{words(room)} of the {side} images can be turned wrong at this threshold, under "
            f"{words(limits.room)}: the others are wrong without the artifact, or their scores are clipped; "
            "choose another threshold, or let the detector return raw scores"
        )
        return _Decided("inconclusive", "room", reason)
    most = max(hits)
    needed = images_needed(most, images, limit, tail)
    said = (
        f"about {needed} tested {side} images would settle it with even odds"
        if needed
        else "no number of images that could be had would do"
    )
    reason = (
        f"{hits[0]} of {images} {side} images {WORDS[side]} with the artifact only, which is neither surely "
        f"above nor surely below {words(limit)}; if it stays so, {said}"
    )
    if len(hits) > 1:
        reason = f"{hits[1]} of {images} are right with it only; {reason}"
    return _Decided("inconclusive", "images", reason, "open", needed)


def judge_specific(
    sides: Mapping[Side, tuple[Tested, Measured]], threshold: float, limits: Thresholds
) -> dict[Side, Beyond]:
    """Does the artifact turn more decisions wrong than placebos do? Of the sides that have placebos."""
    values = {
        side: _tried_wrong(tested, measured, threshold)
        for side, (tested, measured) in sides.items()
        if tested.kinds
    }
    rates = {side: wrong.mean(axis=1) for side, wrong in values.items()}
    p_values, steps = _ranks(rates, limits)
    return {
        side: _beyond(
            values[side],
            p_values[side],
            steps[side],
            limits,
            limits.alarms,
            f"{as_strong(rates[side])} of {len(rates[side]) - 1} placebos turn as many decisions wrong",
        )
        for side in values
    }


def _tried_wrong(tested: Tested, measured: Measured, threshold: float) -> np.ndarray:
    """Which of the tried images each mark turns wrong, (1 + placebos, n)."""
    places = tested.tried.numpy()
    if tested.found:
        before, after = measured.tried, measured.marked[places]
    else:
        before, after = measured.clean[places], measured.tried
    before, after = np.broadcast_arrays(before, after)
    return newly_wrong(before[..., None], after[..., None], threshold, tested.side)


def _ranks(
    rates: Mapping[Side, np.ndarray] | Mapping[str, np.ndarray], limits: Thresholds
) -> tuple[dict[str, tuple[float, float]], dict[str, int]]:
    """By what is asked: rank p-value, plain and after Holm; and by how much Holm multiplies it."""
    plain = [rank_p_value(values) for values in rates.values()]
    return (
        dict(zip(rates, zip(plain, holm(plain), strict=True), strict=True)),
        dict(zip(rates, holm_steps(plain, 2 * limits.tail), strict=True)),
    )


def _beyond(
    values: np.ndarray,
    p: tuple[float, float],
    step: int,
    limits: Thresholds,
    least: float,
    said: str,
) -> Beyond:
    """values: of each mark and image, (1 + placebos, n), the artifact first. p: plain, and after Holm. least:
    by how much it must be beyond the placebos' mean. said: in how far they do as much."""
    means = values.mean(axis=1)
    excess, strong = beyond_placebos(means), as_strong(means)
    scatter = mean_interval(values[0] - values[1:].mean(axis=0), limits.confidence)
    many = share_p_value(strong, len(means) - 1, MOST_PLACEBOS_AS_STRONG, above=True) <= limits.tail / step
    answer: Answer = "inconclusive"
    reason: str | None = f"{said}, which doesn't settle it"
    if values.shape[1] < LEAST_IMAGES:
        reason = f"{values.shape[1]} images are too few, at least {LEAST_IMAGES} are needed"
    elif p[1] <= 2 * limits.tail + ROUNDING and excess > least:
        answer, reason = "yes", None
    elif many or scatter.high < least:
        answer, reason = "no", None
    own = mean_interval(values[0], limits.confidence)
    return Beyond(answer, reason, own, tuple(means[1:].tolist()), scatter, strong, *p)


def judge_shown(overlaps: Mapping[str, np.ndarray], limits: Thresholds) -> dict[str, Beyond]:
    """Do heatmaps show the artifact more than placebos? overlaps: as in `Measured`."""
    # NaN depends on the masks only, so that it is the same images that are left out for all of them.
    known = {name: values[:, ~np.isnan(values).any(axis=0)] for name, values in overlaps.items()}
    judged = {name: values for name, values in known.items() if values.shape[1] > 1}
    p_values, steps = _ranks({name: values.mean(axis=1) for name, values in judged.items()}, limits)
    return {
        name: _shown(judged[name], p_values[name], steps[name], limits)
        if name in judged
        else _unjudged(known[name].shape[1])
        for name in overlaps
    }


def _shown(values: np.ndarray, p: tuple[float, float], step: int, limits: Thresholds) -> Beyond:
    said = f"{as_strong(values.mean(axis=1))} of {len(values) - 1} placebos are shown as much"
    found = _beyond(values, p, step, limits, limits.reveal, said)
    if values.shape[1] < LEAST_IMAGES:
        return found
    if found.value.high - CHANCE < limits.reveal:
        return replace(found, answer="no", reason=None)
    if found.answer == "yes" and found.value.value - CHANCE <= limits.reveal:
        reason = f"the pixel AUROC is {found.value.value:.2f}, hardly above chance, though placebos' is lower"
        return replace(found, answer="inconclusive", reason=reason)
    return found


def missed(shown: Beyond, limits: Thresholds) -> bool:
    """Whether heatmaps don't point to the artifact: not where they do, and to placebos as well."""
    return shown.answer == "no" and not shown.value.low - CHANCE > limits.reveal


def _unjudged(images: int) -> Beyond:
    """Of fewer than two images whose heatmaps could point to the artifact."""
    reason = (
        "the mask is the whole image, so that no heatmap could point to it"
        if images == 0
        else f"{images} image is too few, at least {LEAST_IMAGES} are needed"
    )
    nan = float("nan")
    return Beyond("inconclusive", reason, NOTHING, (), NOTHING, 0, nan, nan)
