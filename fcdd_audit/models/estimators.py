"""What libraries of estimators have in common: they score arrays of flat images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor


def on_flat(function: Callable[[np.ndarray], np.ndarray], sign: int) -> Callable[[Tensor], np.ndarray]:
    """From a function of (N, features) to one of images (N, C, H, W), its values times `sign`."""

    def score(x: Tensor) -> np.ndarray:
        return sign * np.asarray(function(x.detach().cpu().flatten(1).numpy()))

    return score
