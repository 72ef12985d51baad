"""What the twins' scores do: a number a twin.

Every measure takes the twins' scores by seed, the direction, and each twin's frozen threshold, and returns
one number a twin, (twins,), or None where it does not apply.
"""

from __future__ import annotations

import math

import numpy as np

from fcdd_audit.core.directions import CLEAN, DIRECTIONS
from fcdd_audit.measures.detection import AUROC, auroc, threshold
from fcdd_audit.measures.reliance import Scores, drop, new_alarms, right_in_use, shift
from fcdd_audit.measures.table import HALF, Measure, family, register


def _aurocs(twins: list[Scores], split: str, plant_on: str) -> np.ndarray:
    return np.array([auroc(*scores.split(split, plant_on)) for scores in twins])


Twins = tuple[np.ndarray, np.ndarray]  # numbers of the planted and of the control twins, each (pairs,)


def score_numbers(
    planted: list[Scores], control: list[Scores], plant_on: str, quantile: float
) -> dict[str, Twins]:
    """What the scores of pairs of twins do, by measure, of those that apply to both.

    quantile: of the nominal validation scores, each twin's frozen threshold.
    """
    both = [
        {
            one.name: one.function(twins, plant_on, [threshold(x.validation, quantile) for x in twins])
            for one in family("scores")
        }
        for twins in (planted, control)
    ]
    return {
        name: (values, both[1][name])
        for name, values in both[0].items()
        if values is not None and both[1][name] is not None
    }


def clean_auroc(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray:
    """AUROC on the test images without the artifact."""
    return _aurocs(twins, "clean", plant_on)


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


def usual_auroc(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray | None:
    """AUROC on the test images as the detector meets them in use, where that isn't clean."""
    if DIRECTIONS[plant_on].usual == CLEAN:
        return None
    return _aurocs(twins, "usual", plant_on)


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


def aligned_auroc(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray:
    """AUROC on test images with the artifact on the side where training had it."""
    return _aurocs(twins, "aligned", plant_on)


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


def conflict_auroc(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray:
    """AUROC on test images with the artifact on the side where training did not have it, or taken off."""
    return _aurocs(twins, "conflict", plant_on)


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


def auroc_drop(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray:
    """AUROC on images as they are in use less that on the conflict set; positive: the artifact misleads."""
    return np.array([drop(scores, plant_on) for scores in twins])


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


def drop_elsewhere(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray | None:
    """AUROC lost where as much is removed at another place of the same images: what removing alone costs."""
    if not all(scores.has("elsewhere") for scores in twins):
        return None
    return np.array([drop(scores, plant_on, "elsewhere") for scores in twins])


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


def score_shift(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray:
    """Median change of the score by the artifact, in inter-quartile ranges of the nominal scores in use; of
    the images that differ between the set in use and the conflict set, positive where it misleads.

    NaN where the nominal scores have no inter-quartile range.
    """
    return np.array([shift(scores, plant_on) for scores in twins])


SHIFT = register(
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


def placebo_shift(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray | None:
    """The score shift by a placebo: the same region of an image that doesn't bear the artifact, put in its
    place."""
    if not all(scores.has("placebo") for scores in twins):
        return None
    return np.array([shift(scores, plant_on, "placebo") for scores in twins])


PLACEBO = register(
    Measure(
        name="placebo_shift",
        label="score shift, placebo",
        unit=SHIFT.unit,
        bounds=(-math.inf, math.inf),
        chance=None,
        function=placebo_shift,
        source=None,
        family="scores",
        row=("placebo", "score_shift"),
    )
)


def alarms(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray:
    """Share of the images that differ in the conflict set which are wrongly decided at the frozen threshold
    with the artifact only: nominal images that raise an alarm, anomalies that hide."""
    return np.array(
        [new_alarms(scores, plant_on, limit) for scores, limit in zip(twins, limits, strict=True)]
    )


NEW_ALARMS = register(
    Measure(
        name="new_alarms",
        label="new alarms",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=alarms,
        source=None,
        family="scores",
        row=("conflict", "new_alarms"),
    )
)


def rightly_decided(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray:
    """Share of the images that differ in the conflict set which are rightly decided in use, so that the
    artifact could mislead."""
    return np.array(
        [right_in_use(scores, plant_on, limit) for scores, limit in zip(twins, limits, strict=True)]
    )


RIGHT = register(
    Measure(
        name="right_in_use",
        label="rightly decided in use",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=rightly_decided,
        source=None,
        family="scores",
        row=None,
    )
)


def flip_rate(twins: list[Scores], plant_on: str, limits: list[float]) -> np.ndarray:
    """Share of the images that differ in the conflict set whose decision at the frozen threshold changes
    too."""
    return np.array([_flips(scores, plant_on, limit) for scores, limit in zip(twins, limits, strict=True)])


def _flips(scores: Scores, plant_on: str, limit: float) -> float:
    usual, conflict = scores.changed_pair(plant_on)
    return float(((usual > limit) != (conflict > limit)).mean())


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
