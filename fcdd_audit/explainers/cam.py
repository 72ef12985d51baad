"""Grad-CAM, by captum."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.base import Scorer
from fcdd_audit.detectors.receptive import (
    SIGMA_PER_STRIDE,
    ReceptiveField,
    receptive_field,
    upsample,
)
from fcdd_audit.explainers.base import EXPLAINERS, no_gradient


@dataclass(frozen=True)
class _Cam:
    layer: str = ""

    reference = False
    either_way = False
    signed = False
    unit = "of activation × gradient"

    def unavailable(self, detector: Scorer) -> str | None:
        if (reason := no_gradient(detector)) is not None:
            return reason
        if self.layer:
            return self._misnamed(detector)
        if getattr(detector, "cam_layer", None) is None or getattr(detector, "cam_field", None) is None:
            return "the detector names no layer and its field to look at (cam_layer, cam_field)"
        return None

    def _misnamed(self, detector: Scorer) -> str | None:
        features = getattr(detector, "features", None)
        if not isinstance(features, nn.Sequential):
            return f"the detector has no features (nn.Sequential) in which to find layer '{self.layer}'"
        known = _named_leaves(features)
        if self.layer not in known:
            return f"the detector has no layer '{self.layer}' (known: {', '.join(known)})"
        if sum(layer is known[self.layer] for layer in known.values()) > 1:
            return f"layer '{self.layer}' stands in more than one place; Grad-CAM looks at one"
        try:
            self._place(detector)
        except ValueError as error:
            return str(error)
        return None

    def _place(self, detector: Scorer) -> tuple[nn.Module, ReceptiveField]:
        if not self.layer:
            return detector.cam_layer, detector.cam_field  # type: ignore[attr-defined]
        known = _named_leaves(detector.features)  # type: ignore[attr-defined]
        passed = list(known.values())[: list(known).index(self.layer) + 1]
        return passed[-1], receptive_field(nn.Sequential(*passed))

    def _coarse(self, detector: Scorer, x: Tensor, relu: bool) -> Tensor:
        """(N, 1, u, v), without graph. InputError for a layer that runs more than once for a score."""
        layer, _ = self._place(detector)
        calls: Counter[str] = Counter()

        def score(images: Tensor) -> Tensor:
            calls["score"] += 1
            return detector.score(images)

        with layer.register_forward_hook(lambda *_: calls.update(["layer"])):
            found = LayerGradCam(score, layer).attribute(x, relu_attributions=relu).detach()
        if calls["layer"] != calls["score"]:  # captum would look at the last place only
            raise InputError(
                f"Grad-CAM's layer ({layer}) runs more than once for a score; give each place a layer of its "
                "own, or name another one (grad-cam.layer)"
            )
        return found

    def _upsample(self, detector: Scorer, coarse: Tensor, x: Tensor) -> Tensor:
        _, field = self._place(detector)
        return upsample(coarse, field, (x.shape[-2], x.shape[-1]), SIGMA_PER_STRIDE * field.stride)

    def grain(self, detector: Scorer, side: int) -> ReceptiveField | None:
        return self._place(detector)[1]


def _named_leaves(layers: nn.Module, name: str = "features") -> dict[str, nn.Module]:
    """The layers of an `nn.Sequential`, those of nested ones in their place, by their names in the detector;
    one that stands there twice has two."""
    if not isinstance(layers, nn.Sequential):
        return {name: layers}
    named = layers.named_modules(remove_duplicate=False)
    own = {child: layer for child, layer in named if child and "." not in child}
    return {
        leaf: module
        for child, layer in own.items()
        for leaf, module in _named_leaves(layer, f"{name}.{child}").items()
    }


@EXPLAINERS.register("grad-cam")
@dataclass(frozen=True)
class GradCam(_Cam):
    """Grad-CAM at the features' last activation, positive part: what raises the anomaly score.

    layer: another layer to look at, such as features.2; default: the features' last activation.

    Brought to image size by receptive-field upsampling. FCDD's features, an autoencoder's encoder: what
    follows the last activation, such as a pooling or the bare last convolution of the paper's networks, is
    not looked through, so that there the map is finer than the native one (cnn32: field 12 and stride 2,
    not 22 and 4; cnn28, whose first convolution bears its only activation: 5 and 1).
    Source: Selvaraju et al. 2017 (arXiv 1610.02391).
    """

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return self._upsample(detector, self._coarse(detector, x, relu=True), x)


@EXPLAINERS.register("grad-cam-no-relu")
@dataclass(frozen=True)
class GradCamNoReLU(_Cam):
    """Grad-CAM without its ReLU, absolute value: what moves the anomaly score, up or down.

    layer: another layer to look at, such as features.2; default: the features' last activation.
    """

    either_way = True

    def explain(self, detector: Scorer, x: Tensor, generator: torch.Generator) -> Tensor:
        return self._upsample(detector, self._coarse(detector, x, relu=False).abs(), x)
