"""Reference maps that know nothing of the model: what an overlap is worth without an explanation."""

from __future__ import annotations

import numpy as np
import torch
from skimage.filters import sobel
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from fcdd_audit.detectors.base import Scorer
from fcdd_audit.explainers.base import EXPLAINERS


@EXPLAINERS.register("random")
class SmoothNoise:
    """Reference: smooth random noise, as coarse as a typical map, blind to model and image."""

    reference = True

    def unavailable(self, detector: Scorer) -> str | None:
        return None

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        count, _, height, width = x.shape
        noise = torch.randn(count, 1, height, width, generator=generator).to(x)
        sigma = min(height, width) / 16
        smooth = gaussian_blur(noise, [2 * int(2 * sigma) + 1] * 2, [sigma] * 2)
        return smooth - smooth.amin(dim=(2, 3), keepdim=True)


@EXPLAINERS.register("edges")
class Edges:
    """Reference: the image's own edges (Sobel), blind to the model."""

    reference = True

    def unavailable(self, detector: Scorer) -> str | None:
        return None

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        grey = x.mean(dim=1).cpu().numpy()
        return torch.from_numpy(np.stack([sobel(image) for image in grey]))[:, None].to(x)
