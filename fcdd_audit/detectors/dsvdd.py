"""Deep SVDD (Ruff et al., ICML 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.inputs import Input
from fcdd_audit.detectors.losses import full
from fcdd_audit.detectors.networks import network_for

OBJECTIVES = ("one-class", "soft-boundary")
CENTRE_FLOOR = 0.1  # a centre coordinate near 0 could be met by zero weights


@DETECTORS.register("dsvdd")
class DeepSVDD(Detector):
    """Deep SVDD: squared distance of a learnt vector from a fixed centre; sees nominal images only.

    No layer has a bias, so that the network can't map everything to the centre. There is no
    autoencoder pre-training. The soft-boundary score is the squared distance minus the squared radius.
    """

    @dataclass(frozen=True)
    class Options(Detector.Options):
        """objective: one-class (mean distance) or soft-boundary (radius, and distance beyond it).
        nu: soft-boundary only: share of training images allowed outside the radius, in (0, 1).
        warm_up: soft-boundary only: epochs before the radius is set; it stays 0 in shorter trainings.
        dimensions: of the vector; 0: the network's own, 32 for `small`.
        """

        objective: str = "one-class"
        nu: float = 0.1
        warm_up: int = 2
        dimensions: int = 0

        def __post_init__(self) -> None:
            if self.objective not in OBJECTIVES:
                raise InputError(f"dsvdd objective is '{self.objective}'; known: {', '.join(OBJECTIVES)}")
            if not 0 < self.nu < 1:
                raise InputError(f"dsvdd nu is {self.nu}; it must be in (0, 1)")
            if self.warm_up < 0:
                raise InputError(f"dsvdd warm_up is {self.warm_up}; it must be at least 0")

    learns_from = ("nominal",)
    stacks = True
    explained_by = ("grad-cam", "grad-cam-no-relu", "gradient")
    options: Options

    def __init__(self, input: Input, options: Options) -> None:
        super().__init__(input, options)
        parts = network_for(input.network, input.shape)
        self.features = parts.features(bias=False)
        self.embed = parts.embedding(options.dimensions or None, bias=False)
        self.centre: Tensor
        self.squared_radius: Tensor
        self.register_buffer("centre", torch.zeros(options.dimensions or parts.dimensions))
        self.register_buffer("squared_radius", torch.zeros(()))

    @property
    def layers(self) -> nn.Sequential:
        """The last layer's outputs are taken from the centre: its bias is that of the distance's vector."""
        *before, last = self.embed
        if not isinstance(last, nn.Linear):
            raise ValueError(f"the embedding ends in a {type(last).__name__}; a Linear is needed")
        from_centre = nn.Linear(last.in_features, last.out_features, device="meta")  # draws nothing
        from_centre.weight, from_centre.bias = last.weight, nn.Parameter(-self.centre, requires_grad=False)
        return nn.Sequential(self.features, *before, from_centre)

    def shares(self, outputs: Tensor) -> Tensor:
        """Squared coordinates; the squared radius is a constant."""
        return full(outputs).square()

    def chords(self, after: Tensor, before: Tensor) -> Tensor:
        return full(after + before)

    def distance(self, x: Tensor) -> Tensor:
        """Squared distances from the centre, (N,)."""
        vector = full(self.embed(self.features(self.normalise(x))))
        return (vector - self.centre).square().sum(dim=1)

    def score(self, x: Tensor) -> Tensor:
        return self.distance(x) - self.squared_radius

    def loss(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        """Neither `label` nor `mask` is used: all images are taken as nominal."""
        return self.loss_and_seen(x, label, mask)[0]

    def loss_and_seen(
        self, x: Tensor, label: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Soft-boundary: with the squared distances."""
        distance = self.distance(x)
        if self.options.objective == "one-class":
            return distance.mean(), None
        beyond = (distance - self.squared_radius).clamp_min(0)
        return self.squared_radius + beyond.mean() / self.options.nu, distance.detach()

    def start(self, nominal: Tensor) -> None:
        """Fix the centre: the mean vector of a first pass in evaluation mode, coordinates within 0.1 of 0
        moved to +-0.1. With the networks here most are, of a deep one all: the centre is little more than
        their signs."""
        training = self.training
        self.eval()
        with torch.no_grad():
            vectors = [full(self.embed(self.features(self.normalise(x / 255)))) for x in nominal.split(64)]
            centre = torch.cat(vectors).mean(dim=0)
        self.train(training)
        floor = torch.where(centre < 0, -CENTRE_FLOOR, CENTRE_FLOOR)
        self.centre.copy_(torch.where(centre.abs() < CENTRE_FLOOR, floor, centre))

    def end_epoch(self, epoch: int, seen: Tensor | None) -> None:
        """Soft-boundary: after the warm-up, the radius is the (1 - nu) quantile of the epoch's distances."""
        if seen is not None and epoch + 1 >= self.options.warm_up:
            self.squared_radius.copy_(seen.quantile(1 - self.options.nu))
