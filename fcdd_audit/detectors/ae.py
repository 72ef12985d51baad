"""A convolutional autoencoder: what it can't rebuild is anomalous."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.inputs import Input
from fcdd_audit.detectors.losses import full
from fcdd_audit.detectors.networks import network_for
from fcdd_audit.detectors.receptive import ReceptiveField


@DETECTORS.register("ae")
class Autoencoder(Detector):
    """Mirrored autoencoder: mean squared reconstruction error; sees nominal images only.

    Errors are in the units of the normalised images: the nominal training images' variance by default.
    """

    @dataclass(frozen=True)
    class Options(Detector.Options):
        """dimensions: of the bottleneck; 0: the network's own, 64 for `small`."""

        dimensions: int = 0

    learns_from = ("nominal",)
    stacks = True
    explained_by = ("native", "grad-cam", "grad-cam-no-relu")
    anomaly_field = ReceptiveField()

    def __init__(self, input: Input, options: Options) -> None:
        super().__init__(input, options)
        parts = network_for(input.network, input.shape)
        size = options.dimensions or parts.bottleneck
        self.features = parts.features()
        self.embed = parts.embedding(size)
        self.expand = parts.expansion(size)
        self.decoder = parts.decoder()

    def outputs(self, normalised: Tensor) -> Tensor:
        """The residual, like the images."""
        rebuilt = full(self.decoder(self.expand(self.embed(self.features(normalised)))))
        if rebuilt.shape != normalised.shape:  # sides that pooling doesn't divide
            rebuilt = F.interpolate(rebuilt, normalised.shape[-2:])
        return rebuilt - normalised

    def shares(self, outputs: Tensor) -> Tensor:
        """Each squared residual, over their number."""
        return outputs.square() / outputs[0].numel()

    def chords(self, after: Tensor, before: Tensor) -> Tensor:
        return (after + before) / after[0].numel()

    def anomaly_map(self, x: Tensor) -> Tensor:
        """Squared residual, averaged over channels."""
        return self.outputs(self.normalise(x)).square().mean(dim=1, keepdim=True)

    def score(self, x: Tensor) -> Tensor:
        return self.anomaly_map(x).mean(dim=(1, 2, 3))

    def loss(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        """Neither `label` nor `mask` is used: all images are taken as nominal."""
        return self.score(x).mean()
