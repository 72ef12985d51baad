"""Programs of torch.export."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.models.base import FORMATS, Format, Opened, Place, Shape


@FORMATS.register("pt2")
class Exported(Format):
    """A .pt2 file of torch.export.save; needs --trust-model."""

    suffixes: ClassVar[tuple[str, ...]] = (".pt2",)
    runs_code: ClassVar[str | None] = "opening a .pt2 file can fall back to a pickle, which can execute code"

    def load(self, place: Place, device: torch.device) -> Opened:
        with _silent():
            program = torch.export.load(str(place.path))
        example = _input(program, place)
        if example.device.type != device.type:
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        batch, *sides = (size if isinstance(size, int) else None for size in example.shape)
        shape: Shape = (sides[0], sides[1], sides[2])
        return Opened(program.module(), shape=shape, batch=batch, dtype=example.dtype)


@contextmanager
def _silent() -> Iterator[None]:
    """Without what torch logs of a file that it can't read: our own line says it."""
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def _input(program: torch.export.ExportedProgram, place: Place) -> Tensor:
    """What stands for the program's images."""
    names = program.graph_signature.user_inputs
    values = [
        node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names
    ]
    if len(values) != 1 or not isinstance(values[0], Tensor) or values[0].ndim != 4:
        raise InputError(
            f"the program '{place.path}' takes {len(names)} inputs ({', '.join(map(str, names))}), and one "
            "of images (N, C, H, W) is needed; export a module whose forward takes the images alone"
        )
    if not values[0].is_floating_point():
        raise InputError(
            f"the program '{place.path}' takes {values[0].dtype}, and images are floats in [0, 1]; export "
            "one that takes these"
        )
    return values[0]
