"""What a probe is, and the registry of probes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from fcdd_audit.core.registry import Registry


class Probe(Protocol):
    """Puts an artifact on images and knows where it is, if it is anywhere."""

    @property
    def placed(self) -> bool:
        """Whether the artifact has a place. A tone, such as a blur, is everywhere and so nowhere."""
        ...

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Put the artifact on every image.

        x: float (N, C, H, W) in [0, 1], C is 1 or 3. generator: on the CPU, whatever x's device.
        Returns the changed images, like x, and the mask, bool (N, 1, H, W): nothing outside it changed;
        None for an artifact without a place.
        Raises InputError where the artifact doesn't fit on the images.
        """
        ...


PROBES: Registry[type[Probe]] = Registry("probe")
