"""Algorithms that give the same numbers every time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def deterministic(algorithms: bool = True) -> Iterator[None]:
    """Ask torch for reproducible algorithms and full float32, and give the caller's torch settings back
    afterwards. algorithms: False: for full float32, and the same choice of algorithms every time, only; then
    results on a GPU are the same to rounding."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, tf32 = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    precision = torch.get_float32_matmul_precision()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only with this
    torch.use_deterministic_algorithms(algorithms, warn_only=True)
    torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    memory.fill_uninitialized_memory = False  # nothing reads it, and filling it takes 5 % of a step
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = benchmark, tf32
        torch.set_float32_matmul_precision(precision)
        memory.fill_uninitialized_memory = fill
