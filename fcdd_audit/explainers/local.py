"""Scores of images that differ in one place only: their features are made anew there, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcdd_audit.detectors.base import Scorer
from fcdd_audit.detectors.receptive import POINTWISE, leaves

Span = tuple[int, int]  # from one place to before another
Box = tuple[Span, Span]  # of rows, and of columns
Layer = nn.Conv2d | nn.MaxPool2d


@contextmanager
def remembering(detector: Scorer) -> Iterator[None]:
    """Within, the detector's features remember those of the first images, and of others only make anew what
    the pixels that differ can reach. Scores are the same, to rounding; no gradients.

    Convolutions, max poolings and pointwise layers are gone through like this; a detector whose features
    have other layers, or that has none, is left as it is.
    """
    features = getattr(detector, "features", None)
    if type(features) is not nn.Sequential or not all(map(_is_local, leaves(features))):
        yield
        return
    # As the forward pass of the one module: whatever else a score is made of stays as it is.
    vars(features)["forward"] = _Remembering(leaves(features))
    try:
        yield
    finally:
        del vars(features)["forward"]


def _is_local(layer: nn.Module) -> bool:
    if layer.training:  # batch norm and dropout look beyond a pixel then
        return False
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if type(layer) is nn.MaxPool2d:
        return not layer.ceil_mode and not layer.return_indices
    return type(layer) in POINTWISE


class _Remembering:
    """The forward pass of layers."""

    def __init__(self, layers: list[nn.Module]) -> None:
        self.layers = layers
        self.known: list[Tensor] = []  # of the first images: what each layer gets, and the features

    def __call__(self, x: Tensor) -> Tensor:
        if not self.known or x.shape != self.known[0].shape:
            self.known = [x]
            for layer in self.layers:
                self.known.append(layer(self.known[-1]))
            return self.known[-1]
        found, box = self.known[-1].clone(), _differing(x, self.known[0])
        patch = _cut(x, box)
        for layer, before, after in zip(self.layers, self.known, self.known[1:], strict=False):
            if patch.numel() == 0:
                return found
            if isinstance(layer, Layer):
                patch, box = _through(layer, before, patch, box, after)
            else:
                patch = layer(patch)
        _cut(found, box).copy_(patch)
        return found


def _cut(x: Tensor, box: Box) -> Tensor:
    (top, bottom), (left, right) = box
    return x[..., top:bottom, left:right]


def _differing(x: Tensor, other: Tensor) -> Box:
    """The smallest box around all pixels of (N, C, H, W) that differ in any image."""
    differs = (x != other).flatten(0, 1).any(dim=0)
    return _extent(differs.any(dim=1)), _extent(differs.any(dim=0))


def _extent(holds: Tensor) -> Span:
    places = holds.nonzero()
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)


class _Along(NamedTuple):
    """What a change does in one direction. reached: of the layer's outputs, those that see it. seen: of its
    inputs, those that they look at. outside: how many of these would lie beyond either border."""

    reached: Span
    seen: Span
    outside: tuple[int, int]


def _along(changed: Span, inputs: int, outputs: int, reach: int, stride: int, padding: int) -> _Along:
    """reach: inputs from the first to the last that an output sees, less one."""
    first, last = changed
    start = max(0, -((reach - first - padding) // stride))
    stop = max(start, min(outputs, (last - 1 + padding) // stride + 1))
    begin, end = start * stride - padding, (stop - 1) * stride - padding + reach + 1
    seen = max(0, begin), min(inputs, end)
    return _Along((start, stop), seen, (seen[0] - begin, end - seen[1]))


def _through(layer: Layer, before: Tensor, patch: Tensor, box: Box, after: Tensor) -> tuple[Tensor, Box]:
    """The patch of the layer's outputs that sees that patch of its inputs, and where it is. before, after:
    what the layer got of the first images, and what it made of it."""
    sizes = zip(box, before.shape[-2:], after.shape[-2:], _geometry(layer), strict=True)
    rows, columns = (_along(span, inputs, outputs, *own) for span, inputs, outputs, own in sizes)
    reached = rows.reached, columns.reached
    if _cut(after, reached).numel() == 0:  # it lies between the windows of a layer with a long stride
        return _cut(after, reached), reached
    window = _cut(before, (rows.seen, columns.seen)).clone()
    common = [
        (max(span[0], one.seen[0]), min(span[1], one.seen[1]))
        for span, one in zip(box, (rows, columns), strict=True)
    ]
    _cut(window, _from(common, rows.seen, columns.seen)).copy_(_cut(patch, _from(common, *box)))
    beyond = (*columns.outside, *rows.outside)
    if isinstance(layer, nn.Conv2d):
        window = F.pad(window, beyond)
        return F.conv2d(
            window, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups
        ), reached
    window = F.pad(window, beyond, value=-torch.inf)
    return F.max_pool2d(window, layer.kernel_size, layer.stride, 0, layer.dilation), reached


def _geometry(layer: Layer) -> list[tuple[int, int, int]]:
    """Reach, stride and padding, of rows and of columns."""
    settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    pairs = [one if isinstance(one, tuple) else (one, one) for one in settings]
    return [
        ((int(kernel) - 1) * int(dilation), int(stride), int(padding))
        for kernel, stride, padding, dilation in zip(*pairs, strict=True)
    ]


def _from(box: Sequence[Span], rows: Span, columns: Span) -> Box:
    """The box, counted from where these rows and columns begin."""
    (top, bottom), (left, right) = box
    return (top - rows[0], bottom - rows[0]), (left - columns[0], right - columns[0])
