"""Does the score rely on the artifact? Paired changes of the score, beyond the control's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fcdd_audit.core.directions import CLEAN, DIRECTIONS, MARKED
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.measures.detection import auroc, placements
from fcdd_audit.measures.statistics import Estimate


@dataclass(frozen=True)
class Scores:
    """One detector's anomaly scores, higher is more anomalous.

    validation: of nominal images as they are in use, (images,). of: of the test images, by side and variant,
    each (images,). The variants of a side are paired: `clean`, `marked`, and what else an audit made of its
    images, such as `elsewhere`, from which as much was removed as the artifact, at another place. ValueError
    where they aren't of the same images.
    """

    validation: np.ndarray
    of: Mapping[tuple[Side, str], np.ndarray]

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

    def changed_pair(self, plant_on: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the images that differ between the usual and the conflict set, in each of the two."""
        side = SIDES.index(DIRECTIONS[plant_on].changed)
        return self.split("usual", plant_on)[side], self.split("conflict", plant_on)[side]

    def only(self, side: Side, keep: np.ndarray) -> Scores:
        """Of one side only the images to keep, bool (images,)."""
        kept = {key: values[keep] if key[0] == side else values for key, values in self.of.items()}
        return replace(self, of=kept)


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
        return Estimate(found.per_seed, (*changed, np.zeros(len(twins[0].split("usual", plant_on)[1]))))
    return Estimate(found.per_seed, (np.zeros(len(twins[0].split("usual", plant_on)[0])), *changed))


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
