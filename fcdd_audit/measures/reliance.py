"""Does the score rely on the artifact? Paired changes of the score, beyond the control's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcdd_audit.measures.detection import auroc, weighted_auroc
from fcdd_audit.measures.statistics import image_weights, mean_over


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


@dataclass(frozen=True)
class RelianceDraws:
    """Bootstrap draws, each (draws,), of means over seeds and images, all from the same resamples."""

    reliance: np.ndarray
    planted_drop: np.ndarray


def reliance_draws(
    planted: list[Scores],
    control: list[Scores],
    plant_on: str,
    draws: int,
    rng: np.random.Generator,
) -> RelianceDraws:
    """Bootstrap mean reliance and the planted twin's own drop over seeds and images (see `statistics`)."""
    nominal_weights = image_weights(len(planted[0].nominal_clean), draws, rng)
    anomalous_weights = image_weights(len(planted[0].anomalous_clean), draws, rng)

    def drops(twins: list[Scores]) -> np.ndarray:  # (seeds, draws)
        return np.stack(
            [
                weighted_auroc(*scores.split("clean", plant_on), nominal_weights, anomalous_weights)
                - weighted_auroc(*scores.split("conflict", plant_on), nominal_weights, anomalous_weights)
                for scores in twins
            ]
        )

    planted_drops, control_drops = drops(planted), drops(control)
    chosen = rng.integers(len(planted), size=planted_drops.shape)
    return RelianceDraws(mean_over(planted_drops - control_drops, chosen), mean_over(planted_drops, chosen))


def score_shift(scores: Scores, plant_on: str) -> float:
    """Median paired change of the score by the stamp on the conflict side, in units of the clean
    nominal scores' inter-quartile range; NaN where that range is 0."""
    clean, stamped = scores.conflict_pair(plant_on)
    low, high = np.quantile(scores.nominal_clean, [0.25, 0.75])
    return float(np.median(stamped - clean) / (high - low)) if high > low else float("nan")


def flip_rate(scores: Scores, plant_on: str, limit: float) -> float:
    """Share of the conflict side's images that the stamp moves across the frozen threshold, in [0, 1]."""
    clean, stamped = scores.conflict_pair(plant_on)
    return float(((clean > limit) != (stamped > limit)).mean())
