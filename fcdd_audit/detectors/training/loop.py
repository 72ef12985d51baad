"""The one training loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.recipe import Optimisation, Precision, Recipe
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors.base import Detector
from fcdd_audit.detectors.training.augment import Augmenter
from fcdd_audit.detectors.training.feed import Feeding, open_feed
from fcdd_audit.detectors.training.schedule import Length, length_of, rate_falls

TENTHS = 10


class Term(Protocol):
    """What a training adds to the detector's own loss."""

    def __call__(
        self, detector: Detector, x: Tensor, chosen: Tensor, move: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """What a step adds, a number, differentiable in the detector's weights.

        x: the step's images as the detector gets them, float (N, C, H, W). chosen: their numbers, (N,), on
        the CPU, nominal training images first. move: displaces and flips whatever else belongs to these
        images, (N, ...), like them.
        """
        ...


class DivergedError(RunError):
    """The loss or a weight isn't finite."""


class Losses(NamedTuple):
    """Mean losses of a training. steps: that were made. epochs: of each epoch, the last one's over the steps
    that were made of it. tenths: of each tenth of the steps, in order; empty of fewer than ten steps."""

    steps: int
    epochs: list[float]
    tenths: list[float]


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


def _optimizer(detector: Detector, given: Optimisation) -> Optimizer:
    learnt = [weight for weight in detector.parameters() if weight.requires_grad]
    if given.optimizer == "sgd":
        return SGD(learnt, lr=given.lr, momentum=0.9, nesterov=True, weight_decay=given.weight_decay)
    return Adam(learnt, lr=given.lr, weight_decay=given.weight_decay)


def _draw_images(
    nominal: int, anomalous: int, given: Optimisation, length: Length, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """An epoch's images, from `nominal` on the anomalous ones, and labels: (steps, N) each, on the CPU.

    The numbers drawn are the same without anomalous images, so that all detectors see the same order.
    """
    steps, size = length.per_epoch, length.batch
    order = torch.cat([torch.randperm(nominal, generator=generator) for _ in range(given.repeats)])
    order = torch.cat([order, order])[: steps * size].reshape(steps, size)
    swap = torch.rand(steps, size, generator=generator) < given.oe_probability
    other = torch.rand(steps, size, generator=generator)
    if anomalous == 0:
        return order, torch.zeros(steps, size)
    other = (other * anomalous).long().clamp_max(anomalous - 1)
    return torch.where(swap, nominal + other, order), swap.float()


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
    if len(nominal) == 0:
        raise InputError("there are no nominal training images; add train/nominal")
    mixes = "anomalous" in detector.learns_from
    if mixes and len(anomalous) == 0:
        raise InputError(
            f"{type(detector).__name__} learns from training anomalies and there are none; add "
            "train/anomalous, or outlier exposure with --oe, or choose a detector that learns from "
            "nominal images only (ae, dsvdd)"
        )
    if not mixes:
        anomalous, masks = nominal[:0], None
    if not detector.uses_masks:
        masks = None
    if nominal.dtype != torch.uint8 or anomalous.dtype != torch.uint8:
        raise InputError(f"the training images are {nominal.dtype} and {anomalous.dtype}; give uint8")
    if nominal.ndim != 4:
        raise InputError(
            f"the training images are of shape {tuple(nominal.shape)}; give (N, channels, height, width)"
        )
    if anomalous.shape[1:] != nominal.shape[1:]:
        raise InputError(
            f"the anomalous training images are of shape {tuple(anomalous.shape[1:])}, and the nominal ones "
            f"of {tuple(nominal.shape[1:])}; give them one (channels, height, width)"
        )
    if masks is not None:
        if masks.dtype != torch.bool or masks.shape != (len(anomalous), 1, *nominal.shape[-2:]):
            raise InputError(
                f"the masks are {masks.dtype} of shape {tuple(masks.shape)}; give a bool (1, height, width) "
                f"for each of the {len(anomalous)} anomalous images"
            )
        empty = ~masks.any(dim=(1, 2, 3))
        if empty.any():
            masks = masks | empty[:, None, None, None]

    detector.to(device).to(memory_format=torch.channels_last)
    draws = torch_generator(seed, "batches")
    channels, height, width = nominal.shape[1:]
    augment = Augmenter(recipe.augmentation, (channels, height, width), seed, device)
    optimizer = _optimizer(detector, recipe.optimisation)
    length = length_of(recipe.optimisation, len(nominal))
    falls = rate_falls(recipe.optimisation, length)
    low = uses_bfloat16(recipe.compute.precision, device)
    losses: list[float] = []
    each = torch.zeros(length.steps, device=device)
    done = 0

    with deterministic():
        feed = open_feed(nominal, anomalous, masks, device, feeding)
        detector.train()
        first = torch.randperm(len(nominal), generator=draws)[:512]
        detector.start(nominal.index_select(0, first).to(device))
        for epoch in range(length.epochs):
            # All of an epoch's choices go to the device at once: no transfer of them within a step.
            chosen, labels = _draw_images(len(nominal), len(anomalous), recipe.optimisation, length, draws)
            choices = augment.draw(len(chosen), chosen.shape[1], draws)
            chosen = chosen[: length.steps - done]
            labels = labels.to(device)
            total = torch.zeros((), device=device)
            for step, (images, mask) in enumerate(feed.epoch(chosen)):
                x, mask = augment(images, choices.step(step), mask)
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast(device.type, torch.bfloat16) if low else contextlib.nullcontext():
                    loss = detector.loss(x, labels[step], *(() if mask is None else (mask,)))
                    if term is not None:
                        move = partial(augment.moved, choices=choices.step(step))
                        loss = loss + term(detector, x, chosen[step], move)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                each[done] = loss.detach()
                done += 1
                if done in falls:
                    for group in optimizer.param_groups:
                        group["lr"] *= recipe.optimisation.decay
                on_step()
            losses.append(float(total) / len(chosen))
            weights = torch.stack([weight.detach().abs().sum() for weight in detector.parameters()])
            if not (torch.isfinite(total) and torch.isfinite(weights).all()):
                raise DivergedError(
                    f"the loss or the weights of {type(detector).__name__} are not finite in epoch "
                    f"{epoch + 1} of {length.epochs}; lower the learning rate (--lr)"
                )
            detector.end_epoch(epoch)
    detector.eval()
    return Losses(done, losses, means_of_tenths(each))
