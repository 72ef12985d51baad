"""MobileNet v1's first layers with ImageNet weights as a trunk of one's own, for `quality.py --mobilenet`.

Read from a .npz with the names and layouts of Keras (float32; no bias; batch norm with eps 0.001; ReLU6;
stride-2 layers padded at the right and the bottom). The layers to the one that brings the stride
to 8 are frozen, the two after them train.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fcdd_audit.detectors.networks import Frozen

FROZEN = ("conv1", "conv_dw_1", "conv_pw_1", "conv_dw_2", "conv_pw_2", "conv_dw_3", "conv_pw_3", "conv_dw_4")
TRAINED = ("conv_pw_4", "conv_dw_5", "conv_pw_5")
STRIDE_2 = ("conv1", "conv_dw_2", "conv_dw_4")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _rescaling(channels: int) -> nn.Conv2d:
    """From the `imagenet` normalisation to [-1, 1] in three channels."""
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    if channels == 1:
        mean, std = mean.mean().expand(3), std.mean().expand(3)
    layer = nn.Conv2d(channels, 3, 1)
    weight = torch.diag(2 * std)[:, :, None, None] if channels == 3 else (2 * std).reshape(3, 1, 1, 1)
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(2 * mean - 1)  # type: ignore[union-attr]
    return layer


def _block(name: str, arrays: dict[str, np.ndarray]) -> list[nn.Module]:
    depthwise = "dw" in name
    kernel = torch.from_numpy(arrays[f"{name}/{'depthwise_kernel' if depthwise else 'kernel'}"])
    # Keras: (h, w, in, out) or, depthwise, (h, w, channels, 1).
    weight: Tensor = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
    outputs, side = weight.shape[0], weight.shape[2]
    inputs = outputs if depthwise else weight.shape[1]
    stride = 2 if name in STRIDE_2 else 1
    padding = 0 if stride == 2 else side // 2
    groups = outputs if depthwise else 1
    convolution = nn.Conv2d(inputs, outputs, side, stride, padding, groups=groups, bias=False)
    convolution.weight.data.copy_(weight)
    norm = nn.BatchNorm2d(outputs, eps=1e-3)
    for target, stored in (
        (norm.weight.data, "gamma"),
        (norm.bias.data, "beta"),
        (norm.running_mean, "moving_mean"),
        (norm.running_var, "moving_variance"),
    ):
        target.copy_(torch.from_numpy(arrays[f"{name}_bn/{stored}"]))  # type: ignore[union-attr]
    padded: list[nn.Module] = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
    return [*padded, convolution, norm, nn.ReLU6()]


def trunk(path: Path, channels: int) -> nn.Sequential:
    """Images of `channels` channels under the `imagenet` normalisation to 256 channels at stride 8."""
    with np.load(path) as stored:
        arrays = dict(stored)
    front = [layer for name in FROZEN for layer in _block(name, arrays)]
    back = [layer for name in TRAINED for layer in _block(name, arrays)]
    return nn.Sequential(Frozen(_rescaling(channels), *front), *back)
