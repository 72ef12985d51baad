"""Modules of torch."""

from __future__ import annotations

import torch
from torch import nn

from fcdd_audit.models.base import FORMATS, Format, Opened
from fcdd_audit.models.eager import of_module


@FORMATS.register("module")
class Module(Format):
    """An nn.Module whose forward, or score method, gives scores, from code."""

    def recognises(self, model: object) -> bool:
        return isinstance(model, nn.Module)

    def adapt(self, model: object, device: torch.device) -> Opened:
        if not isinstance(model, nn.Module):
            raise ValueError(f"a {type(model).__name__} is no nn.Module")
        return of_module(model, device)
