"""Does the score rely on the artifact? Paired changes of the score, beyond the control's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fcdd_audit.core.directions import CLEAN, DIRECTIONS, MARKED
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.statistics import interquartile_range
from fcdd_audit.measures.table import Measure, register

CUT = 5.0  # inter-quartile ranges; a shift of more is as bad


@dataclass(frozen=True)
class Scores:
    """One detector's anomaly scores, higher is more anomalous.

    validation: of nominal images as they are in use, (images,). of: of the test images, by side and variant,
    each (images,). The variants of a side are paired: `clean`, `marked`, and what else an audit made of its
    images, such as `elsewhere`, from which as much was removed as the artifact, at another place, or
    `placebo`, with something else in its place. ValueError where they aren't of the same images.
    crossed: of test images that transplants are put on, by side and variant (`measures.transplants`).
    """

    validation: np.ndarray
    of: Mapping[tuple[Side, str], np.ndarray]
    crossed: Mapping[tuple[Side, str], np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for side in SIDES:
            sizes = {values.shape for (at, _), values in self.of.items() if at == side}
            if len(sizes) != 1:
                raise ValueError(f"the variants of the {side} images must be paired, not {sizes or 'none'}")

    def split(self, name: str, plant_on: str) -> tuple[np.ndarray, np.ndarray]:
        """(nominal, anomalous) scores of a test set.

        clean and marked: both sides so. usual, aligned, conflict: see `Direction`. Any other variant, such as
        elsewhere: the usual set, with that variant where the conflict set changes it.
        """
        direction = DIRECTIONS[plant_on]
        sets = {
            "clean": CLEAN,
            "marked": MARKED,
            "usual": direction.usual,
            "aligned": direction.aligned,
            "conflict": direction.conflict,
        }
        taken = dict(zip(SIDES, sets.get(name, direction.usual), strict=True))
        if name not in sets:
            taken[direction.changed] = name
        return self.of["nominal", taken["nominal"]], self.of["anomalous", taken["anomalous"]]

    def has(self, variant: str) -> bool:
        """Whether both sides have this variant."""
        return all((side, variant) in self.of for side in SIDES)

    def changed_pair(self, plant_on: str, split: str = "conflict") -> tuple[np.ndarray, np.ndarray]:
        """Scores of the images that differ between the usual and the conflict set, or another, in each of the
        two."""
        side = SIDES.index(DIRECTIONS[plant_on].changed)
        return self.split("usual", plant_on)[side], self.split(split, plant_on)[side]

    def only(self, side: Side, keep: np.ndarray) -> Scores:
        """Of one side only the images to keep, bool (images,)."""
        kept = {key: values[keep] if key[0] == side else values for key, values in self.of.items()}
        return replace(self, of=kept)


def drop(scores: Scores, plant_on: str, split: str = "conflict") -> float:
    """AUROC on the usual minus AUROC on the conflict set, in [-1, 1]; positive: the artifact misleads.

    split: another set in place of the conflict set.
    """
    return auroc(*scores.split("usual", plant_on)) - auroc(*scores.split(split, plant_on))


def shift(scores: Scores, plant_on: str, split: str = "conflict") -> float:
    """Median change of the score from the set in use to the conflict set, of the images that differ, in
    inter-quartile ranges of the nominal scores in use. Positive: the artifact misleads, which is a higher
    score of nominal images and a lower one of anomalous images. split: another set in place of the conflict
    set. NaN without an inter-quartile range."""
    usual, conflict = scores.changed_pair(plant_on, split)
    unit = interquartile_range(scores.split("usual", plant_on)[0])
    return _misleads(plant_on) * float(np.median(conflict - usual)) / unit


def new_alarms(scores: Scores, plant_on: str, limit: float) -> float:
    """Share of the images that differ in the conflict set, in [0, 1], whose decision at the threshold
    `limit` is right in use and wrong there: nominal images that pass it, anomalous ones that hide."""
    usual, conflict = scores.changed_pair(plant_on)
    return float((_wrong(conflict, limit, plant_on) & ~_wrong(usual, limit, plant_on)).mean())


def right_in_use(scores: Scores, plant_on: str, limit: float) -> float:
    """Share of the images that differ in the conflict set whose decision in use is right, in [0, 1]: more of
    them can't be new alarms."""
    return float((~_wrong(scores.changed_pair(plant_on)[0], limit, plant_on)).mean())


def _misleads(plant_on: str) -> int:
    return 1 if DIRECTIONS[plant_on].changed == "nominal" else -1


def _wrong(values: np.ndarray, limit: float, plant_on: str) -> np.ndarray:
    alarm: np.ndarray = values > limit
    return alarm if DIRECTIONS[plant_on].changed == "nominal" else ~alarm


def reliance(planted: list[Scores], control: list[Scores], plant_on: str) -> np.ndarray:
    """AUROC drop of the planted twin less that of its control; 0: the artifact misleads it no more.

    The twins are paired by seed. Returns (seeds,).
    """
    return np.array([drop(p, plant_on) - drop(c, plant_on) for p, c in zip(planted, control, strict=True)])


RELIANCE = register(
    Measure(
        name="reliance",
        label="reliance",
        unit=None,
        bounds=(-2, 2),
        chance=None,
        function=reliance,
        source=None,
        family="pair",
        row=("conflict", "reliance"),
    )
)


def cut(shifts: np.ndarray) -> np.ndarray:
    """Shifts, or differences of shifts, cut off at 5 either way: over pairs they range to several hundreds,
    and a mean of such numbers says nothing of the others."""
    return np.clip(shifts, -CUT, CUT)


def dependence(planted: list[Scores], control: list[Scores], plant_on: str) -> np.ndarray:
    """Score shift of the planted twin less that of its control, cut off at 5 inter-quartile ranges either
    way; 0: the artifact moves its score no more.

    The twins are paired by seed. Returns (seeds,); NaN where a twin's nominal scores have no range.
    """
    return cut(
        np.array([shift(p, plant_on) - shift(c, plant_on) for p, c in zip(planted, control, strict=True)])
    )


DEPENDENCE = register(
    Measure(
        name="dependence",
        label="dependence",
        unit="inter-quartile ranges of the nominal scores in use",
        bounds=(-CUT, CUT),
        chance=None,
        function=dependence,
        source=None,
        family="pair",
        row=("conflict", "dependence"),
    )
)


def excess_alarms(
    planted: list[Scores], control: list[Scores], plant_on: str, limits: list[tuple[float, float]]
) -> np.ndarray:
    """New alarms of the planted twin less those of its control; 0: the artifact raises no more.

    The twins are paired by seed. limits: their frozen thresholds. Returns (seeds,).
    """
    return np.array(
        [
            new_alarms(p, plant_on, at_p) - new_alarms(c, plant_on, at_c)
            for p, c, (at_p, at_c) in zip(planted, control, limits, strict=True)
        ]
    )


EXCESS_ALARMS = register(
    Measure(
        name="excess_alarms",
        label="new alarms beyond the control's",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=excess_alarms,
        source=None,
        family="pair",
        row=("conflict", "excess_alarms"),
    )
)
