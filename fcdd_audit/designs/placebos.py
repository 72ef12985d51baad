"""Does a finished detector rely on the content of an artifact? Placebos stand in for the control twin.

A detector that can't be trained again has no twin that never saw the artifact. Its null is *placebos*: marks
of the same size, in the same places, of the same contrast, but of other content. What the artifact costs is
compared with what they cost, and the p-value is its rank among them (Phipson & Smyth 2010, arXiv 1603.05766).

The answer is about the content: *this* mark against *any* mark like it. A detector that learned the artifact
may react to every such mark; then the placebos cost as much, and the answer is inconclusive, not "does not
rely". Only twins can tell that detector from one that never saw the artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.measures.detection import auroc, weighted_auroc
from fcdd_audit.measures.localization import pixel_auroc
from fcdd_audit.measures.statistics import Interval, holm, image_weights, interval
from fcdd_audit.probes.base import Probe
from fcdd_audit.probes.surrogates import Blend, Placebos, blend_of
from fcdd_audit.verdict.findings import Answer, Verdict, without_nan
from fcdd_audit.verdict.thresholds import Thresholds

BATCH = 128  # images scored at a time
ALIKE = 0.5  # placebos of a higher correlation with the artifact aren't of other content
DRAWS_AT_ONCE = 128
ROUNDING = 1e-9
MIN_IMAGES = 2
CHANCE = 0.5  # of an AUROC

EXPLAIN = "explain"  # what a single explanation is called

Score = Callable[[Tensor], Tensor]


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

    @property
    def placebo_effect(self) -> float:
        """Median over the placebos."""
        return float(np.median(self.placebo_effects))


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


def rank_p_value(observed: float, placebos: np.ndarray) -> float:
    """Chance of a value as high among placebos, were the artifact one of them: (1 + #{placebo >= observed}) /
    (placebos + 1), in (0, 1]. Exact, not an estimate (Phipson & Smyth 2010)."""
    return float((1 + (placebos >= observed).sum()) / (len(placebos) + 1))


def placebos_needed(level: float, together: int = len(SIDES)) -> int:
    """With fewer, no p-value is at most `level`, in (0, 1), after Holm's correction for so many answers given
    together; both sides by default."""
    return ceil(together / level - ROUNDING) - 1


def places(seed: int, side: Side) -> torch.Generator:
    """What draws where `placebo_test` puts the artifact on the images of a side, batch by batch."""
    return torch_generator(seed, f"places of the artifact on {side} images")


def placebo_test(
    score: Score,
    nominal: Tensor,
    anomalous: Tensor,
    probe: Probe,
    placebos: int = 99,
    seed: int = 0,
    explain: Score | Mapping[str, Score] | None = None,
    device: str | torch.device = "cpu",
    limits: Thresholds | None = None,
    progress: bool = False,
) -> PlaceboResult:
    """Compare what the artifact costs a finished detector with what placebos cost it.

    score: images (N, C, H, W) in [0, 1] on `device` to anomaly scores (N,), higher is more anomalous.
    nominal, anomalous: test images, uint8 (N, C, H, W). placebos: how many; every image is scored
    placebos + 2 times. seed: of the artifact's places, the placebos' contents and the bootstrap. explain: the
    same images to heatmaps (N, 1, H, W), non-negative, higher is more responsible, or several such functions
    by name; asked for nominal images only, since a map of what raises the score can't show what lowers it.
    progress: a bar on stderr.

    Of `limits`, with the level 1 - confidence:
    relies: p_holm is at most the level, and both effect and excess are over `reliance`.
    does-not-rely: the intervals of both end below `reliance`, and the clean AUROC is at least `room` above
    chance, so that there was something to lose.
    inconclusive: all else, and any detector whose clean AUROC is under `usable_auroc`.
    reveals: the same of the overlap beyond 0.5 and its excess, with `reveal`, and the correction for the
    number of explanations.
    Intervals are of a bootstrap of `draws` draws over images, the same for the artifact and all placebos, and
    over placebos.

    InputError for too few placebos or images, and an artifact without a mask, that isn't blended linearly, or
    whose content can't be rearranged. RunError for scores or heatmaps that aren't finite.
    """
    limits = limits or Thresholds()
    explainers = {} if explain is None else {EXPLAIN: explain} if callable(explain) else dict(explain)
    _check(nominal, anomalous, placebos, len(explainers), limits)
    device = torch.device(device)
    marks = Placebos(placebos, seed)
    likeness = _likeness(marks, probe, nominal[:BATCH].shape, device)
    with (
        deterministic(),
        tqdm(total=len(nominal) + len(anomalous), desc="placebos", unit="image", disable=not progress) as bar,
    ):
        measured = {
            side: _measure(score, images, probe, marks, places(seed, side), device, bar, explained)
            for side, images, explained in zip(SIDES, (nominal, anomalous), (explainers, {}), strict=True)
        }
    sides = _judge_sides(measured["nominal"], measured["anomalous"], seed, limits)
    verdict, reason = _overall(sides)
    clean = auroc(measured["nominal"].clean, measured["anomalous"].clean)
    return PlaceboResult(
        verdict,
        reason,
        clean,
        placebos,
        likeness,
        seed,
        len(nominal),
        len(anomalous),
        sides,
        _judge_explanations(measured["nominal"].overlaps, seed, limits),
    )


def _check(nominal: Tensor, anomalous: Tensor, placebos: int, explainers: int, limits: Thresholds) -> None:
    for side, images in zip(SIDES, (nominal, anomalous), strict=True):
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise InputError(
                f"the {side} test images are {images.dtype} of shape {tuple(images.shape)}; give uint8 "
                "(images, channels, height, width)"
            )
        if len(images) < MIN_IMAGES:
            raise InputError(f"there are {len(images)} {side} test images; at least {MIN_IMAGES} are needed")
    if nominal.shape[1:] != anomalous.shape[1:]:
        raise InputError(
            f"the nominal test images are of shape {tuple(nominal.shape[1:])}, and the anomalous ones of "
            f"{tuple(anomalous.shape[1:])}; give them one (channels, height, width)"
        )
    check_placebos(placebos, explainers, limits)


def check_placebos(placebos: int, explainers: int, limits: Thresholds) -> None:
    """InputError for too few placebos to answer for both sides and for so many explanations."""
    level = 1 - limits.confidence
    if placebos < placebos_needed(level):
        raise InputError(
            f"{placebos} placebos can't give a p-value of {level:.2g} on two sides (Holm); at least "
            f"{placebos_needed(level)} are needed"
        )
    if placebos < placebos_needed(level, explainers):
        raise InputError(
            f"{placebos} placebos can't give a p-value of {level:.2g} for {explainers} explanations together "
            f"(Holm); at least {placebos_needed(level, explainers)} are needed, or fewer explanations"
        )


def _likeness(marks: Placebos, probe: Probe, shape: torch.Size, device: torch.device) -> float:
    """Median absolute correlation of the placebos' content with the artifact's; InputError if it is high."""
    artifact = blend_of(probe, shape, places(marks.seed, "nominal"), device)
    likeness = float(np.median([abs(_correlation(artifact, mark)) for mark in marks.of(artifact)]))
    if likeness > ALIKE:
        raise InputError(
            f"placebos of {type(probe).__name__} come out like the artifact itself (correlation "
            f"{likeness:.2f}, over {ALIKE}), because its content has hardly another form; use a larger or "
            "less regular artifact, or train twins (fcdd-audit run)"
        )
    return likeness


@dataclass(frozen=True)
class _Measured:
    """One side's scores: clean, (N,), and marked, (1 + placebos, N), the artifact first. overlaps: by
    explanation, pixel AUROC of the heatmaps, like marked."""

    clean: np.ndarray
    marked: np.ndarray
    overlaps: dict[str, np.ndarray]


def _measure(
    score: Score,
    images: Tensor,
    probe: Probe,
    marks: Placebos,
    generator: torch.Generator,
    device: torch.device,
    bar: Any,
    explainers: Mapping[str, Score],
) -> _Measured:
    clean: list[np.ndarray] = []
    marked: list[np.ndarray] = []
    overlaps: dict[str, list[np.ndarray]] = {name: [] for name in explainers}
    for batch in images.split(BATCH):
        x = batch.to(device).float() / 255
        artifact = blend_of(probe, x.shape, generator, device)
        clean.append(_scores(score, x))
        rows: list[np.ndarray] = []
        heat: dict[str, list[np.ndarray]] = {name: [] for name in explainers}
        for mark in chain([artifact], marks.of(artifact)):
            shown = mark.on(x)
            rows.append(_scores(score, shown))
            for name, explain in explainers.items():
                heat[name].append(_overlap(name, explain, shown, mark.mask))
        marked.append(np.stack(rows))
        for name, maps in heat.items():
            overlaps[name].append(np.stack(maps))
        bar.update(len(x))
    return _Measured(
        np.concatenate(clean),
        np.concatenate(marked, axis=1),
        {name: np.concatenate(batches, axis=1) for name, batches in overlaps.items()},
    )


def _scores(score: Score, x: Tensor) -> np.ndarray:
    with torch.no_grad():
        scores = score(x)
    if scores.shape != (len(x),):
        raise InputError(
            f"score gives values of shape {tuple(scores.shape)} for {len(x)} images; it must give one number "
            "an image"
        )
    if not torch.isfinite(scores).all():
        raise RunError("the detector gives test images scores that aren't finite")
    return scores.cpu().double().numpy()


def _overlap(name: str, explain: Score, x: Tensor, mask: Tensor) -> np.ndarray:
    heat = explain(x).detach()
    if not torch.isfinite(heat).all():
        raise RunError(f"the explanation '{name}' gives heatmaps that aren't finite")
    return pixel_auroc(heat.cpu(), mask.cpu()).numpy()


def _correlation(artifact: Blend, placebo: Blend) -> float:
    where = artifact.mask[:, 0]
    pair = torch.stack([artifact.shade[where], placebo.shade[where]])
    return float(torch.corrcoef(pair)[0, 1])


def _judge_sides(
    nominal: _Measured, anomalous: _Measured, seed: int, limits: Thresholds
) -> tuple[SideResult, ...]:
    rng = numpy_generator(seed, "bootstrap of placebos")
    drawn = _effect_draws(nominal, anomalous, limits.draws, rng)
    clean = auroc(nominal.clean, anomalous.clean)
    effects = (
        np.array([clean - auroc(marked, anomalous.clean) for marked in nominal.marked]),
        np.array([clean - auroc(nominal.clean, marked) for marked in anomalous.marked]),
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


def _effect_draws(
    nominal: _Measured, anomalous: _Measured, draws: int, rng: np.random.Generator
) -> np.ndarray:
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
        interval(values[0] - np.median(values[1:]), drawn[0] - medians, limits.confidence),
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


def _overall(sides: tuple[SideResult, ...]) -> tuple[Verdict, str | None]:
    if any(side.verdict == "relies" for side in sides):
        return "relies", None
    unclear = [f"{side.side} images: {side.reason}" for side in sides if side.verdict == "inconclusive"]
    return ("inconclusive", "; ".join(unclear)) if unclear else ("does-not-rely", None)


def _judge_explanations(
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
