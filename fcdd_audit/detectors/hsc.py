"""The hypersphere classifier (Ruff et al. 2020, arXiv 2006.00339)."""

from __future__ import annotations

from torch import Tensor

from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.losses import hypersphere_loss, pseudo_huber
from fcdd_audit.detectors.networks import convolutions, embedding, widths_for


@DETECTORS.register("hsc")
class HSC(Detector):
    """Hypersphere classifier: distance of a learnt vector from the origin, trained with OE.

    dimensions: of the vector.
    """

    def __init__(self, shape: tuple[int, int, int], mean: Tensor, std: Tensor, dimensions: int = 32) -> None:
        super().__init__(shape, mean, std)
        widths = widths_for(min(shape[1:]))
        self.features = convolutions(shape[0], widths)
        self.embed = embedding(widths, shape, dimensions)

    def score(self, x: Tensor) -> Tensor:
        vector = self.embed(self.features(self.normalise(x))).float()
        return pseudo_huber(vector.square().sum(dim=1))

    def loss(self, x: Tensor, label: Tensor) -> Tensor:
        return hypersphere_loss(self.score(x), label)
