"""Does the score rely on the artifact? Paired changes of the score, beyond the control's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fcdd_audit.core.directions import CLEAN, DIRECTIONS, MARKED
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.table import Measure, register


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
