"""The one training loop."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.detectors.base import Detector
from fcdd_audit.errors import InputError, RunError
from fcdd_audit.seeding import torch_generator


@dataclass(frozen=True)
class Recipe:
    """How a detector is trained.

    epochs: passes over as many draws as there are nominal images. batch_size: images a step.
    lr, weight_decay: Adam's. The rate falls to a tenth at 2/3 and again at 5/6 of the epochs (the
    paper's 400 and 500 of 600). oe_probability: a nominal draw is replaced by an anomalous training
    image with this probability, where the detector learns from both. shift: largest random
    displacement as a share of the image's side, mirrored at the border. noise: standard deviation of
    the noise added to pixels in [0, 1].
    """

    epochs: int = 6
    batch_size: int = 16
    lr: float = 1e-3
    weight_decay: float = 1e-6
    oe_probability: float = 0.5
    shift: float = 0.06
    noise: float = 0.001

    def __post_init__(self) -> None:
        for name, valid, need in (
            ("epochs", 1 <= self.epochs <= 1_000_000, "at least 1, and at most 1,000,000"),
            ("batch_size", self.batch_size >= 2, "at least 2"),
            ("lr", 0 < self.lr < math.inf, "over 0 and finite"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0 and finite"),
            ("oe_probability", 0 < self.oe_probability < 1, "in (0, 1)"),
            ("shift", 0 <= self.shift < 0.5, "in [0, 0.5)"),
            ("noise", 0 <= self.noise < math.inf, "at least 0 and finite"),
        ):
            if not valid:
                raise InputError(f"{name.replace('_', ' ')} is {getattr(self, name)}; it must be {need}")


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Ask torch for reproducible algorithms, and give the caller's torch settings back afterwards."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only with this
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark


def shifted(images: Tensor, moves: Tensor, reach: int) -> Tensor:
    """Displace each image by its own move, mirrored at the border.

    images: (N, C, H, W), floats or small integers. moves: (N, 2), rows and columns, in [0, 2 * reach];
    `reach` is no displacement. Returns (N, C, H, W).
    """
    if reach == 0:
        return images
    count, _, height, width = images.shape
    floating = images if images.is_floating_point() else images.float()
    padded = F.pad(floating, [reach] * 4, mode="reflect").to(images.dtype)
    rows = moves[:, :1] + torch.arange(height, device=images.device)
    columns = moves[:, 1:] + torch.arange(width, device=images.device)
    index = torch.arange(count, device=images.device)[:, None, None]
    pixels = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return pixels.permute(0, 3, 1, 2)


def training_steps(images: int, recipe: Recipe) -> tuple[int, int]:
    """Steps an epoch, which draw every one of `images` once (the last batch is topped up), and the
    batch size, which is never above the number of images."""
    size = min(recipe.batch_size, images)
    return -(-images // size), size


def fit(
    detector: Detector,
    nominal: Tensor,
    anomalous: Tensor,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    autocast: bool | None = None,
    on_step: Callable[[], object] = lambda: None,
) -> list[float]:
    """Train `detector` in place on `device`; returns the mean loss of each epoch.

    nominal, anomalous: uint8 (N, C, H, W). Batches, replacements, displacements and noise depend on
    `seed` and the numbers of images only, so twins draw the same ones. `autocast`: bfloat16 where torch
    thinks it safe; by default on CUDA devices that support it. RunError when the loss or a weight
    isn't finite.
    InputError when the detector learns from anomalous images and there are none.
    """
    mixes = "anomalous" in detector.learns_from
    if mixes and len(anomalous) == 0:
        raise InputError(
            f"{type(detector).__name__} learns from training anomalies and there are none; add "
            "train/anomalous, or outlier exposure with --oe, or choose a detector that learns from "
            "nominal images only (ae, dsvdd)"
        )
    if autocast is None:
        autocast = device.type == "cuda" and torch.cuda.is_bf16_supported()

    detector.to(device).to(memory_format=torch.channels_last)
    nominal, anomalous = nominal.to(device), anomalous.to(device)
    draws = torch_generator(seed, "batches")
    noise = torch_generator(seed, "noise", device)
    steps, size = training_steps(len(nominal), recipe)
    reach = int(recipe.shift * min(nominal.shape[-2:]))
    optimizer = torch.optim.Adam(detector.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    milestones = sorted({-(-recipe.epochs * 2 // 3), -(-recipe.epochs * 5 // 6)} - {recipe.epochs})
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
    losses: list[float] = []

    with deterministic():
        detector.train()
        first = torch.randperm(len(nominal), generator=draws)[:512].to(device)
        detector.start(nominal[first].float() / 255)
        for epoch in range(recipe.epochs):
            # All of an epoch's choices go to the device at once: no transfer within a step.
            order = torch.randperm(len(nominal), generator=draws)
            order = torch.cat([order, order])[: steps * size].reshape(steps, size).to(device)
            swap = torch.rand(steps, size, generator=draws) < recipe.oe_probability
            other = torch.rand(steps, size, generator=draws) * len(anomalous)
            moves = torch.randint(0, 2 * reach + 1, (steps, size, 2), generator=draws)
            swap, other, moves = swap.to(device), other.long().to(device), moves.to(device)
            total = torch.zeros((), device=device)
            for step in range(steps):
                x, label = nominal[order[step]], torch.zeros(size, device=device)
                if mixes:
                    label = swap[step].float()
                    x = torch.where(swap[step][:, None, None, None], anomalous[other[step]], x)
                x = shifted(x, moves[step], reach).float() / 255
                x = x + recipe.noise * torch.randn(x.shape, generator=noise, device=device)
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast(device.type, torch.bfloat16) if autocast else contextlib.nullcontext():
                    loss = detector.loss(x, label)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                on_step()
            losses.append(float(total) / steps)
            weights = torch.stack([weight.detach().abs().sum() for weight in detector.parameters()])
            if not (torch.isfinite(total) and torch.isfinite(weights).all()):
                raise RunError(
                    f"the loss or the weights of {type(detector).__name__} are not finite in epoch "
                    f"{epoch + 1} of {recipe.epochs} (seed {seed}); lower the learning rate (--lr)"
                )
            detector.end_epoch(epoch)
            schedule.step()
    detector.eval()
    return losses
