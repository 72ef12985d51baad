"""A convolutional autoencoder: what it can't rebuild is anomalous."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.networks import Network, network_for


@DETECTORS.register("ae")
class Autoencoder(Detector):
    """Mirrored autoencoder: mean squared reconstruction error; sees nominal images only.

    dimensions: of the bottleneck; 0: the network's own, 64 for `small`.

    Errors are in the units of the normalised images: the nominal training images' variance by default.
    """

    learns_from = ("nominal",)

    def __init__(
        self,
        shape: tuple[int, int, int],
        mean: Tensor,
        std: Tensor,
        dimensions: int = 0,
        network: str | Network = "small",
        scale: str = "nominal",
    ) -> None:
        super().__init__(shape, mean, std, scale)
        parts = network_for(network, shape)
        size = dimensions or parts.bottleneck
        self.features = parts.features()
        self.embed = parts.embedding(size)
        self.expand = parts.expansion(size)
        self.decoder = parts.decoder()

    def anomaly_map(self, x: Tensor) -> Tensor:
        """Squared residual, averaged over channels."""
        wanted = self.normalise(x)
        rebuilt = self.decoder(self.expand(self.embed(self.features(wanted)))).float()
        if rebuilt.shape != wanted.shape:  # sides that pooling doesn't divide
            rebuilt = F.interpolate(rebuilt, wanted.shape[-2:])
        return (rebuilt - wanted).square().mean(dim=1, keepdim=True)

    def score(self, x: Tensor) -> Tensor:
        return self.anomaly_map(x).mean(dim=(1, 2, 3))

    def loss(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        """Neither `label` nor `mask` is used: all images are taken as nominal."""
        return self.score(x).mean()
