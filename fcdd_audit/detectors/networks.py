"""The networks: ordinary `nn.Sequential` stacks, built from the image's shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil, log2, prod
from pathlib import Path
from pickle import UnpicklingError
from typing import ClassVar

import torch
from torch import Tensor, nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import Registry
from fcdd_audit.detectors.receptive import receptive_field

WIDTHS = (16, 32, 64)
WIDE_FROM = 128  # from this image side on, one more block keeps the map from growing


def widths_for(side: int) -> tuple[int, ...]:
    """Channels of the convolution blocks for images of `side` px."""
    return WIDTHS if side < WIDE_FROM else (*WIDTHS, WIDTHS[-1])


def convolutions(channels: int, widths: tuple[int, ...], bias: bool = True) -> nn.Sequential:
    """Blocks of 3x3 convolution, batch norm and leaky ReLU, with 2x2 max pooling between them.

    (N, channels, H, W) to (N, widths[-1], H / 2^(n-1), W / 2^(n-1)). The convolutions have no bias, which
    batch norm would undo; without `bias` batch norm has none either, as Deep SVDD needs.
    """
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise((channels, *widths))):
        if index:
            layers.append(nn.MaxPool2d(2))
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after, affine=bias),
            nn.LeakyReLU(0.01),
        ]
    return nn.Sequential(*layers)


def transposed(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """The mirror of `convolutions`: nearest-neighbour upsampling before each convolution but the first.

    (N, widths[-1], h, w) to (N, channels, h * 2^(n-1), w * 2^(n-1)); the last convolution is bare.
    """
    layers: list[nn.Module] = []
    steps = list(pairwise((*reversed(widths), channels)))
    for index, (before, after) in enumerate(steps):
        if index:
            layers.append(nn.Upsample(scale_factor=2))
        layers.append(nn.Conv2d(before, after, 3, padding=1))
        if index < len(steps) - 1:
            layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers)


def _grid(widths: tuple[int, ...], shape: tuple[int, int, int]) -> tuple[int, int]:
    scale = 2 ** (len(widths) - 1)
    return shape[1] // scale, shape[2] // scale


def embedding(
    widths: tuple[int, ...], shape: tuple[int, int, int], dimensions: int, bias: bool = True
) -> nn.Sequential:
    """Features of images of `shape` (C, H, W), as `convolutions` gives them, to (N, dimensions)."""
    height, width = (side // 2 for side in _grid(widths, shape))
    return nn.Sequential(
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(widths[-1] * height * width, dimensions, bias=bias),
    )


def expansion(widths: tuple[int, ...], shape: tuple[int, int, int], dimensions: int) -> nn.Sequential:
    """(N, dimensions) to features of images of `shape`: the mirror of `embedding`."""
    height, width = (side // 2 for side in _grid(widths, shape))
    return nn.Sequential(
        nn.Linear(dimensions, widths[-1] * height * width),
        nn.Unflatten(1, (widths[-1], height, width)),
        nn.Upsample(size=_grid(widths, shape)),
    )


Shape = tuple[int, int, int]  # (C, H, W)


class Network(ABC):
    """The parts of a detector for images of one shape. Every method makes new modules.

    shape: (C, H, W). dimensions: of the vector of the hypersphere detectors, bottleneck: of the
    autoencoder's, where none are asked for. channels: that images must have; None: any number.
    """

    channels: ClassVar[int | None] = None
    dimensions: ClassVar[int] = 64
    bottleneck: ClassVar[int] = 64

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    @abstractmethod
    def features(self, bias: bool = True) -> nn.Sequential:
        """The trunk: images (N, C, H, W) to features (N, K, u, v). Without `bias` no layer has one.

        InputError if it can't be had without bias.
        """

    @abstractmethod
    def embedding(self, dimensions: int | None = None, bias: bool = True) -> nn.Sequential:
        """Features to vectors (N, dimensions); None: the network's own number."""

    @abstractmethod
    def expansion(self, dimensions: int | None = None) -> nn.Sequential:
        """Vectors (N, dimensions) to features, the mirror of `embedding`; None: `bottleneck`."""

    @abstractmethod
    def decoder(self) -> nn.Sequential:
        """Features to images, the mirror of `features`; the last convolution is bare."""


NETWORKS: Registry[Callable[[Shape], Network]] = Registry("network")


def network_for(network: str | Network, shape: Shape) -> Network:
    """The network of that name, for images of `shape`, or the network itself.

    InputError for an unknown name, or a network made for other images.
    """
    found = NETWORKS[network](shape) if isinstance(network, str) else network
    if tuple(found.shape) != tuple(shape):
        raise InputError(
            f"the network is made for images of shape {tuple(found.shape)}, and these are {tuple(shape)}; "
            "make it for their shape (C, H, W)"
        )
    return found


def _whole(dimensions: int | None, default: int) -> int:
    number = default if dimensions is None else dimensions
    if not isinstance(number, int) or number < 1:
        raise InputError(f"dimensions is {number}; it must be a whole number, at least 1")
    return number


@NETWORKS.register("small")
class Small(Network):
    """Three blocks of 16 to 64 channels, four from 128 px on: quick to train on a CPU."""

    dimensions = 32

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.widths = widths_for(min(shape[1:]))

    def features(self, bias: bool = True) -> nn.Sequential:
        return convolutions(self.shape[0], self.widths, bias)

    def embedding(self, dimensions: int | None = None, bias: bool = True) -> nn.Sequential:
        return embedding(self.widths, self.shape, _whole(dimensions, self.dimensions), bias)

    def expansion(self, dimensions: int | None = None) -> nn.Sequential:
        return expansion(self.widths, self.shape, _whole(dimensions, self.bottleneck))

    def decoder(self) -> nn.Sequential:
        return transposed(self.shape[0], self.widths)


@dataclass(frozen=True)
class Conv:
    """A padded convolution to `width` channels, with batch norm and activation unless `bare`."""

    width: int
    kernel: int = 3
    bare: bool = False


@dataclass(frozen=True)
class Pool:
    """2x2 max pooling."""


Plan = tuple[Conv | Pool, ...]


class Stacked(Network):
    """A network laid down as a plan.

    trunk: the features. tail: further layers of the embedding, before its linear ones.
    hidden: width of a linear layer, with batch norm and activation, between features and vector.
    """

    trunk: ClassVar[Plan]
    tail: ClassVar[Plan] = ()
    hidden: ClassVar[int | None] = None
    eps: ClassVar[float] = 1e-4  # the reference's

    def activation(self) -> nn.Module:
        return nn.LeakyReLU(0.01)

    def _after(self, plan: Plan) -> Shape:
        """Shape (K, u, v) after a plan; InputError if nothing is left."""
        halvings = sum(isinstance(step, Pool) for step in plan)
        height, width = (side >> halvings for side in self.shape[1:])
        if min(height, width) < 1:
            raise InputError(
                f"images of {self.shape[2]}x{self.shape[1]} px are too small for the network "
                f"{type(self).__name__}; at least {2**halvings} px are needed (--image-size)"
            )
        return next(step.width for step in reversed(plan) if isinstance(step, Conv)), height, width

    def _stack(self, channels: int, plan: Plan, bias: bool) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for step in plan:
            if isinstance(step, Pool):
                layers.append(nn.MaxPool2d(2))
                continue
            layers.append(nn.Conv2d(channels, step.width, step.kernel, padding=step.kernel // 2, bias=bias))
            if not step.bare:
                layers += [nn.BatchNorm2d(step.width, eps=self.eps, affine=bias), self.activation()]
            channels = step.width
        return layers

    def _mirror(self, shape: Shape, plan: Plan, bare: bool) -> list[nn.Module]:
        """Back through `plan` to features or images of `shape`; `bare`: the last convolution is."""
        channels, height, width = shape
        layers: list[nn.Module] = []  # from the end
        for step in plan:
            if isinstance(step, Pool):
                layers.append(nn.Upsample(size=(height, width)))
                height, width = height // 2, width // 2
                continue
            if layers or not bare:
                layers += [self.activation(), nn.BatchNorm2d(channels, eps=self.eps)]
            padding = step.kernel // 2
            layers.append(nn.ConvTranspose2d(step.width, channels, step.kernel, padding=padding))
            channels = step.width
        return layers[::-1]

    def features(self, bias: bool = True) -> nn.Sequential:
        self._after(self.trunk)
        return nn.Sequential(*self._stack(self.shape[0], self.trunk, bias))

    def _tail(self, bias: bool) -> list[nn.Module]:
        return self._stack(self._after(self.trunk)[0], self.tail, bias)

    def embedding(self, dimensions: int | None = None, bias: bool = True) -> nn.Sequential:
        number = _whole(dimensions, self.dimensions)
        inputs = prod(self._after(self.trunk + self.tail))
        layers = [*self._tail(bias), nn.Flatten()]
        if self.hidden is not None:
            layers += [
                nn.Linear(inputs, self.hidden, bias=bias),
                nn.BatchNorm1d(self.hidden, eps=self.eps, affine=bias),
                self.activation(),
            ]
            inputs = self.hidden
        return nn.Sequential(*layers, nn.Linear(inputs, number, bias=bias))

    def expansion(self, dimensions: int | None = None) -> nn.Sequential:
        inputs = _whole(dimensions, self.bottleneck)
        features, last = self._after(self.trunk), self._after(self.trunk + self.tail)
        layers: list[nn.Module] = []
        if self.hidden is not None:
            layers += [
                nn.Linear(inputs, self.hidden),
                nn.BatchNorm1d(self.hidden, eps=self.eps),
                self.activation(),
            ]
            inputs = self.hidden
        layers += [nn.Linear(inputs, prod(last)), nn.Unflatten(1, last)]
        return nn.Sequential(*layers, *self._mirror(features, self.tail, bare=False))

    def decoder(self) -> nn.Sequential:
        return nn.Sequential(*self._mirror(self.shape, self.trunk, bare=True))


@NETWORKS.register("cnn28")
class CNN28(Stacked):
    """The paper's for Fashion-MNIST at 28 px: two 5x5 convolutions of 128 channels; field 16, stride 4."""

    trunk = (Conv(128, 5), Pool(), Conv(128, 5, bare=True), Pool())
    dimensions = bottleneck = 48


@NETWORKS.register("cnn32")
class CNN32(Stacked):
    """The paper's for CIFAR-10 at 32 px: four 3x3 convolutions of up to 256 channels; field 22, stride 4."""

    trunk = (Conv(128), Pool(), Conv(256), Conv(256), Pool(), Conv(128, bare=True))
    hidden = 512


@NETWORKS.register("cnn32-s")
class CNN32S(Stacked):
    """The reference code's small one for 32 px: 3x3 convolutions of 32, 64 and 128; field 18, stride 4."""

    trunk = (Conv(32), Pool(), Conv(64), Pool(), Conv(128, bare=True))
    hidden = 512


@NETWORKS.register("vgg11")
class VGG11(Stacked):
    """The paper's for ImageNet and VOC at 224 px: VGG-11-BN to its fourth block; field 62, stride 8.

    Initial weights at random by PyTorch's default, as in the reference's FCDD without ImageNet weights.
    (Only its HSC twin draws them as torchvision does.) The embedding is VGG's last block and a linear layer.
    Source: Simonyan & Zisserman, arXiv 1409.1556.
    """

    trunk = (
        *(Conv(64), Pool(), Conv(128), Pool()),
        *(Conv(256), Conv(256), Pool()),
        *(Conv(512), Conv(512)),
    )
    tail = (Pool(), Conv(512), Conv(512), Pool())
    dimensions = bottleneck = 4096
    eps = 1e-5  # torchvision's

    def activation(self) -> nn.Module:
        return nn.ReLU()


class Frozen(nn.Sequential):
    """Layers that training leaves alone: fixed weights, and batch norm always by its own statistics.

    Gradients with respect to the input flow through.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Frozen:
        """Evaluation mode, whatever `mode` is."""
        return super().train(False)


@lru_cache(maxsize=1)
def _imagenet_weights(folder: str) -> dict[str, Tensor]:
    """Weights of VGG-11's convolutions by torchvision, from `folder`, or downloaded to it."""
    from torchvision.models import VGG11_BN_Weights

    url = VGG11_BN_Weights.IMAGENET1K_V1.url
    try:
        found = torch.hub.load_state_dict_from_url(url, folder, map_location="cpu", check_hash=True)
        return {key: value.clone() for key, value in found.items() if key.startswith("features.")}
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise InputError(
            f"the ImageNet weights of vgg11-imagenet can't be read from {Path(folder) / Path(url).name} nor "
            f"downloaded ({error}); put the file from {url} there, or choose the network vgg11"
        ) from None


@NETWORKS.register("vgg11-imagenet")
class VGG11ImageNet(VGG11):
    """The paper's for MVTec AD at 224 px: vgg11 with ImageNet weights, its first 15 layers frozen.

    Colour images only. Unlike in the reference, the frozen layers' batch-norm statistics are frozen too.
    The weights are torchvision's (507 MB), downloaded once, by torch.hub.
    """

    channels: ClassVar[int | None] = 3
    frozen: ClassVar[int] = 15

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if shape[0] != 3:
            raise InputError(
                f"the network vgg11-imagenet needs images of 3 channels, and these have {shape[0]}; "
                "choose vgg11 or another network"
            )

    def _pretrained(self, layers: list[nn.Module], first: int, bias: bool) -> nn.Sequential:
        """Layers `first`, `first` + 1, ... of torchvision's VGG, with its weights."""
        if not bias:
            raise InputError(
                "Deep SVDD needs layers without bias, and those of vgg11-imagenet have one; choose vgg11 or "
                "another network"
            )
        weights = _imagenet_weights(str(Path(torch.hub.get_dir()) / "checkpoints"))
        sequence = nn.Sequential(*layers)
        sequence.load_state_dict(
            {key: weights[f"features.{_moved(key, first)}"] for key in sequence.state_dict()}
        )
        return sequence

    def features(self, bias: bool = True) -> nn.Sequential:
        layers = self._pretrained(list(super().features(bias)), 0, bias)
        return nn.Sequential(Frozen(*layers[: self.frozen]), *layers[self.frozen :])

    def _tail(self, bias: bool) -> list[nn.Module]:
        first = sum(1 if isinstance(step, Pool) else 3 for step in self.trunk)  # layers of the trunk
        return list(self._pretrained(super()._tail(bias), first, bias))


def _moved(key: str, by: int) -> str:
    index, _, rest = key.partition(".")
    return f"{int(index) + by}.{rest}"


def output_shape(layers: nn.Module, shape: Shape) -> tuple[int, ...]:
    """Shape of what `layers` make of one image of `shape`, without the batch's dimension.

    A dry run in evaluation mode: neither the modes and buffers of the layers nor the caller's random
    numbers change.
    """
    modes = [(module, module.training) for module in layers.modules()]
    weight = next(layers.parameters(), torch.empty(0))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            found = layers.eval()(torch.zeros(1, *shape, dtype=weight.dtype, device=weight.device))
        finally:
            for module, training in modes:
                module.training = training
    return tuple(found.shape[1:])


def output_channels(layers: nn.Module) -> int:
    """Channels of a trunk's features: those of its last convolution."""
    return [layer.out_channels for layer in layers.modules() if isinstance(layer, nn.Conv2d)][-1]


class OwnNetwork(Network):
    """Your own trunk as a network, with a linear embedding and a plain decoder.

    trunk: an `nn.Sequential` of layers whose receptive field is known (see `receptive_field`), of which
    every detector gets a copy, weights and all; or a function that makes one, whose initial weights are
    then the detector seed's. Images (N, C, H, W) become features (N, K, u, v). Layers that training is to
    leave alone go into a `Frozen`: `requires_grad_(False)` keeps the weights, but training still moves the
    statistics of a batch norm.

    InputError if the trunk can't take such images, or its output isn't a map.

    Register a function of the shape in NETWORKS to have it by name:
    `NETWORKS.register("mine")(lambda shape: OwnNetwork(shape, make_trunk))`.
    """

    def __init__(self, shape: Shape, trunk: nn.Sequential | Callable[[], nn.Sequential]) -> None:
        super().__init__(shape)
        self._trunk = trunk
        with torch.random.fork_rng(devices=[]):
            example = trunk if isinstance(trunk, nn.Module) else trunk()
        if not isinstance(example, nn.Sequential):
            raise InputError(f"the trunk is a {type(example).__name__}; an nn.Sequential is needed")
        try:
            self.field = receptive_field(example)
            self.map = output_shape(example, shape)
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"the trunk can't be used for images of shape {shape}: {error}; give convolutions, poolings "
                "and pointwise layers that take such images"
            ) from error
        if len(self.map) != 3 or min(self.map) < 1:
            raise InputError(
                f"the trunk makes {self.map} of an image of shape {shape}; a map (K, u, v) is needed: leave "
                "out what follows the convolutions"
            )

    def features(self, bias: bool = True) -> nn.Sequential:
        layers = deepcopy(self._trunk) if isinstance(self._trunk, nn.Sequential) else self._trunk()
        if not bias and any(name.endswith("bias") for name, _ in layers.named_parameters()):
            raise InputError(
                "Deep SVDD needs layers without bias, and the trunk has some; give convolutions with "
                "bias=False and batch norm with affine=False"
            )
        return layers

    def embedding(self, dimensions: int | None = None, bias: bool = True) -> nn.Sequential:
        number = _whole(dimensions, self.dimensions)
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(self.map), number, bias=bias))

    def expansion(self, dimensions: int | None = None) -> nn.Sequential:
        number = _whole(dimensions, self.bottleneck)
        return nn.Sequential(nn.Linear(number, prod(self.map)), nn.Unflatten(1, self.map))

    def decoder(self) -> nn.Sequential:
        """A 3x3 convolution at every doubling from the map to the image; each halves the channels, to 16
        at least."""
        width = self.map[0]
        doublings = max(0, ceil(log2(max(self.shape[1] / self.map[1], self.shape[2] / self.map[2]))))
        layers: list[nn.Module] = []
        for left in reversed(range(doublings)):
            narrower = max(16, width // 2)
            size = (ceil(self.shape[1] / 2**left), ceil(self.shape[2] / 2**left))
            layers += [
                nn.Conv2d(width, narrower, 3, padding=1),
                nn.BatchNorm2d(narrower),
                nn.LeakyReLU(0.01),
                nn.Upsample(size=size),
            ]
            width = narrower
        return nn.Sequential(*layers, nn.Conv2d(width, self.shape[0], 3, padding=1))
