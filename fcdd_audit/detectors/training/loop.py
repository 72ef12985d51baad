"""The one training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.recipe import Precision, Recipe
from fcdd_audit.detectors.base import Detector
from fcdd_audit.detectors.training.drawing import Drawing
from fcdd_audit.detectors.training.feed import Feed, Feeding, Resident, open_feed
from fcdd_audit.detectors.training.graph import Replayed, recorder_on
from fcdd_audit.detectors.training.members import Member, Term
from fcdd_audit.detectors.training.models import Alone, Trained, Vmapped, stackable
from fcdd_audit.detectors.training.optimizers import make_optimizer
from fcdd_audit.detectors.training.schedule import Length, length_of, rate_falls
from fcdd_audit.detectors.training.size import repeats_cheaply
from fcdd_audit.detectors.training.step import Step, Tables

TENTHS = 10
FIRST = 512  # nominal images that a detector starts with, at most


class DivergedError(RunError):
    """The loss or a weight isn't finite."""


class Losses(NamedTuple):
    """Mean losses of a training. steps: that were made. epochs: of each epoch, the last one's over the steps
    that were made of it. tenths: of each tenth of the steps, in order; empty of fewer than ten steps.
    replayed: of the steps, how many were replayed from a CUDA graph."""

    steps: int
    epochs: list[float]
    tenths: list[float]
    replayed: int = 0


def means_of_tenths(losses: Tensor) -> list[float]:
    """The mean of each tenth of the steps, in order; the first ones have one step more where ten doesn't
    divide their number. losses: (steps,). Empty for fewer than ten."""
    if len(losses) < TENTHS:
        return []
    return [float(part.double().mean()) for part in losses.cpu().tensor_split(TENTHS)]


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Whether training on `device` runs under bfloat16 autocast: for auto, where it has instructions for
    it (CUDA from compute capability 8.0 on; CPUs with AVX512-BF16 or AMX, as far as torch can tell)."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":  # private names, of which torch 2.4 has none
        probes = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
        return any(probe is not None and probe() for probe in probes)
    return False


def fit(
    detector: Detector,
    nominal: Tensor,
    anomalous: Tensor,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    masks: Tensor | None = None,
    on_step: Callable[[], object] = lambda: None,
    feeding: Feeding | None = None,
    term: Term | None = None,
) -> Losses:
    """Train `detector` in place on `device`; returns its mean losses.

    nominal, anomalous: uint8 (N, C, H, W) on the CPU; they may be memory-mapped and larger than memory.
    masks: bool (M, 1, H, W), where the anomalous images are anomalous; an empty one stands for all of it.
    The loss of a detector that uses masks gets them, moved like their images. What is drawn depends on
    `seed`, the recipe and the numbers of images only, so twins draw the same. feeding: how images reach the
    device, by default the fastest that fits (`choose_feeding`); the batches are the same. term: is added to
    the loss of every step, and to what is returned.

    RunError when the loss or a weight isn't finite. InputError for images or masks that it can't train on.
    """
    member = Member(detector, nominal, anomalous, seed, masks, term)
    (found,) = fit_stack([member], recipe, device, lambda steps: on_step(), feeding)
    if isinstance(found, DivergedError):
        raise found
    return found


def fit_stack(
    members: Sequence[Member],
    recipe: Recipe,
    device: torch.device,
    on_step: Callable[[int], object] = lambda steps: None,
    feeding: Feeding | None = None,
    graph: bool | None = None,
) -> list[Losses | DivergedError]:
    """Train several detectors of one class, options and network in place on `device`, in one step for all.

    Each has its own weights, images, batches, augmentation and statistics: it becomes what it would alone, to
    rounding. One whose loss or weights aren't finite stops nobody else; its error stands in place of its
    losses. on_step: is told after each step how many trainings made one. feeding: see `fit`. graph: whether
    steps are replayed from a CUDA graph; None: where it can be.

    ValueError for trainings that can't be one stack, or for a graph where none can be made. InputError for
    images or masks that can't be trained on.
    """
    members = [member.learnt() for member in members]
    detectors = [member.detector for member in members]
    length = _length(members, recipe)
    low = uses_bfloat16(recipe.compute.precision, device)
    with deterministic(repeats_cheaply(detectors[0], len(members) * length.batch, device, low)):
        feed = open_feed([member.source for member in members], device, feeding)
        drawing = Drawing(members, recipe, length, device)
        for member, first in zip(members, drawing.first(FIRST), strict=True):
            detector = member.detector.to(device)
            detector.to(memory_format=torch.channels_last)
            detector.train()
            detector.start(member.nominal.index_select(0, first).to(device))
        model: Trained = Alone(detectors[0]) if len(members) == 1 else Vmapped(detectors)
        try:
            return _train(members, model, recipe, drawing, feed, low, on_step, graph)
        finally:
            model.close()
            for detector in detectors:
                detector.eval()


def _length(members: Sequence[Member], recipe: Recipe) -> Length:
    """Of their trainings. ValueError where they can't be one stack."""
    lengths = {length_of(recipe.optimisation, len(member.nominal)) for member in members}
    if len(lengths) > 1:
        raise ValueError("trainings of unequal length can't be one stack")
    if len(members) > 1 and not all(stackable(member.detector) for member in members):
        raise ValueError(f"several of {members[0].name} can't be one stack")
    if len({(type(member.detector), member.shape, member.masks is None) for member in members}) > 1:
        raise ValueError("detectors of several classes, images of several shapes, or masks of some only")
    return lengths.pop()


def _train(
    members: Sequence[Member],
    model: Trained,
    recipe: Recipe,
    drawing: Drawing,
    feed: Feed,
    low: bool,
    on_step: Callable[[int], object],
    graph: bool | None,
) -> list[Losses | DivergedError]:
    length, device = drawing.length, drawing.device
    if not model.learnt:
        raise InputError(f"no weight of {members[0].name} can be trained: all its layers are frozen")
    optimizer = make_optimizer(model.learnt, recipe.optimisation)
    tables = Tables(length.per_epoch, len(members), model.learnt[0])
    step = Step(model, drawing.augment, optimizer, tables, low, [member.term for member in members])
    replayed = _replayed(members, step, feed, drawing, graph)
    falls = rate_falls(recipe.optimisation, length)
    losses = torch.zeros(length.steps, len(members), device=device, dtype=tables.losses.dtype)
    means: list[list[float]] = []
    errors: list[DivergedError | None] = [None] * len(members)
    done = 0
    drawn = drawing.epoch()
    for epoch in range(length.epochs):
        # All of an epoch's choices go to the device at once: no transfer of them within a step.
        tables.begin(drawn)
        count = min(length.per_epoch, length.steps - done)
        for _ in _steps(step, feed, drawn.chosen[:count], replayed):
            done += 1
            if done in falls:
                for group in optimizer.param_groups:
                    group["lr"] *= recipe.optimisation.decay
            on_step(len(members))
        if epoch + 1 < length.epochs:  # while a GPU is still at work
            drawn = drawing.epoch()
        losses[done - count : done] = tables.losses[:count]
        means.append([float(total) / count for total in tables.total.tolist()])
        finite = (torch.isfinite(tables.total) & model.finite()).tolist()
        for index, member in enumerate(members):
            if errors[index] is None and not finite[index]:
                errors[index] = DivergedError(
                    f"the loss or the weights of {member.name} are not finite in epoch {epoch + 1} of "
                    f"{length.epochs}; lower the learning rate (--lr)"
                )
        if all(errors):
            break
        for index, member in enumerate(members):
            if errors[index] is None:
                member.detector.end_epoch(epoch, tables.seen_of(index, count))
    replays = 0 if replayed is None else replayed.replays
    each = zip(errors, losses.cpu().unbind(dim=1), zip(*means, strict=True), strict=True)
    return [error or Losses(done, list(mean), means_of_tenths(own), replays) for error, own, mean in each]


def _replayed(
    members: Sequence[Member], step: Step, feed: Feed, drawing: Drawing, graph: bool | None
) -> Replayed | None:
    """The step as it is replayed; None: it isn't. ValueError where it must be and can't."""
    if graph is False:
        return None
    recorder = recorder_on(drawing.device, drawing.augment.noise)
    without_python = not step.needs_host and all(stackable(member.detector) for member in members)
    if recorder is not None and isinstance(feed, Resident) and without_python:
        return Replayed(step.on(feed), recorder)
    if graph:
        raise ValueError(
            "a CUDA graph needs a GPU, images that fit there, detectors with `stacks`, and a loss without "
            "further terms"
        )
    return None


def _steps(step: Step, feed: Feed, chosen: Tensor, replayed: Replayed | None) -> Iterator[None]:
    """Make the steps of an epoch, one at a time. chosen: (steps, M * N), on the CPU."""
    if replayed is not None:
        for _ in range(len(chosen)):
            replayed()
            yield
        return
    for batch, numbers in zip(feed.epoch(chosen), chosen, strict=True):
        step(batch, numbers)
        yield
