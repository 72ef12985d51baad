"""How many threads torch uses for many short passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

SHORT = 0.05  # seconds; threads that share less work than that mostly wait for each other


@contextmanager
def single() -> Iterator[int]:
    """Within, torch uses one thread for each operation; gives how many it used before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_if_short(once: Callable[[], object]) -> Iterator[None]:
    """Within, torch uses one thread if `once`, a pass over a small batch, is short with it. Numbers are the
    same to rounding."""
    with single() as before:
        once()  # warms up
        started = time.perf_counter()
        once()
        if time.perf_counter() - started > SHORT:
            torch.set_num_threads(before)
        yield
