"""TorchScript archives."""

from __future__ import annotations

import warnings
from typing import ClassVar

import torch

from fcdd_audit.models.archives import is_torchscript
from fcdd_audit.models.base import FORMATS, Format, Opened, Place
from fcdd_audit.models.eager import of_module


@FORMATS.register("torchscript")
class TorchScript(Format):
    """A TorchScript file, .pt, .ts or .torchscript, of torch.jit.save; needs --trust-model."""

    suffixes: ClassVar[tuple[str, ...]] = (".ts", ".torchscript")
    runs_code: ClassVar[str | None] = "a TorchScript file brings code along, which scoring executes"

    def opens(self, place: Place) -> bool:
        return super().opens(place) or (place.path.suffix.lower() == ".pt" and is_torchscript(place.path))

    def load(self, place: Place, device: torch.device) -> Opened:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated, which its users know
            module = torch.jit.load(str(place.path), map_location=device)

        return of_module(module, device)
