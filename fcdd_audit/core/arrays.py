"""Arrays as files, and places in them."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np


def npz_file(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as a compressed .npz; equal ones give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def spread(count: int, most: int) -> list[int]:
    """At most so many of `count` places, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
