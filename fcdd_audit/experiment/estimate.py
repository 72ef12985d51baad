"""How long cells take: from a few training steps and a few heatmaps on one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch

from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors.training.loop import fit_stack
from fcdd_audit.detectors.training.members import Member
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.experiment.cells import Cell, together
from fcdd_audit.experiment.explaining import NOISE_DRAWS, at_once, explain
from fcdd_audit.experiment.setup import AS_IS, Setup
from fcdd_audit.explainers.sanity import one_by_one
from fcdd_audit.models.own import own_kind

SAMPLE = 256  # images trained on to learn a detector's speed


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _now(device: torch.device) -> float:
    """The time, once a GPU has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_a_step(name: str, setup: Setup) -> float:
    """Of training one twin, in as large a stack as one look makes: the median step, since the first ones warm
    up, and one may record a CUDA graph. The first training of the user's own code counts as all steps."""
    length = length_of(setup.recipe.optimisation, len(setup.data.train_nominal))
    if (own := own_kind(name)) is not None:
        return own.seconds / length.steps
    data, size = setup.data, length.batch
    nominal, anomalous = data.train_nominal.images[:SAMPLE], data.train_anomalous.images[:SAMPLE]
    masks = data.train_anomalous.masks
    batch = min(size, len(nominal) // 2)
    few = None if masks is None else masks[:SAMPLE]
    ended: list[float] = []
    stack = together(Cell(name, 0, AS_IS), setup)
    device = torch.device(setup.device)
    epochs = 1 if device.type == "cpu" else 8
    recipe = setup.recipe.changed(epochs=epochs, steps=None, repeats=1, batch_size=batch)
    members = [Member(setup.untrained(name, cell.seed), nominal, anomalous, cell.seed, few) for cell in stack]
    with _one_thread():
        fit_stack(members, recipe, device, lambda _: ended.append(_now(device)))
    return statistics.median(after - before for before, after in pairwise(ended)) * size / batch / len(stack)


def seconds_an_image(name: str, setup: Setup) -> float:
    """To explain it with all explainers; of the user's own code nothing is known."""
    if own_kind(name) is not None:
        return 0.0
    detector = setup.untrained(name, 0).eval()
    detector.to(torch.device(setup.device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    few = [one._replace(order=one.order[:2]) for one in setup.marked]
    device = torch.device(setup.device)
    explainers = {
        one: explainer
        for one, explainer in setup.make_explainers(name).items()
        if explainer.unavailable(detector) is None
    }
    with _one_thread():
        for _ in range(2):  # the first warms up
            started = time.perf_counter()
            for one, explainer in explainers.items():
                explain(detector, one, explainer, few, device, 0, at_once(device))
            seconds = time.perf_counter() - started
    return seconds / sum(len(one.order) for one in few)


def images_checked(name: str, setup: Setup) -> int:
    """How often an image is explained for the checks of an explainer."""
    copies = 2 * len(list(one_by_one(setup.untrained(name, 0), torch_generator(0, "redrawn weights"))))
    return (copies + NOISE_DRAWS) * sum(min(setup.sanity, len(one.order)) for one in setup.marked)
