"""Does the score rely on the artifact? Paired changes of the score, beyond the control's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcdd_audit.measures.detection import auroc, placements
from fcdd_audit.measures.statistics import Estimate


@dataclass(frozen=True)
class Scores:
    """One detector's scores. Each array is (images,); clean and stamped are paired."""

    validation: np.ndarray
    nominal_clean: np.ndarray
    nominal_stamped: np.ndarray
    anomalous_clean: np.ndarray
    anomalous_stamped: np.ndarray

    def split(self, name: str, plant_on: str) -> tuple[np.ndarray, np.ndarray]:
        """(nominal, anomalous) scores of a test set.

        clean and stamped: both sides so. aligned: the artifact on the side where training had it.
        conflict: on the other side.
        """
        marked = {
            "clean": (),
            "stamped": ("nominal", "anomalous"),
            "aligned": (plant_on,),
            "conflict": ("anomalous" if plant_on == "nominal" else "nominal",),
        }[name]
        return (
            self.nominal_stamped if "nominal" in marked else self.nominal_clean,
            self.anomalous_stamped if "anomalous" in marked else self.anomalous_clean,
        )

    def conflict_pair(self, plant_on: str) -> tuple[np.ndarray, np.ndarray]:
        """(clean, stamped) scores of the images that bear the artifact in the conflict set."""
        if plant_on == "nominal":
            return self.anomalous_clean, self.anomalous_stamped
        return self.nominal_clean, self.nominal_stamped


def drop(scores: Scores, plant_on: str) -> float:
    """AUROC on the clean minus AUROC on the conflict set, in [-1, 1]; positive: the artifact misleads."""
    return auroc(*scores.split("clean", plant_on)) - auroc(*scores.split("conflict", plant_on))


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


def drop_estimate(twins: list[Scores], plant_on: str) -> Estimate:
    """`drop` of each seed, and the influence of the images."""
    return auroc_estimate(twins, "clean", plant_on) - auroc_estimate(twins, "conflict", plant_on)


def flip_estimate(twins: list[Scores], plant_on: str, limits: list[float]) -> Estimate:
    """`flip_rate` of each seed at its own threshold, and the influence of the images; those of the side that
    the conflict set leaves clean have none."""
    flips = np.stack(
        [_flips(*s.conflict_pair(plant_on), limit) for s, limit in zip(twins, limits, strict=True)]
    ).astype(float)
    other = np.zeros(len(twins[0].nominal_clean if plant_on == "nominal" else twins[0].anomalous_clean))
    found = Estimate.of_mean(flips)
    marked = found.influence
    return Estimate(found.per_seed, (other, *marked) if plant_on == "nominal" else (*marked, other))


def shift_estimate(twins: list[Scores], plant_on: str) -> Estimate:
    """`score_shift` of each seed. The images' influence is left out: a median has none of first order, so
    that intervals speak of these images only."""
    none = tuple(np.zeros(len(side)) for side in twins[0].split("clean", plant_on))
    return Estimate(np.array([score_shift(scores, plant_on) for scores in twins]), none)


def score_shift(scores: Scores, plant_on: str) -> float:
    """Median paired change of the score by the stamp on the conflict side, in units of the clean
    nominal scores' inter-quartile range; NaN where that range is 0."""
    clean, stamped = scores.conflict_pair(plant_on)
    low, high = np.quantile(scores.nominal_clean, [0.25, 0.75])
    return float(np.median(stamped - clean) / (high - low)) if high > low else float("nan")


def flip_rate(scores: Scores, plant_on: str, limit: float) -> float:
    """Share of the conflict side's images that the stamp moves across the frozen threshold, in [0, 1]."""
    return float(_flips(*scores.conflict_pair(plant_on), limit).mean())


def _flips(clean: np.ndarray, stamped: np.ndarray, limit: float) -> np.ndarray:
    return (clean > limit) != (stamped > limit)
