"""Terms that several detectors share."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6  # bounds the push's gradient at distance 0


def pseudo_huber(squared: Tensor) -> Tensor:
    """sqrt(squared + 1) - 1, elementwise, >= 0; exact for small arguments too."""
    return squared / ((squared + 1).sqrt() + 1)


def hypersphere_loss(distance: Tensor, label: Tensor) -> Tensor:
    """Pull nominal images in, push anomalous ones out: mean over the batch.

    distance: (N,), >= 0. label: (N,), 0 nominal, 1 anomalous. A nominal image costs its distance d, an
    anomalous one -log(1 - exp(-d)). Each image has its own term, whatever else is in the batch.
    Source: FCDD, eq. 2 (arXiv 2007.01760); HSC (arXiv 2006.00339).
    """
    push = -torch.log(-torch.expm1(-(distance + EPSILON)))
    return torch.where(label.bool(), push, distance).mean()
