"""Time the audit of a finished detector: three questions, and the dose.

python benchmarks/one_model.py [--size 64] [--images 200] [--rounds 3] [--threads 2]

A small FCDD is trained for a moment on the embedded textures. Then so many images of each side are audited
through `fcdd_audit.audit`, the page included, without and with the dose. Prints seconds, and how often all
images could have been scored once in that time.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from fcdd_audit import DATASETS, DataRequest, Recipe, audit, build, fit
from fcdd_audit.detectors import Detector


def trained(size: int) -> tuple[Detector, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A detector, and validation, nominal and anomalous images that it isn't tested on elsewhere."""
    data = DATASETS["textures"]().load(DataRequest(image_size=size))
    nominal, anomalous = data.train_nominal.images, data.train_anomalous.images
    detector = build("fcdd", nominal, 0)
    fit(detector, nominal, anomalous, Recipe.of(steps=100), 0, torch.device("cpu"))
    return detector.eval(), data.validation.images, nominal, anomalous


def seconds(run: object, rounds: int) -> float:
    """The median of several calls."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()  # type: ignore[operator]
        found.append(time.perf_counter() - started)
    return statistics.median(found)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="of the images, in px")
    parser.add_argument("--images", type=int, default=200, help="of each side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.enable_grad():
        detector, validation, nominal, anomalous = trained(options.size)
    both = nominal[: options.images], anomalous[: options.images]
    x = torch.cat(both).float() / 255
    once = seconds(lambda: [detector.score(part) for part in x.split(16)], options.rounds)
    with torch.enable_grad():
        for words, dose in (("three questions", False), ("with the dose on both sides", True)):
            taken = seconds(
                lambda dose=dose: audit(detector, *both, validation=validation, dose=dose), options.rounds
            )
            print(
                f"{words}: {taken:.1f} s, {taken / once:.0f} times scoring {len(x)} images once ({once:.3f} "
                f"s)"
            )


if __name__ == "__main__":
    main()
