"""Reference maps that know nothing of the model: what an overlap is worth without an explanation."""

from __future__ import annotations

import numpy as np
import torch
from skimage.filters import sobel
from torch import Tensor

from fcdd_audit.detectors.base import Scorer
from fcdd_audit.explainers.base import EXPLAINERS, PixelMap
from fcdd_audit.explainers.baselines import blurred


@EXPLAINERS.register("random")
class SmoothNoise(PixelMap):
    """Reference: smooth random noise, as coarse as a typical map, blind to model and image."""

    reference = True

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        count, _, height, width = x.shape
        noise = torch.randn(count, 1, height, width, generator=generator).to(x)
        smooth = blurred(noise, min(height, width) / 16)
        return smooth - smooth.amin(dim=(2, 3), keepdim=True)


@EXPLAINERS.register("edges")
class Edges(PixelMap):
    """Reference: the image's own edges (Sobel), blind to the model."""

    reference = True

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        grey = x.mean(dim=1).cpu().numpy()
        return torch.from_numpy(np.stack([sobel(image) for image in grey]))[:, None].to(x)


@EXPLAINERS.register("center")
class Centre(PixelMap):
    """Reference: a Gaussian around the image's centre, a quarter of its sides wide; blind to both."""

    reference = True

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        down, across = (
            torch.exp(-0.5 * (torch.linspace(-2, 2, side, device=x.device, dtype=x.dtype)).square())
            for side in x.shape[-2:]
        )
        return (down[:, None] * across).expand(len(x), 1, -1, -1).clone()
