"""A small folder data set drawn from a large one, for calibrations that could not be paid for otherwise.

python benchmarks/subset.py TARGET --dataset cifar10-oe --data-root DIR [--oe SOURCE] [--nominal-class NAME]
                            [--train 800] [--outliers 800] [--test 300]

Writes PNG files as `--dataset folder` takes them: so many nominal training images (the data set's validation
images not among them), outliers, and test images of each side, drawn without replacement by a fixed seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torchvision.io import write_png

from fcdd_audit.config.audit import make_config
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets import DATASETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    for flag in ("dataset", "data-root", "oe", "nominal-class"):
        parser.add_argument(f"--{flag}")
    parser.add_argument("--train", type=int, default=800)
    parser.add_argument("--outliers", type=int, default=800)
    parser.add_argument("--test", type=int, default=300)
    given = vars(parser.parse_args())
    target = given.pop("target")
    train, outliers, test = (given.pop(name) for name in ("train", "outliers", "test"))
    config = make_config(given)
    data = DATASETS[config.data.dataset]().load(
        config.data_request(config.nominal_classes()[0], progress=True)
    )
    for folder, part, count in (
        ("train/nominal", data.train_nominal, train),
        ("train/anomalous", data.train_anomalous, outliers),
        ("test/nominal", data.test_nominal, test),
        ("test/anomalous", data.test_anomalous, test),
    ):
        (target / folder).mkdir(parents=True)
        drawn = numpy_generator(0, f"subset {folder}").permutation(len(part))[:count]
        for index in sorted(drawn.tolist()):
            write_png(part.images[index], str(target / folder / f"{index:06d}.png"))
        print(f"{folder}: {len(drawn)} images of {len(part)}")


if __name__ == "__main__":
    main()
