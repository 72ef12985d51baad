"""What an explanation costs: time and memory."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MEGABYTE = 2**20


@dataclass(frozen=True)
class Cost:
    """seconds: of one call. megabytes: at most alive at once, of tensors made by it (MiB)."""

    seconds: float
    megabytes: float


def cost(call: Callable[[], object], device: torch.device) -> Cost:
    """What `call` costs. It is called twice, for the time and for the memory; call it before to warm up.

    Memory is that of the tensors that operations return, on whatever device; what an operation needs within
    itself isn't seen.
    """
    _wait_for(device)
    started = time.perf_counter()
    call()
    _wait_for(device)
    seconds = time.perf_counter() - started
    with _LiveTensors() as live:
        call()
    return Cost(seconds, live.peak / MEGABYTE)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class _LiveTensors(TorchDispatchMode):
    """Counts the bytes of tensors that were made within, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # What operations take and didn't come from one was there before: weights, images.
        for one in _tensors((args, kwargs)):
            storage = one.untyped_storage()
            if storage._cdata not in self._known:
                self._known.add(storage._cdata)
                weakref.finalize(storage, self._known.discard, storage._cdata)
        found = func(*args, **(kwargs or {}))
        for one in _tensors(found):
            storage = one.untyped_storage()
            if storage._cdata not in self._known:
                self._known.add(storage._cdata)
                self.live += storage.nbytes()
                self.peak = max(self.peak, self.live)
                weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        return found

    def _freed(self, key: int, size: int) -> None:
        self.live -= size
        self._known.discard(key)


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
