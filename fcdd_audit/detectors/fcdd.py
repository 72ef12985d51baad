"""Fully Convolutional Data Description (Liznerski et al., ICLR 2021, arXiv 2007.01760)."""

from __future__ import annotations

from torch import Tensor, nn

from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.losses import hypersphere_loss, pseudo_huber
from fcdd_audit.detectors.networks import convolutions, widths_for
from fcdd_audit.detectors.receptive import SIGMA_PER_STRIDE, receptive_field, upsample
from fcdd_audit.errors import InputError


@DETECTORS.register("fcdd")
class FCDD(Detector):
    """Fully convolutional: the mean of its anomaly map is its score.

    sigma: of the Gaussian that upsamples the map, in pixels; default 0.4 of the map's stride.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        mean: Tensor,
        std: Tensor,
        sigma: float | None = None,
    ) -> None:
        super().__init__(shape, mean, std)
        widths = widths_for(min(shape[1:]))
        self.features = convolutions(shape[0], widths)
        self.head = nn.Conv2d(widths[-1], 1, 1)
        self.field = receptive_field(nn.Sequential(self.features, self.head))
        self.sigma = SIGMA_PER_STRIDE * self.field.stride if sigma is None else sigma
        if self.sigma <= 0:
            raise InputError(f"fcdd sigma is {sigma}; it must be over 0")

    def response(self, x: Tensor) -> Tensor:
        """The map A at the network's own resolution, (N, 1, u, v), >= 0 (eq. 3: pseudo-Huber)."""
        return pseudo_huber(self.head(self.features(self.normalise(x))).float().square())

    def score(self, x: Tensor) -> Tensor:
        return self.response(x).mean(dim=(1, 2, 3))

    def anomaly_map(self, x: Tensor) -> Tensor:
        return upsample(self.response(x), self.field, (x.shape[-2], x.shape[-1]), self.sigma)

    def loss(self, x: Tensor, label: Tensor) -> Tensor:
        return hypersphere_loss(self.score(x), label)
