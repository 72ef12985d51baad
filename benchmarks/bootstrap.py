"""Draws of the mean reliance over seeds and images, against resampling every AUROC exactly.

python benchmarks/bootstrap.py [--images 10000] [--seeds 5] [--draws 2000]

Both give the spread that the images cause; prints seconds, their ratio, and both standard deviations.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fcdd_audit.measures.detection import weighted_auroc
from fcdd_audit.measures.effects import drop_estimate
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.statistics import draw

SIDE = "anomalous"
ROWS = 100  # of exact draws at a time


def made(rng: np.random.Generator, images: int, shift: float) -> Scores:
    """Scores of a detector with a clean AUROC of about 0.9 that the stamp misleads."""
    nominal, anomalous = rng.normal(size=images // 2), rng.normal(1.8, size=images - images // 2)
    return Scores(
        nominal,
        {
            ("nominal", "clean"): nominal,
            ("nominal", "marked"): nominal + shift,
            ("anomalous", "clean"): anomalous,
            ("anomalous", "marked"): anomalous + shift,
        },
    )


def exact(planted: list[Scores], control: list[Scores], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Reliance under resampled images, (draws,)."""
    counts = [len(side) for side in planted[0].split("clean", "anomalous")]
    found = []
    for _ in range(0, draws, ROWS):
        weights = [rng.multinomial(n, np.full(n, 1 / n), ROWS).astype(float) for n in counts]

        def drops(twins: list[Scores], weights: list[np.ndarray] = weights) -> np.ndarray:
            return np.mean(
                [
                    weighted_auroc(*s.split("clean", SIDE), *weights)
                    - weighted_auroc(*s.split("conflict", SIDE), *weights)
                    for s in twins
                ],
                axis=0,
            )

        found.append(drops(planted) - drops(control))
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag, default in (("--images", 10_000), ("--seeds", 5), ("--draws", 2_000)):
        parser.add_argument(flag, type=int, default=default)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    planted = [made(rng, options.images, 1.0)] * options.seeds  # seeds that agree: the images' part alone
    control = [made(rng, options.images, 0.3)] * options.seeds
    started = time.perf_counter()
    estimate = drop_estimate(planted, SIDE) - drop_estimate(control, SIDE)
    (quick,) = draw([estimate], options.draws, rng)
    between = time.perf_counter()
    slow = exact(planted, control, options.draws, rng)
    ended = time.perf_counter()
    print(
        f"{options.images:,} images, {options.seeds} seeds, {options.draws:,} draws: "
        f"{between - started:.2f} s, exact resampling {ended - between:.1f} s, "
        f"ratio {(ended - between) / (between - started):.0f}; "
        f"standard deviation {quick.std():.5f} and {slow.std():.5f}"
    )


if __name__ == "__main__":
    main()
