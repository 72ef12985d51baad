"""A convolutional autoencoder: what it can't rebuild is anomalous."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.networks import convolutions, embedding, expansion, transposed, widths_for


@DETECTORS.register("ae")
class Autoencoder(Detector):
    """Mirrored autoencoder: mean squared reconstruction error; sees nominal images only.

    dimensions: of the bottleneck.

    Errors are in units of the nominal training images' variance.
    """

    learns_from = ("nominal",)

    def __init__(self, shape: tuple[int, int, int], mean: Tensor, std: Tensor, dimensions: int = 64) -> None:
        super().__init__(shape, mean, std)
        widths = widths_for(min(shape[1:]))
        self.features = convolutions(shape[0], widths)
        self.embed = embedding(widths, shape, dimensions)
        self.expand = expansion(widths, shape, dimensions)
        self.decoder = transposed(shape[0], widths)

    def anomaly_map(self, x: Tensor) -> Tensor:
        """Squared residual, averaged over channels."""
        wanted = self.normalise(x)
        rebuilt = self.decoder(self.expand(self.embed(self.features(wanted)))).float()
        if rebuilt.shape != wanted.shape:  # sides that pooling doesn't divide
            rebuilt = F.interpolate(rebuilt, wanted.shape[-2:])
        return (rebuilt - wanted).square().mean(dim=1, keepdim=True)

    def score(self, x: Tensor) -> Tensor:
        return self.anomaly_map(x).mean(dim=(1, 2, 3))

    def loss(self, x: Tensor, label: Tensor) -> Tensor:
        """`label` isn't used: all images are taken as nominal."""
        return self.score(x).mean()
