"""How much a training step calculates and keeps, and what follows from it on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from fcdd_audit.detectors.base import Detector
from fcdd_audit.detectors.training.models import stackable

STATES = 4  # of a weight: itself, its gradient, and two moments of Adam
BUSY = 20e9  # multiply-adds forward in a step from which on a card is busy: more twins a step don't pay
COSTLY = 5e9  # the same, from which on deterministic algorithms in float32 cost much
MEMORY_SHARE = 0.5  # of a card's memory that a stack may take


@dataclass(frozen=True)
class Size:
    """Of a training: multiply-adds of a step's forward pass, and bytes of weights, their states, and what a
    step keeps for the backward pass."""

    work: float
    memory: float


def size_of(detector: Detector, batch: int) -> Size:
    """Of steps of so many images, from a pass of one in evaluation mode. The detector stays as it is."""
    image = torch.zeros(1, *detector.shape, device=next(detector.parameters()).device)
    own = {one.untyped_storage().data_ptr() for one in (*detector.parameters(), *detector.buffers())}
    kept: dict[int, int] = {}  # bytes by where they are: several operations may keep the same

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    training = detector.training
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda value: value):
        detector.eval().score(image)
    detector.train(training)
    weights = sum(prod(weight.shape) * weight.element_size() for weight in detector.parameters())
    return Size(batch * counter.get_total_flops() / 2, STATES * weights + 2 * batch * sum(kept.values()))


def repeats_cheaply(detector: Detector, batch: int, device: torch.device, low: bool) -> bool:
    """Whether training can afford algorithms that repeat themselves to the bit: not in float32 on a GPU where
    a step, of so many images together, is long. low: whether it is in bfloat16."""
    if device.type != "cuda" or low or not stackable(detector):  # of others nothing is known
        return True
    return size_of(detector, batch).work < COSTLY


def most_in_a_stack(detector: Detector, batch: int, device: torch.device) -> int:
    """How many trainings, of so many images a step, are done in one step at most; 1: each by itself.

    On the CPU a stack is slower. It is a power of two, and depends on the kind of GPU, not on what else is
    there: so it is the same every time.
    """
    if device.type != "cuda" or not stackable(detector):
        return 1
    own = size_of(detector, batch)
    memory = MEMORY_SHARE * torch.cuda.get_device_properties(device).total_memory
    most = int(min(BUSY // max(own.work, 1), memory // own.memory))
    return 1 << (max(1, most).bit_length() - 1)
