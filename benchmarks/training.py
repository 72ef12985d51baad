"""The whole training loop against the bare training step on a ready batch.

python benchmarks/training.py [--data CIFAR10] [--oe IMAGES] [--network cnn32-s,cnn32]
    [--precision float32,bfloat16] [--steps 60] [--threads 1] [--batch 200]

Trains FCDD on CIFAR-10 (airplane nominal) with the paper's augmentation. CIFAR10 holds
train/<class>/*.jpg; the anomalous images are those below IMAGES, or of the other classes. Without --data
the images are random. Prints images a second of both and the ratio, medians over blocks of steps: `fit`
itself runs the loop, and after every block of it, off its clock, as many bare steps are timed, so that the
ratio holds on a noisy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import time
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors import Detector, build, fit
from fcdd_audit.detectors.training.loop import uses_bfloat16
from fcdd_audit.detectors.training.schedule import length_of

SIDE, NOMINAL, OTHERS = 32, "airplane", 5000
BLOCK = 4  # steps timed at a time
WARM_UP = 2  # blocks left out
PAPER = {"shift": 4 / 32, "border": "black", "flip": 0.5, "jitter": 0.01, "noise": 0.001}
CPU = torch.device("cpu")


def load(paths: list[Path]) -> Tensor:
    """uint8 (N, 3, SIDE, SIDE)."""
    pictures = (Image.open(path).convert("RGB").resize((SIDE, SIDE)) for path in paths)
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2).contiguous()


def images(data: Path | None, oe: Path | None) -> tuple[Tensor, Tensor]:
    """Nominal and anomalous training images."""
    if data is None:
        generator = torch.Generator().manual_seed(0)
        shape = (2, OTHERS, 3, SIDE, SIDE)
        nominal, anomalous = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        return nominal, anomalous
    folders = [folder for folder in sorted((data / "train").iterdir()) if folder.name != NOMINAL]
    found = oe.rglob("*.*") if oe is not None else chain.from_iterable(f.glob("*.jpg") for f in folders)
    others = sorted(path for path in found if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    random.Random(0).shuffle(others)
    return load(sorted((data / "train" / NOMINAL).glob("*.jpg"))), load(others[:OTHERS])


class BareStep:
    """Trains a detector of its own on one ready batch, again and again."""

    def __init__(
        self,
        detector: Detector,
        recipe: Recipe,
        batch: Tensor,
        device: torch.device = CPU,
        capturable: bool = False,
    ) -> None:
        """capturable: whether a CUDA graph can hold the step."""
        self.detector = detector.to(device).to(memory_format=torch.channels_last).train()
        given = recipe.optimisation
        self.optimizer = torch.optim.Adam(
            detector.parameters(), given.lr, weight_decay=given.weight_decay, capturable=capturable
        )
        self.x = batch.to(device).float() / 255
        self.label = (torch.arange(len(batch), device=device) % 2).float()
        self.device, self.low = device, uses_bfloat16(recipe.compute.precision, device)

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16) if self.low else contextlib.nullcontext():
            loss = self.detector.loss(self.x, self.label)
        loss.backward()
        self.optimizer.step()


class Stopwatch:
    """Called after each step of the loop: times blocks of it and of bare steps in turns."""

    def __init__(self, bare: BareStep) -> None:
        self.bare, self.steps = bare, 0
        self.loop: list[float] = []
        self.ready: list[float] = []
        self.started = time.perf_counter()

    def __call__(self) -> None:
        self.steps += 1
        if self.steps % BLOCK:
            return
        between = time.perf_counter()
        for _ in range(BLOCK):
            self.bare()
        self.loop.append(between - self.started)
        self.started = time.perf_counter()
        self.ready.append(self.started - between)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="CIFAR-10 as train/<class>/*.jpg")
    parser.add_argument("--oe", type=Path, help="folder of anomalous training images")
    parser.add_argument("--network", default="cnn32-s,cnn32")
    parser.add_argument("--precision", default="float32,bfloat16")
    parser.add_argument("--steps", type=int, default=60, help="of the loop, for each case")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=200, help="images a step")
    options = parser.parse_args()
    if options.steps < BLOCK * (WARM_UP + 3):
        parser.error(f"--steps must be at least {BLOCK * (WARM_UP + 3)}")
    torch.set_num_threads(options.threads)
    nominal, anomalous = images(options.data, options.oe)
    print(
        f"torch {torch.__version__}, {options.threads} thread(s), {len(nominal)} nominal and "
        f"{len(anomalous)} anomalous images of {SIDE} px, batches of {options.batch}"
    )
    for network in options.network.split(","):
        for precision in options.precision.split(","):
            recipe = Recipe.of(
                steps=options.steps, batch_size=options.batch, precision=precision, network=network, **PAPER
            )
            part = nominal[: options.steps * options.batch]
            size = length_of(recipe.optimisation, len(part)).batch
            bare, trained = (build("fcdd", nominal, 0, network=network) for _ in range(2))
            watch = Stopwatch(BareStep(bare, recipe, nominal[:size]))
            fit(trained, part, anomalous, recipe, 0, CPU, on_step=watch)
            loop, ready = watch.loop[WARM_UP:], watch.ready[WARM_UP:]
            ratio = statistics.median(b / a for a, b in zip(loop, ready, strict=True))
            print(
                f"{network:<8} {precision:<8}  loop {BLOCK * size / statistics.median(loop):,.0f} images/s  "
                f"bare step {BLOCK * size / statistics.median(ready):,.0f} images/s  "
                f"ratio {100 * ratio:.1f} % (median of {len(loop)} blocks)",
                flush=True,
            )


if __name__ == "__main__":
    main()
