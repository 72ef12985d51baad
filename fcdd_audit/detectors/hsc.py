"""The hypersphere classifier (Ruff et al. 2020, arXiv 2006.00339)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.inputs import Input
from fcdd_audit.detectors.losses import full, hypersphere_loss, pseudo_huber, pseudo_huber_slope
from fcdd_audit.detectors.networks import network_for


@DETECTORS.register("hsc")
class HSC(Detector):
    """Hypersphere classifier: distance of a learnt vector from the origin, trained with OE."""

    @dataclass(frozen=True)
    class Options(Detector.Options):
        """dimensions: of the vector; 0: the network's own, 32 for `small`."""

        dimensions: int = 0

    stacks = True
    explained_by = ("grad-cam", "deep-lift", "integrated-gradients", "input-x-gradient")

    def __init__(self, input: Input, options: Options) -> None:
        super().__init__(input, options)
        parts = network_for(input.network, input.shape)
        self.features = parts.features()
        self.embed = parts.embedding(options.dimensions or None)

    @property
    def layers(self) -> nn.Sequential:
        return nn.Sequential(self.features, self.embed)

    def shares(self, outputs: Tensor) -> Tensor:
        """The score, shared out by the squares of the vector's coordinates."""
        squares = full(outputs).square()
        total = squares.sum(dim=1, keepdim=True)
        return pseudo_huber(total) * squares / total.clamp_min(torch.finfo(total.dtype).tiny)

    def chords(self, after: Tensor, before: Tensor) -> Tensor:
        totals = (full(vectors).square().sum(dim=1, keepdim=True) for vectors in (after, before))
        return full(after + before) * pseudo_huber_slope(*totals)

    def score(self, x: Tensor) -> Tensor:
        vector = full(self.embed(self.features(self.normalise(x))))
        return pseudo_huber(vector.square().sum(dim=1))

    def loss(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        """The hypersphere loss of the scores; `mask` isn't used."""
        return hypersphere_loss(self.score(x), label)
