"""From numbers of the artifact and of placebos to answers."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np

from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.core.sides import SIDES
from fcdd_audit.designs.finished.answers import RevealResult, SideResult
from fcdd_audit.designs.finished.measuring import Measured
from fcdd_audit.measures.detection import auroc, weighted_auroc
from fcdd_audit.measures.placebos import auroc_lost, beyond_placebos, rank_p_value
from fcdd_audit.measures.statistics import Interval, holm, image_weights, interval
from fcdd_audit.verdict.findings import Answer, Verdict
from fcdd_audit.verdict.thresholds import Thresholds

DRAWS_AT_ONCE = 128
ROUNDING = 1e-9
CHANCE = 0.5  # of an AUROC


def placebos_needed(level: float, together: int = len(SIDES)) -> int:
    """With fewer, no p-value is at most `level`, in (0, 1), after Holm's correction for so many answers given
    together; both sides by default."""
    return ceil(together / level - ROUNDING) - 1


def judge_sides(
    nominal: Measured, anomalous: Measured, seed: int, limits: Thresholds
) -> tuple[SideResult, ...]:
    """The answers for both sides, corrected for their number (Holm); nominal images first."""
    rng = numpy_generator(seed, "bootstrap of placebos")
    drawn = _effect_draws(nominal, anomalous, limits.draws, rng)
    clean = auroc(nominal.clean, anomalous.clean)
    effects = (
        np.array([auroc_lost(clean, marked, anomalous.clean) for marked in nominal.marked]),
        np.array([auroc_lost(clean, nominal.clean, marked) for marked in anomalous.marked]),
    )
    p_values = [rank_p_value(of_side[0], of_side[1:]) for of_side in effects]
    low, high = np.quantile(nominal.clean, [0.25, 0.75])
    results = []
    for index, (side, measured) in enumerate(zip(SIDES, (nominal, anomalous), strict=True)):
        shifts = np.full(len(measured.marked), np.nan)
        if high > low:
            shifts = np.median(measured.marked - measured.clean, axis=1) / (high - low)
        misled = shifts if side == "nominal" else -shifts
        own, excess = _intervals(effects[index], drawn[index], limits, rng)
        p_holm, shift_p = holm(p_values)[index], rank_p_value(misled[0], misled[1:])
        verdict, reason = _decide(own, excess, p_holm, shift_p, clean, limits)
        results.append(
            SideResult(
                side,
                verdict,
                reason,
                own,
                tuple(effects[index][1:].tolist()),
                excess,
                p_values[index],
                p_holm,
                float(shifts[0]),
                tuple(shifts[1:].tolist()),
                shift_p if high > low else float("nan"),
            )
        )
    return tuple(results)


def _effect_draws(nominal: Measured, anomalous: Measured, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap effects, (sides, 1 + placebos, draws), all from the same resamples of the images."""
    effects = np.empty((len(SIDES), len(nominal.marked), draws))
    for first in range(0, draws, DRAWS_AT_ONCE):
        part = slice(first, min(first + DRAWS_AT_ONCE, draws))
        weights = [_weights(len(s.clean), part.stop - first, rng) for s in (nominal, anomalous)]
        clean = weighted_auroc(nominal.clean, anomalous.clean, *weights)
        for number, pair in enumerate(zip(nominal.marked, anomalous.marked, strict=True)):
            effects[0, number, part] = clean - weighted_auroc(pair[0], anomalous.clean, *weights)
            effects[1, number, part] = clean - weighted_auroc(nominal.clean, pair[1], *weights)
    return effects


def _weights(images: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of the images in each draw, (draws, images); in double precision, rows sum to 1."""
    weights = image_weights(images, draws, rng).astype(np.float64)
    return weights / weights.sum(axis=1, keepdims=True)


def _intervals(
    values: np.ndarray, drawn: np.ndarray, limits: Thresholds, rng: np.random.Generator
) -> tuple[Interval, Interval]:
    """Of the artifact's value, and of its excess over the placebos' median.

    values: (1 + placebos,), the artifact first. drawn: the same under each draw, (1 + placebos, draws). The
    median is over placebos drawn anew, since others might have been made.
    """
    chosen = rng.integers(len(values) - 1, size=(len(values) - 1, drawn.shape[1]))
    medians = np.median(np.take_along_axis(drawn[1:], chosen, axis=0), axis=0)
    return (
        interval(values[0], drawn[0], limits.confidence),
        interval(beyond_placebos(values), drawn[0] - medians, limits.confidence),
    )


def _decide(
    effect: Interval, excess: Interval, p_holm: float, shift_p: float, clean: float, limits: Thresholds
) -> tuple[Verdict, str | None]:
    """The verdict on one side, and why there is no clear one."""
    if clean < limits.usable_auroc:
        return "inconclusive", (
            f"not a working detector here: the clean AUROC is {clean:.3f}, under {limits.usable_auroc}"
        )
    level, limit = 1 - limits.confidence + ROUNDING, limits.reliance
    above = p_holm <= level
    if above and min(effect.value, excess.value) > limit:
        return "relies", None
    if max(effect.high, excess.high) < limit:
        if clean - CHANCE >= limits.room:
            return "does-not-rely", None
        return "inconclusive", (
            f"no room: the clean AUROC is {clean - CHANCE:.2f} above chance, under {limits.room}, so that a "
            "reliance could not show"
        )
    others = effect.value - excess.value
    costs = f"the artifact costs {effect.value:.2f} AUROC, placebos {others:.2f} in the median"
    if effect.value > limit and excess.high < limit:
        moved = f", though the score moves further than by them (p {shift_p:.2g})" if shift_p <= level else ""
        return "inconclusive", (
            f"{costs}: any such mark does it{moved}; whether the artifact was learned, only twins can tell "
            "(fcdd-audit run)"
        )
    if above:
        return "inconclusive", f"{costs}: it costs more (p {p_holm:.2g}), but not by over {limit}"
    return "inconclusive", (
        f"{costs}: its rank among them doesn't show that it costs more (p {p_holm:.2g}), and the intervals "
        f"don't show that it costs under {limit}; more test images narrow them"
    )


def overall(sides: tuple[SideResult, ...]) -> tuple[Verdict, str | None]:
    """The one answer for both sides, and why there is no clear one."""
    if any(side.verdict == "relies" for side in sides):
        return "relies", None
    unclear = [f"{side.side} images: {side.reason}" for side in sides if side.verdict == "inconclusive"]
    return ("inconclusive", "; ".join(unclear)) if unclear else ("does-not-rely", None)


def judge_explanations(
    overlaps: Mapping[str, np.ndarray], seed: int, limits: Thresholds
) -> dict[str, RevealResult]:
    """overlaps: by explanation (1 + placebos, N), NaN where an image has no mask, or nothing else."""
    # NaN depends on the masks only, so that it is the same images that are left out for all of them.
    known = {name: values[:, ~np.isnan(values).any(axis=0)] for name, values in overlaps.items()}
    p_values = {
        name: rank_p_value(values.mean(axis=1)[0], values.mean(axis=1)[1:]) if values.size else float("nan")
        for name, values in known.items()
    }
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return {
        name: _judge_overlaps(values, p_values[name], corrected[name], seed, limits)
        for name, values in known.items()
    }


def _judge_overlaps(
    overlaps: np.ndarray, p: float, p_holm: float, seed: int, limits: Thresholds
) -> RevealResult:
    if overlaps.size == 0:
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        reason = "the mask is the whole image, so that no heatmap could point to it"
        return RevealResult("inconclusive", reason, nothing, (), nothing, float("nan"), float("nan"))
    rng = numpy_generator(seed, "bootstrap of placebos' overlap")
    drawn = overlaps @ _weights(overlaps.shape[1], limits.draws, rng).T
    values = overlaps.mean(axis=1)
    own, excess = _intervals(values, drawn, limits, rng)
    answer = _decide_reveals(own, excess, p_holm, limits)
    return RevealResult(*answer, own, tuple(values[1:].tolist()), excess, p, p_holm)


def _decide_reveals(
    overlap: Interval, excess: Interval, p: float, limits: Thresholds
) -> tuple[Answer, str | None]:
    level, limit = 1 - limits.confidence + ROUNDING, limits.reveal
    if p <= level and min(overlap.value - CHANCE, excess.value) > limit:
        return "yes", None
    if max(overlap.high - CHANCE, excess.high) < limit:
        return "no", None
    if overlap.value - CHANCE > limit and excess.high < limit:
        return "inconclusive", (
            f"the heatmaps find the artifact (pixel AUROC {overlap.value:.2f}), and placebos as well "
            f"({overlap.value - excess.value:.2f} in the median): they show any such mark"
        )
    return "inconclusive", (
        f"the pixel AUROC of {overlap.value:.2f}, {excess.value:.3f} more than of placebos in the median "
        f"(p {p:.2g}), isn't surely above or below by {limit}"
    )
