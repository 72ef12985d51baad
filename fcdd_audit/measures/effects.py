"""What the twins' scores do: for each seed a number, and how each image moves it.

Every measure takes the twins' scores by seed, the direction, and each twin's frozen threshold, and returns an
`Estimate`, or None where it does not apply.
"""

from __future__ import annotations

import math

import numpy as np

from fcdd_audit.core.directions import CLEAN, DIRECTIONS
from fcdd_audit.measures.detection import AUROC, auroc, placements
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import Estimate, interquartile_range
from fcdd_audit.measures.table import HALF, Measure, register


def auroc_estimate(twins: list[Scores], split: str, plant_on: str) -> Estimate:
    """AUROC of each seed on a test set (see `Scores.split`); influence of the nominal and of the anomalous
    images."""
    sets = [scores.split(split, plant_on) for scores in twins]
    places = [placements(nominal, anomalous) for nominal, anomalous in sets]
    by_side = (np.mean([place[side] for place in places], axis=0) for side in range(2))
    per_seed = np.array([auroc(nominal, anomalous) for nominal, anomalous in sets])
    return Estimate(per_seed, tuple(values - values.mean() for values in by_side))


def drop_estimate(twins: list[Scores], plant_on: str, split: str = "conflict") -> Estimate:
    """`reliance.drop` of each seed, and the influence of the images."""
    return auroc_estimate(twins, "usual", plant_on) - auroc_estimate(twins, split, plant_on)


def clean_auroc(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate:
    """AUROC on the test images without the artifact."""
    return auroc_estimate(twins, "clean", plant_on)


CLEAN_AUROC = register(
    Measure(
        name="clean_auroc",
        label="AUROC, clean",
        unit=None,
        bounds=(0, 1),
        chance=HALF,
        function=clean_auroc,
        source=AUROC.source,
        family="scores",
        row=None,
    )
)


def usual_auroc(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate | None:
    """AUROC on the test images as the detector meets them in use, where that isn't clean."""
    if DIRECTIONS[plant_on].usual == CLEAN:
        return None
    return auroc_estimate(twins, "usual", plant_on)


USUAL_AUROC = register(
    Measure(
        name="usual_auroc",
        label="AUROC, in use",
        unit=None,
        bounds=(0, 1),
        chance=HALF,
        function=usual_auroc,
        source=AUROC.source,
        family="scores",
        row=None,
    )
)


def aligned_auroc(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate:
    """AUROC on test images with the artifact on the side where training had it."""
    return auroc_estimate(twins, "aligned", plant_on)


register(
    Measure(
        name="aligned_auroc",
        label="AUROC, aligned",
        unit=None,
        bounds=(0, 1),
        chance=HALF,
        function=aligned_auroc,
        source=AUROC.source,
        family="scores",
        row=None,
    )
)


def conflict_auroc(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate:
    """AUROC on test images with the artifact on the side where training did not have it, or taken off."""
    return auroc_estimate(twins, "conflict", plant_on)


register(
    Measure(
        name="conflict_auroc",
        label="AUROC, conflict",
        unit=None,
        bounds=(0, 1),
        chance=HALF,
        function=conflict_auroc,
        source=AUROC.source,
        family="scores",
        row=None,
    )
)


def auroc_drop(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate:
    """AUROC on images as they are in use less that on the conflict set; positive: the artifact misleads."""
    return drop_estimate(twins, plant_on)


DROP = register(
    Measure(
        name="drop",
        label="AUROC drop",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=auroc_drop,
        source=None,
        family="scores",
        row=("conflict", "drop"),
    )
)


def drop_elsewhere(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate | None:
    """AUROC lost where as much is removed at another place of the same images: what removing alone costs."""
    if not all(scores.has("elsewhere") for scores in twins):
        return None
    return drop_estimate(twins, plant_on, "elsewhere")


register(
    Measure(
        name="drop_elsewhere",
        label="AUROC drop, as much removed elsewhere",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=drop_elsewhere,
        source=None,
        family="scores",
        row=("elsewhere", "drop"),
    )
)


def score_shift(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate:
    """Median change of the score from the set in use to the conflict set, of the images that differ in it.

    NaN where the nominal scores' inter-quartile range is 0. The images' influence is left out: a median has
    none of first order, so that intervals speak of these images only.
    """
    none = tuple(np.zeros(len(side)) for side in twins[0].split("clean", plant_on))
    return Estimate(np.array([_shift(scores, plant_on) for scores in twins]), none)


def _shift(scores: Scores, plant_on: str) -> float:
    usual, conflict = scores.changed_pair(plant_on)
    return float(np.median(conflict - usual) / interquartile_range(scores.split("usual", plant_on)[0]))


register(
    Measure(
        name="score_shift",
        label="score shift",
        unit="inter-quartile ranges of the nominal scores in use",
        bounds=(-math.inf, math.inf),
        chance=None,
        function=score_shift,
        source=None,
        family="scores",
        row=("conflict", "score_shift"),
    )
)


def flip_rate(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate:
    """Share of the images that differ in the conflict set whose decision at the frozen threshold changes too.

    Images of the side that the conflict set leaves as it is have no influence.
    """
    found = Estimate.of_mean(
        np.stack([_flips(scores, plant_on, limit) for scores, limit in zip(twins, limits, strict=True)])
    )
    changed = found.influence
    if DIRECTIONS[plant_on].changed == "nominal":
        return Estimate(found.per_seed, (*changed, np.zeros(len(twins[0].split("usual", plant_on)[1]))))
    return Estimate(found.per_seed, (np.zeros(len(twins[0].split("usual", plant_on)[0])), *changed))


def _flips(scores: Scores, plant_on: str, limit: float) -> np.ndarray:
    """1 for each changed image whose decision changes, else 0; (images,)."""
    usual, conflict = scores.changed_pair(plant_on)
    return ((usual > limit) != (conflict > limit)).astype(float)


register(
    Measure(
        name="flip_rate",
        label="decisions flipped",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=flip_rate,
        source=None,
        family="scores",
        row=("conflict", "flip_rate"),
    )
)
