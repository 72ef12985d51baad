"""Where the cells of a coarse map look in the image, and how to bring the map back to image size."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Default sigma: as smooth as bilinear interpolation, yet a border cell's blob keeps its place.
SIGMA_PER_STRIDE = 0.4

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softplus,
    nn.PReLU,
    nn.Mish,
)
POINTWISE = (*ACTIVATIONS, nn.BatchNorm2d, nn.Identity, nn.Dropout, nn.Dropout2d)


@dataclass(frozen=True)
class ReceptiveField:
    """The field of a map's cells, in pixels; the same in both directions.

    Cell i looks at `size` pixels around the centre `start + i * stride`, where pixel centres are
    integers: start 1.5 lies between pixels 1 and 2.
    """

    size: int = 1
    stride: int = 1
    start: float = 0.0

    def centres(self, cells: int) -> Tensor:
        """Centres of the first `cells` cells, (cells,) float64, in pixels."""
        return self.start + torch.arange(cells, dtype=torch.float64) * self.stride


def _one(value: int | tuple[int, ...] | str, layer: nn.Module) -> int:
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    if not isinstance(value, int):
        raise ValueError(f"{layer} isn't square or pads by name: its receptive field isn't supported")
    return value


def receptive_field(layers: nn.Module) -> ReceptiveField:
    """Receptive field of the output cells of an `nn.Sequential` (nested ones too) of convolutions,
    poolings, paddings and pointwise layers.

    ValueError for a layer whose field isn't known, or isn't square.
    Source: Araujo et al., "Computing receptive fields of convolutional neural networks", Distill 2019.
    """
    size, stride, start = 1, 1, 0.0
    for layer in leaves(layers):
        if isinstance(layer, POINTWISE):
            continue
        if isinstance(layer, nn.ZeroPad2d | nn.ReflectionPad2d | nn.ReplicationPad2d):
            left, _, top, _ = layer.padding
            start -= _one((left, top), layer) * stride
            continue
        if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            raise ValueError(f"the receptive field of a {type(layer).__name__} isn't known")
        kernel = _one(layer.kernel_size, layer)
        reach = (kernel - 1) * _one(getattr(layer, "dilation", 1), layer)
        size += reach * stride
        start += (reach / 2 - _one(layer.padding, layer)) * stride
        stride *= _one(layer.stride, layer)
    return ReceptiveField(size, stride, start)


def leaves(layers: nn.Module) -> list[nn.Module]:
    """The layers of an `nn.Sequential`, those of nested ones in their place."""
    if isinstance(layers, nn.Sequential):
        return [leaf for layer in layers for leaf in leaves(layer)]
    return [layers]


def upsampling_matrix(field: ReceptiveField, cells: int, pixels: int, sigma: float) -> Tensor:
    """1-D weights U, (pixels, cells): pixel p takes share U[p, i] of cell i; rows sum to 1.

    A Gaussian of `sigma` pixels around each cell's centre, cut at its receptive field, divided by the
    row sums so that a constant map stays constant up to the borders. A pixel that no field covers takes
    from the cells next to it.
    """
    offset = torch.arange(pixels)[:, None] - field.centres(cells)[None, :]
    inside = offset.abs() <= (field.size - 1) / 2
    inside |= ~inside.any(dim=1, keepdim=True)
    return (-0.5 * (offset / sigma) ** 2).masked_fill(~inside, -torch.inf).softmax(dim=1).float()


def upsample(maps: Tensor, field: ReceptiveField, shape: tuple[int, int], sigma: float) -> Tensor:
    """Receptive-field upsampling of coarse maps: (N, 1, u, v) to (N, 1, H, W), `shape` = (H, W).

    The Gaussian of FCDD's Algorithm 1 (arXiv 2007.01760), as two matrix products, A' = U A V^T,
    and normalised (see `upsampling_matrix`): a cell's heat lands where its field is, and doesn't fade at
    the borders.
    """
    rows = upsampling_matrix(field, maps.shape[-2], shape[0], sigma)
    columns = upsampling_matrix(field, maps.shape[-1], shape[1], sigma)
    return spread(maps, rows, columns)


def spread(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Coarse maps, (N, 1, u, v), by two upsampling matrices, (H, u) and (W, v), to (N, 1, H, W)."""
    kind = maps.device.type
    apart = torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
    with apart:  # bfloat16 would round the heat to three digits
        return rows.to(maps) @ maps @ columns.to(maps).T


def reference_gain(field: ReceptiveField, sigma: float) -> float:
    """Mean of the reference code's upsampled map over that of its coarse map, away from the borders.

    Its Gaussian isn't normalised: peak 1 in one direction for odd sizes; for even ones one of size - 1
    taps, its centre doubled, halved. Over stride, and squared for two directions:
    ((sqrt(2 pi) sigma + 1) / 2 / stride)^2 for even sizes, up to the cut.
    Source: `gkern` and `_receptive_field_map` of liznerski/fcdd.
    """
    even = field.size % 2 == 0
    taps = torch.arange(field.size - even, dtype=torch.float64)
    line = torch.exp(-0.5 * ((taps - taps.mean()) / sigma) ** 2).sum().item()
    along = (line + 1) / 2 if even else line
    return (along / field.stride) ** 2
