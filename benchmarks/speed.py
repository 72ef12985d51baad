"""Images a second of trainings on random images: one detector, and stacks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from clock import waited
from torch import Tensor
from training import PAPER, BareStep

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.recipe import Precision, Recipe
from fcdd_audit.detectors import Detector, build, fit
from fcdd_audit.detectors.training.loop import DivergedError, fit_stack
from fcdd_audit.detectors.training.members import Member

WARM_UP = 0.2  # of the steps, left out
IMAGES = 2000  # of each side, so that an epoch is as long as in audits


@dataclass(frozen=True)
class Case:
    """A network, how it is trained, and how many steps are timed."""

    network: str
    batch: int
    side: int
    precision: Precision
    steps: int

    @property
    def recipe(self) -> Recipe:
        return Recipe.of(
            steps=self.steps,
            batch_size=self.batch,
            precision=self.precision,
            network=self.network,
            **PAPER,
        )

    def __str__(self) -> str:
        return f"{self.network} {self.batch} {self.side} px {self.precision}"


CASES = (
    Case("small", 16, 64, "float32", 1000),
    Case("cnn32-s", 128, 32, "bfloat16", 600),
    Case("cnn32", 200, 32, "bfloat16", 400),
    Case("cnn32", 200, 32, "float32", 200),
    Case("vgg11", 200, 224, "bfloat16", 60),
)
STACKED = Case("small", 16, 64, "float32", 600)
STACKS = (1, 10, 30, 100)
TINY_CASES = (Case("small", 4, 16, "float32", 6), Case("cnn32-s", 4, 32, "bfloat16", 6))
TINY_STACKED = Case("small", 4, 16, "float32", 6)
TINY_STACKS = (1, 2)


def random_images(case: Case) -> tuple[Tensor, Tensor]:
    """Nominal and anomalous ones, uint8 (N, 3, side, side)."""
    shape = (2, IMAGES, 3, case.side, case.side)
    nominal, anomalous = torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return nominal, anomalous


@dataclass
class Rate:
    """Told of steps, it tells images a second of those after the warm-up. members: trained at once, each of
    whose steps is told."""

    case: Case
    members: int = 1
    made: int = 0
    before: int = 0  # steps that were made when the clock began
    since: float = field(default=0.0)

    def __call__(self, steps: int = 1) -> None:
        self.made += steps
        if not self.before and self.made >= WARM_UP * self.case.steps * self.members:
            self.before, self.since = self.made, waited()

    def images(self) -> float:
        """To be asked at the end."""
        return (self.made - self.before) * self.case.batch / (waited() - self.since)


def _detector(case: Case, nominal: Tensor, seed: int = 0) -> Detector:
    return build("fcdd", nominal, seed, network=case.network)


def loop_rate(case: Case, images: tuple[Tensor, Tensor], device: torch.device) -> float:
    """Of the loop as it is."""
    rate = Rate(case)
    fit(_detector(case, images[0]), *images, case.recipe, 0, device, on_step=rate)
    return rate.images()


def stack_rate(
    case: Case, images: tuple[Tensor, Tensor], device: torch.device, size: int, graph: bool | None
) -> float:
    """Of so many detectors together, over all. RuntimeError if a training fails."""
    rate = Rate(case, size)
    members = [Member(_detector(case, images[0], seed), *images, seed) for seed in range(size)]
    for found in fit_stack(members, case.recipe, device, on_step=rate, graph=graph):
        if isinstance(found, DivergedError):
            raise RuntimeError(f"a training of {case} failed") from found
    return rate.images()


def bare_rate(case: Case, nominal: Tensor, device: torch.device, reproducible: bool) -> float:
    """Of forward, loss, backward and Adam on one ready batch."""
    step = BareStep(_detector(case, nominal), case.recipe, nominal[: case.batch], device)
    return _repeated(case, step, deterministic(reproducible))


def replayed_rate(case: Case, nominal: Tensor, device: torch.device) -> float:
    """Of the same step, replayed from a CUDA graph."""
    step = BareStep(_detector(case, nominal), case.recipe, nominal[: case.batch], device, capturable=True)
    with deterministic(False):
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(3):
                step()
        torch.cuda.current_stream(device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=aside):
            step()
    return _repeated(case, graph.replay, deterministic(False))


def _repeated(case: Case, step: Callable[[], object], within: Any) -> float:
    rate = Rate(case)
    with within:
        for _ in range(case.steps):
            step()
            rate()
    return rate.images()


def loops(cases: tuple[Case, ...], device: torch.device) -> list[dict[str, Any]]:
    """A row a case: images a second of each way."""
    rows = []
    for case in cases:
        images = random_images(case)
        row = {
            "case": str(case),
            "loop": loop_rate(case, images, device),
            "graph": stack_rate(case, images, device, 1, True) if device.type == "cuda" else None,
            "no graph": stack_rate(case, images, device, 1, False),
            "bare": bare_rate(case, images[0], device, False),
            "bare, deterministic": bare_rate(case, images[0], device, True),
            "bare, replayed": replayed_rate(case, images[0], device) if device.type == "cuda" else None,
        }
        best = row["bare, replayed"] or row["bare"]
        rows.append({**row, "loop / best bare": row["loop"] / best})
    return rows


def stacks(case: Case, sizes: tuple[int, ...], device: torch.device) -> list[dict[str, Any]]:
    """A row a stack: images a second over all, and how often that of one detector after the other, without
    graphs and as it is."""
    images = random_images(case)
    bare, alone = stack_rate(case, images, device, 1, False), loop_rate(case, images, device)
    rows = []
    for size in sizes:
        rate = stack_rate(case, images, device, size, None)
        rows.append({"stack": size, "images/s": rate, "/ no graph": rate / bare, "/ loop": rate / alone})
    return rows


def nan_stays(case: Case, device: torch.device) -> bool:
    """Whether a weight that isn't a number stops its own training only: the first of three has one."""
    images = random_images(case)
    members = [Member(_detector(case, images[0], seed), *images, seed) for seed in range(3)]
    with torch.no_grad():
        next(members[0].detector.parameters()).fill_(torch.nan)
    first, *others = fit_stack(members, case.recipe, device)
    return isinstance(first, DivergedError) and not any(isinstance(one, DivergedError) for one in others)
