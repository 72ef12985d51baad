"""What a detector is, and the registry of detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from fcdd_audit.core.options import check_options
from fcdd_audit.core.registry import Registry
from fcdd_audit.core.seeding import derive_seed
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.detectors.inputs import Input, Normalisation, local_contrast, normalisation
from fcdd_audit.detectors.networks import Network
from fcdd_audit.detectors.receptive import ACTIVATIONS, ReceptiveField, leaves, receptive_field


class Scorer(Protocol):
    """All that explaining asks of every model; some explainers ask for more (see `unavailable`)."""

    def score(self, x: Tensor) -> Tensor:
        """Anomaly scores, (N,), higher is more anomalous, of images (N, C, H, W) in [0, 1]."""
        ...


class Detector(nn.Module, ABC):
    """A detector that this package trains.

    Subclasses set `features` (their convolutions) and define `score` and `loss`; those whose score is
    a mean over a map also define `anomaly_map(x) -> (N, 1, H, W)`, non-negative, which is their native
    explanation, and `anomaly_field`, the receptive field of that map's cells. Those that define `layers` or
    `outputs` can be explained by rules for each layer: with `shares` by LRP, with `chords` by DeepLIFT.

    learns_from: the sides of training images that it uses. explained_by: the explainers that an audit asks by
    default, besides reference maps (docs/explanations.md says why). stacks: whether several can be trained in
    one step by `torch.func.vmap`, and steps be replayed from a CUDA graph, without Python: then
    `loss_and_seen` keeps nothing, no value decides what is computed, and whatever differs between twins is a
    weight or a buffer. A subclass says it for itself.
    options: of the class's `Options`, a frozen dataclass that checks its values and whose fields can be set
    by name; its own defaults if not given.
    """

    @dataclass(frozen=True)
    class Options:
        """None, unless a subclass has some."""

    learns_from: ClassVar[tuple[Side, ...]] = SIDES
    explained_by: ClassVar[tuple[str, ...]] = ("native", "grad-cam", "gradient")
    stacks: ClassVar[bool] = False
    uses_masks: bool = False  # whether `loss` does
    features: nn.Sequential
    anomaly_field: ReceptiveField | None = None

    def __init__(self, input: Input, options: Options | None = None) -> None:
        super().__init__()
        scale = input.normalisation
        self.shape, self.scale = input.shape, scale.mode
        self.options = self.Options() if options is None else options
        self.mean: Tensor
        self.std: Tensor
        # Copies: several detectors may be made with one normalisation.
        self.register_buffer("mean", scale.mean.reshape(1, -1, 1, 1).float().clone())
        self.register_buffer("std", scale.std.reshape(1, -1, 1, 1).float().clone())

    def normalise(self, x: Tensor) -> Tensor:
        """Images in [0, 1] as the network gets them (see `Normalisation`); differentiable."""
        return ((local_contrast(x) if self.scale == "contrast" else x) - self.mean) / self.std

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """Anomaly scores, (N,), higher is more anomalous, of images (N, C, H, W) in [0, 1]."""

    @abstractmethod
    def loss(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean training loss of a batch; label: (N,), 0 nominal, 1 anomalous. Any mix of labels.

        mask: (N, 1, H, W), bool or in [0, 1], where the anomaly is, of detectors that use masks.
        """

    def loss_and_seen(
        self, x: Tensor, label: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of a batch, and what `end_epoch` is told of each of its images, (N,); None: nothing."""
        return (self.loss(x, label) if mask is None else self.loss(x, label, mask)), None

    @property
    def layers(self) -> nn.Sequential | None:
        """The whole network as one stack, normalised images to outputs; None where it isn't one."""
        return None

    def outputs(self, normalised: Tensor) -> Tensor:
        """What the network makes of normalised images, (N, ...): what its score is computed from."""
        if self.layers is None:
            raise NotImplementedError(f"{type(self).__name__} doesn't say what its outputs are")
        return self.layers(normalised)

    def shares(self, outputs: Tensor) -> Tensor:
        """What each of the outputs contributes to the score, like `outputs`; they add up to the score, but
        for a constant."""
        raise NotImplementedError(f"{type(self).__name__} doesn't say what its outputs contribute")

    def chords(self, after: Tensor, before: Tensor) -> Tensor:
        """Weights of the outputs, like them, by which their change from `before` to `after` adds up to the
        score's: (chords * (after - before)) summed is the difference of the scores, exactly."""
        raise NotImplementedError(f"{type(self).__name__} doesn't say what changes of its outputs do")

    def defines(self, method: str) -> bool:
        """Whether `outputs`, `shares` or `chords` is the detector's own: rules begin there."""
        return getattr(type(self), method) is not getattr(Detector, method)

    def start(self, nominal: Tensor) -> None:
        """Called once before training with up to 512 nominal training images, uint8 (N, C, H, W), on the
        detector's device; images in [0, 1] are these divided by 255."""

    def end_epoch(self, epoch: int, seen: Tensor | None) -> None:
        """Called after each epoch, counted from 0. seen: what `loss_and_seen` told of its images, step after
        step, (images,)."""

    def _to_cam_layer(self) -> list[nn.Module]:
        layers = leaves(self.features)
        active = [place for place, layer in enumerate(layers, 1) if isinstance(layer, ACTIVATIONS)]
        return layers[: active[-1]] if active else layers

    @property
    def cam_layer(self) -> nn.Module:
        """What Grad-CAM looks at: the features' last activation, or last layer if they have none. (A bare
        convolution's output isn't a property of the network's function.)"""
        return self._to_cam_layer()[-1]

    @property
    def cam_field(self) -> ReceptiveField:
        """Receptive field of that layer's cells."""
        return receptive_field(nn.Sequential(*self._to_cam_layer()))

    @property
    def map_field(self) -> ReceptiveField:
        """Receptive field of the features' cells."""
        return receptive_field(self.features)


DETECTORS: Registry[type[Detector]] = Registry("detector")


def make_options(name: str, given: Mapping[str, Any]) -> Detector.Options:
    """The options of the detector of that name, from their values by name.

    InputError for an unknown detector or option, or a value that it can't have.
    """
    kind = DETECTORS[name]
    check_options(name, kind, given)
    return kind.Options(**given)


def build(
    name: str,
    nominal: Tensor,
    seed: int,
    options: Mapping[str, Any] | None = None,
    network: str | Network = "small",
    normalise: str | Normalisation = "nominal",
) -> Detector:
    """A detector with its initial weights, which depend only on `seed`, the name, its options, the network
    and the images' shape.

    nominal: the clean nominal training images, uint8 (N, C, H, W), for shape and normalisation. options: by
    name. network: a name in NETWORKS, or a network. normalise: a mode of `Normalisation`, or one that was
    made of these images.
    InputError for an unknown name, option, network or normalisation, or images that they can't take.
    """
    chosen = make_options(name, options or {})
    channels, height, width = nominal.shape[1:]
    scale = normalisation(normalise, nominal) if isinstance(normalise, str) else normalise
    input = Input((channels, height, width), scale, network)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, f"initial weights of {name}"))
        return DETECTORS[name](input, chosen)
