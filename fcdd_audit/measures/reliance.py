"""Does the score rely on the artifact? Paired changes of the score, beyond the control's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fcdd_audit.measures.detection import auroc, placements
from fcdd_audit.measures.statistics import Estimate

Variant = Literal["clean", "marked"]
CLEAN: tuple[Variant, Variant] = ("clean", "clean")
MARKED: tuple[Variant, Variant] = ("marked", "marked")
ON_NOMINAL: tuple[Variant, Variant] = ("marked", "clean")
ON_ANOMALOUS: tuple[Variant, Variant] = ("clean", "marked")


@dataclass(frozen=True)
class Direction:
    """Where an artifact is in training, and the test sets that follow from it.

    side: the training images that bear it, hence what it stands for: a cue on the `anomalous` side raises the
    score, one on the `nominal` side lowers it. usual, aligned, conflict: which (nominal, anomalous) images a
    test set takes. usual: those that the detector meets in use. aligned: the artifact on the side where
    training had it. conflict: on the other, or taken off.
    """

    side: Literal["nominal", "anomalous"]
    usual: tuple[Variant, Variant]
    conflict: tuple[Variant, Variant]

    @property
    def aligned(self) -> tuple[Variant, Variant]:
        return ON_NOMINAL if self.side == "nominal" else ON_ANOMALOUS

    @property
    def changed(self) -> Literal["nominal", "anomalous"]:
        """The side whose test images differ between the usual and the conflict set."""
        return "nominal" if self.usual[0] != self.conflict[0] else "anomalous"


# An artifact that is found, not planted, is on some images from the start: what can be tested is taking it
# off. Their clean images are those with the artifact removed.
DIRECTIONS = {
    "anomalous": Direction("anomalous", CLEAN, ON_NOMINAL),
    "nominal": Direction("nominal", CLEAN, ON_ANOMALOUS),
    "oe": Direction("anomalous", CLEAN, ON_NOMINAL),
    "all-but-oe": Direction("nominal", MARKED, ON_ANOMALOUS),
    "found-on-anomalous": Direction("anomalous", MARKED, ON_NOMINAL),
    "found-on-nominal": Direction("nominal", MARKED, ON_ANOMALOUS),
}


@dataclass(frozen=True)
class Scores:
    """One detector's scores. Each array is (images,); clean and marked are paired.

    validation: of nominal images as they are in use. elsewhere: of images from which as much was removed as
    the artifact, at another place; None where that wasn't done.
    """

    validation: np.ndarray
    nominal_clean: np.ndarray
    nominal_marked: np.ndarray
    anomalous_clean: np.ndarray
    anomalous_marked: np.ndarray
    nominal_elsewhere: np.ndarray | None = None
    anomalous_elsewhere: np.ndarray | None = None

    def split(self, name: str, plant_on: str) -> tuple[np.ndarray, np.ndarray]:
        """(nominal, anomalous) scores of a test set.

        clean and marked: both sides so. usual, aligned, conflict: see `Direction`. elsewhere: the usual set,
        something else than the artifact removed where the conflict set changes it.
        """
        direction = DIRECTIONS[plant_on]
        sets = {
            "clean": CLEAN,
            "marked": MARKED,
            "usual": direction.usual,
            "elsewhere": direction.usual,
            "aligned": direction.aligned,
            "conflict": direction.conflict,
        }
        taken: dict[str, str] = dict(zip(("nominal", "anomalous"), sets[name], strict=True))
        if name == "elsewhere":
            taken[direction.changed] = "elsewhere"
        nominal, anomalous = (getattr(self, f"{side}_{variant}") for side, variant in taken.items())
        return nominal, anomalous

    def changed_pair(self, plant_on: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the images that differ between the usual and the conflict set, in each of the two."""
        side = ("nominal", "anomalous").index(DIRECTIONS[plant_on].changed)
        return self.split("usual", plant_on)[side], self.split("conflict", plant_on)[side]

    def only(self, side: str, keep: np.ndarray) -> Scores:
        """Of one side only the images to keep, bool (images,)."""
        names = [f"{side}_{variant}" for variant in ("clean", "marked", "elsewhere")]
        kept = {name: getattr(self, name)[keep] for name in names if getattr(self, name) is not None}
        return replace(self, **kept)


def drop(scores: Scores, plant_on: str, split: str = "conflict") -> float:
    """AUROC on the usual minus AUROC on the conflict set, in [-1, 1]; positive: the artifact misleads.

    split: another set in place of the conflict set.
    """
    return auroc(*scores.split("usual", plant_on)) - auroc(*scores.split(split, plant_on))


def reliance(planted: list[Scores], control: list[Scores], plant_on: str) -> np.ndarray:
    """drop(planted) - drop(control) for each seed, (seeds,), in [-2, 2]; the twins are paired by seed.

    0: the artifact misleads the planted twin no more than the control.
    """
    return np.array([drop(p, plant_on) - drop(c, plant_on) for p, c in zip(planted, control, strict=True)])


def auroc_estimate(twins: list[Scores], split: str, plant_on: str) -> Estimate:
    """AUROC of each seed on a test set (see `Scores.split`); influence of the nominal and of the anomalous
    images."""
    sets = [scores.split(split, plant_on) for scores in twins]
    places = [placements(nominal, anomalous) for nominal, anomalous in sets]
    per_seed = np.array([of_anomalous.mean() for _, of_anomalous in places])
    by_side = (np.mean([place[side] for place in places], axis=0) for side in range(2))
    return Estimate(per_seed, tuple(values - values.mean() for values in by_side))


def drop_estimate(twins: list[Scores], plant_on: str, split: str = "conflict") -> Estimate:
    """`drop` of each seed, and the influence of the images."""
    return auroc_estimate(twins, "usual", plant_on) - auroc_estimate(twins, split, plant_on)


def flip_estimate(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate:
    """`flip_rate` of each seed at its own threshold, and the influence of the images; those of the side that
    the conflict set leaves as it is have none."""
    flips = np.stack(
        [_flips(*s.changed_pair(plant_on), limit) for s, limit in zip(twins, limits, strict=True)]
    ).astype(float)
    found = Estimate.of_mean(flips)
    changed = found.influence
    if DIRECTIONS[plant_on].changed == "nominal":
        return Estimate(found.per_seed, (*changed, np.zeros(len(twins[0].anomalous_clean))))
    return Estimate(found.per_seed, (np.zeros(len(twins[0].nominal_clean)), *changed))


def shift_estimate(twins: list[Scores], plant_on: str) -> Estimate:
    """`score_shift` of each seed. The images' influence is left out: a median has none of first order, so
    that intervals speak of these images only."""
    none = tuple(np.zeros(len(side)) for side in twins[0].split("clean", plant_on))
    return Estimate(np.array([score_shift(scores, plant_on) for scores in twins]), none)


def score_shift(scores: Scores, plant_on: str) -> float:
    """Median paired change of the score from the usual to the conflict set, of the images that it changes, in
    units of the usual nominal scores' inter-quartile range; NaN where that range is 0."""
    usual, conflict = scores.changed_pair(plant_on)
    low, high = np.quantile(scores.split("usual", plant_on)[0], [0.25, 0.75])
    return float(np.median(conflict - usual) / (high - low)) if high > low else float("nan")


def flip_rate(scores: Scores, plant_on: str, limit: float) -> float:
    """Share of the images that the conflict set changes whose decision at the frozen threshold changes too,
    in [0, 1]."""
    return float(_flips(*scores.changed_pair(plant_on), limit).mean())


def _flips(usual: np.ndarray, conflict: np.ndarray, limit: float) -> np.ndarray:
    return (usual > limit) != (conflict > limit)
