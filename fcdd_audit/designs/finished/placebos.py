"""Does a finished detector rely on the content of an artifact? Placebos stand in for the control twin.

A detector that can't be trained again has no twin that never saw the artifact. Its null is *placebos*: marks
of the same size, in the same places, of the same contrast, but of other content. What the artifact costs is
compared with what they cost, and the p-value is its rank among them (Phipson & Smyth 2010, arXiv 1603.05766).

The answer is about the content: *this* mark against *any* mark like it. A detector that learned the artifact
may react to every such mark; then the placebos cost as much, and the answer is inconclusive, not "does not
rely". Only twins can tell that detector from one that never saw the artifact.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.progress import progress_bar
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.designs.finished.answers import PlaceboResult
from fcdd_audit.designs.finished.judging import judge_explanations, judge_sides, overall, placebos_needed
from fcdd_audit.designs.finished.measuring import BATCH, Measured, Score, correlation, measure, places
from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.placebos import likeness
from fcdd_audit.probes.base import Probe
from fcdd_audit.probes.surrogates import Placebos, blend_of
from fcdd_audit.verdict.thresholds import Thresholds

ALIKE = 0.5  # placebos of a higher correlation with the artifact aren't of other content
MIN_IMAGES = 2
EXPLAIN = "explain"  # what a single explanation is called


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
    alike = likeness_of(Placebos(placebos, seed), probe, nominal[:BATCH].shape, device)
    measured = measure_sides(
        score,
        {"nominal": nominal, "anomalous": anomalous},
        probe,
        placebos,
        seed,
        explainers,
        device,
        progress,
    )
    return judged(measured, alike, placebos, seed, limits)


def measure_sides(
    score: Score | None,
    images: Mapping[Side, Tensor],
    probe: Probe,
    placebos: int,
    seed: int,
    explainers: Mapping[str, Score],
    device: torch.device,
    progress: bool = False,
) -> dict[Side, Measured]:
    """What `placebo_test` measures; errors as there. score: None: overlaps only, of nominal images."""
    marks = Placebos(placebos, seed)
    asked: dict[Side, Mapping[str, Score]] = {"nominal": explainers, "anomalous": {}}
    with (
        deterministic(),
        progress_bar(progress, total=sum(map(len, images.values())), desc="placebos", unit="image") as bar,
    ):
        return {
            side: measure(score, images[side], probe, marks, places(seed, side), device, bar, asked[side])
            for side in SIDES
            if score is not None or asked[side]
        }


def judged(
    measured: Mapping[Side, Measured], alike: float, placebos: int, seed: int, limits: Thresholds
) -> PlaceboResult:
    """The answer of `placebo_test`. alike: `PlaceboResult.likeness`."""
    nominal, anomalous = measured["nominal"], measured["anomalous"]
    sides = judge_sides(nominal, anomalous, seed, limits)
    verdict, reason = overall(sides)
    return PlaceboResult(
        verdict,
        reason,
        auroc(nominal.clean, anomalous.clean),
        placebos,
        alike,
        seed,
        len(nominal.clean),
        len(anomalous.clean),
        sides,
        judge_explanations(nominal.overlaps, seed, limits),
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


def likeness_of(marks: Placebos, probe: Probe, shape: torch.Size, device: torch.device) -> float:
    """Median absolute correlation of the placebos' content with the artifact's; InputError if it is high."""
    artifact = blend_of(probe, shape, places(marks.seed, "nominal"), device)
    found = likeness(np.array([correlation(artifact, mark) for mark in marks.of(artifact)]))
    if found > ALIKE:
        raise InputError(
            f"placebos of {type(probe).__name__} come out like the artifact itself (correlation "
            f"{found:.2f}, over {ALIKE}), because its content has hardly another form; use a larger or "
            "less regular artifact, or train twins (fcdd-audit run)"
        )
    return found
