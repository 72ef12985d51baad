"""Random streams: one independent generator for each (seed, purpose)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed that depends on both arguments; different purposes give unrelated streams."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def torch_generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device` for one purpose."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, purpose))


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Within, the global generators of torch, numpy and Python begin anew, for code that draws from them;
    afterwards they are as before."""
    derived = derive_seed(seed, purpose)
    python, legacy = random.getstate(), np.random.get_state()
    in_use = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=list(in_use)):
        torch.manual_seed(derived)
        np.random.seed(derived % 2**32)
        random.seed(derived)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


def numpy_generator(seed: int, purpose: str) -> np.random.Generator:
    """A numpy generator for one purpose."""
    return np.random.default_rng(derive_seed(seed, purpose))
