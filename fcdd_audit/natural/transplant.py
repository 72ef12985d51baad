"""Found artifacts, cut out of the images that bear them by their masks, to be put on others at the same
place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.probes.placed import Placed

EDGE = 2  # pixels around a region over which it fades out


def soft(masks: Tensor) -> Tensor:
    """How much of a region is pasted, float (N, 1, H, W): 1 in the mask, 2/3 and 1/3 on the two pixels around
    it, else 0. masks: bool (N, 1, H, W)."""
    grown = masks.float()
    total = grown.clone()
    for _ in range(EDGE):
        grown = F.max_pool2d(grown, 3, stride=1, padding=1)
        total += grown
    return total / (EDGE + 1)


def cut_out(images: Tensor, masks: Tensor) -> Placed:
    """What the images bear, each a layer with a soft edge (`soft`).

    images: uint8 (n, C, H, W). masks: bool (n, 1, H, W), none of them empty. ValueError for an empty mask.
    """
    if not masks.flatten(1).any(dim=1).all():
        raise ValueError("an image to cut out of has an empty mask")
    return _of(soft(masks), images)


def in_place_of(placed: Placed, images: Tensor) -> Placed:
    """Placebos: at each layer's place, with its edge, what another image has there.

    images: uint8 (n, C, H, W), one a layer, which don't bear the artifact.
    """
    return _of(placed.alpha, images)


def opposite(placed: Placed, placebo: Placed) -> Placed:
    """Layers that no training image bears, of the same size and edge, as far from the placebo as the artifact
    is, but the other way: dark where it is bright, and in the opposite colour. Cut off at black and white.
    """
    paint = (2 * placebo.paint - placed.paint).clamp(min=0).minimum(placed.alpha)
    return Placed(placed.alpha, paint, placed.mask)


def laid(images: Tensor, placed: Placed, layer: int) -> Tensor:
    """One layer on every image, uint8 (N, C, H, W) like `images`."""
    alpha, paint = placed.alpha[layer], placed.paint[layer]
    return ((images.float() / 255 * (1 - alpha) + paint) * 255).round().clamp(0, 255).to(torch.uint8)


def _of(alpha: Tensor, images: Tensor) -> Placed:
    return Placed(alpha, images.float() / 255 * alpha, alpha > 0)
