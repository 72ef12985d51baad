"""A module of torch, got ready to score."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn

from fcdd_audit.models.base import Opened

TRAINING = "The model was in training mode and is put into evaluation mode."


def of_module(module: nn.Module, device: torch.device) -> Opened:
    """The module itself, moved to the device and put into evaluation mode."""
    notes = []
    if any(one.training for one in module.modules()):
        notes.append(TRAINING)
        module.eval()
    first = next(iter(_floating(module)), None)
    if any(one.device.type != device.type for one in chain(module.parameters(), module.buffers())):
        notes.append(f"The model is moved to {device}.")
    module.to(device)
    maps = getattr(module, "anomaly_map", None)
    return Opened(
        getattr(module, "score", module),
        maps=maps if callable(maps) else None,
        dtype=torch.float32 if first is None else first.dtype,
        notes=tuple(notes),
    )


def _floating(module: nn.Module) -> list[Tensor]:
    return [one for one in chain(module.parameters(), module.buffers()) if one.is_floating_point()]
