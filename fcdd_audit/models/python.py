"""Functions and other objects of Python."""

from __future__ import annotations

from typing import Any

import torch

from fcdd_audit.models.base import FORMATS, Format, Opened


@FORMATS.register("python")
class Python(Format):
    """A function of images that gives scores, or an object with a score method, from code."""

    def recognises(self, model: object) -> bool:
        return not isinstance(model, type) and (callable(model) or callable(getattr(model, "score", None)))

    def adapt(self, model: object, device: torch.device) -> Opened:
        known: Any = model
        maps = getattr(known, "anomaly_map", None)
        return Opened(getattr(known, "score", known), maps=maps if callable(maps) else None)
