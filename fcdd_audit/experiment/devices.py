"""Where it is calculated: devices, and how many cores may be used."""

from __future__ import annotations

import platform

import torch
from joblib.externals import loky

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors.training.loop import uses_bfloat16


def device_name(device: str) -> str:
    """The GPU's name, or the processor's."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def precision_of(recipe: Recipe, device: str) -> str:
    """What training calculates in on this device."""
    return "bfloat16" if uses_bfloat16(recipe.compute.precision, torch.device(device)) else "float32"


def cores() -> int:
    """How many this process may use: affinity and a container's limits count."""
    return int(loky.cpu_count())  # joblib's own knows one where there are no semaphores


def default_workers(device: str) -> int:
    """One worker a core for work on the CPU, this process alone for a GPU."""
    return cores() if device == "cpu" else 1
