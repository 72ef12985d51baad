"""Explanations from the score's gradient, by captum."""

from __future__ import annotations

import torch
from captum.attr import LayerGradCam, Saliency
from torch import Tensor

from fcdd_audit.detectors.base import Scorer
from fcdd_audit.detectors.receptive import SIGMA_PER_STRIDE, upsample
from fcdd_audit.explainers.base import EXPLAINERS


@EXPLAINERS.register("grad-cam")
class GradCam:
    """Grad-CAM at the features' last activation, positive part: what raises the anomaly score.

    Brought to image size by receptive-field upsampling. FCDD's features, an autoencoder's encoder: what
    follows the last activation, such as a pooling or the bare last convolution of the paper's networks, is
    not looked through, so that there the map is finer than the native one (cnn32: field 12 and stride 2,
    not 22 and 4; cnn28, whose first convolution bears its only activation: 5 and 1).
    Source: Selvaraju et al. 2017 (arXiv 1610.02391).
    """

    reference = False

    def unavailable(self, detector: Scorer) -> str | None:
        if getattr(detector, "cam_layer", None) is None or getattr(detector, "cam_field", None) is None:
            return "the detector names no layer and its field to look at (cam_layer, cam_field)"
        return None

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        layer, field = detector.cam_layer, detector.cam_field  # type: ignore[attr-defined]
        coarse = LayerGradCam(detector.score, layer).attribute(x, relu_attributions=True)
        shape = (x.shape[-2], x.shape[-1])
        return upsample(coarse.detach(), field, shape, SIGMA_PER_STRIDE * field.stride)


@EXPLAINERS.register("gradient")
class Gradient:
    """Absolute gradient of the anomaly score, summed over channels (Simonyan et al., arXiv 1312.6034)."""

    reference = False

    def unavailable(self, detector: Scorer) -> str | None:
        return None

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        gradient = Saliency(detector.score).attribute(x.clone().requires_grad_(), abs=True)
        return gradient.detach().sum(dim=1, keepdim=True)
