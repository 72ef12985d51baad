"""Terms that several detectors share."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6  # bounds the push's gradient at distance 0


def full(x: Tensor) -> Tensor:
    """In float32 where it is in less, as under autocast; else as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def pseudo_huber(squared: Tensor) -> Tensor:
    """sqrt(squared + 1) - 1, elementwise, >= 0; exact for small arguments too."""
    return squared / ((squared + 1).sqrt() + 1)


def pseudo_huber_slope(after: Tensor, before: Tensor) -> Tensor:
    """Of the chord of `pseudo_huber` between two squared arguments: its difference over theirs."""
    return 1 / ((after + 1).sqrt() + (before + 1).sqrt())


def hypersphere_loss(distance: Tensor, label: Tensor) -> Tensor:
    """Pull nominal images in, push anomalous ones out: mean over the batch.

    distance: (N,), >= 0. label: (N,), 0 nominal, 1 anomalous. A nominal image costs its distance d, an
    anomalous one -log(1 - exp(-d)). Each image has its own term, whatever else is in the batch.
    Source: FCDD, eq. 2 (arXiv 2007.01760); HSC (arXiv 2006.00339).
    """
    return torch.where(label.bool(), _push(distance), distance).mean()


def _push(distance: Tensor) -> Tensor:
    """-log(1 - exp(-d)), elementwise, with a bounded gradient at 0."""
    return -torch.log(-torch.expm1(-(distance + EPSILON)))


def pixel_loss(heat: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
    """FCDD's semi-supervised loss: pull heat down off the anomalies, push it up on them; mean over the batch.

    heat: (N, 1, H, W), >= 0. label: (N,), 0 nominal, 1 anomalous. mask: (N, 1, H, W), bool, or numbers in
    [0, 1]; where the anomaly is. None: anomalous images are wholly anomalous.

    With m = H * W and Y the mask, an image costs (1/m) sum (1 - Y) A', and one with any mask pixel
    -log(1 - exp(-(1/m) sum Y A')) on top. A nominal image has no anomaly, Y = 0, whatever its mask.
    Source: FCDD, section 3 (arXiv 2007.01760), and the reference's `__gt_loss`.
    """
    wanted = torch.ones_like(heat) if mask is None else mask.to(heat)
    wanted = wanted.masked_fill(~label.bool()[:, None, None, None], 0)
    pull = ((1 - wanted) * heat).mean(dim=(1, 2, 3))
    push = _push((wanted * heat).mean(dim=(1, 2, 3)))
    return (pull + torch.where(wanted.flatten(1).any(dim=1), push, 0)).mean()
