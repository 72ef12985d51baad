"""Arrays as files."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np


def npz_file(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as a compressed .npz; equal ones give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
