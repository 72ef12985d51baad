"""Fully Convolutional Data Description (Liznerski et al., ICLR 2021, arXiv 2007.01760)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.detectors.base import DETECTORS, Detector
from fcdd_audit.detectors.inputs import Input
from fcdd_audit.detectors.losses import full, hypersphere_loss, pixel_loss, pseudo_huber, pseudo_huber_slope
from fcdd_audit.detectors.networks import network_for, output_channels, output_shape
from fcdd_audit.detectors.receptive import (
    SIGMA_PER_STRIDE,
    ReceptiveField,
    receptive_field,
    reference_gain,
    spread,
    upsample,
    upsampling_matrix,
)

SUPERVISIONS = ("image", "pixel")


@DETECTORS.register("fcdd")
class FCDD(Detector):
    """Fully convolutional: the mean of its anomaly map is its score."""

    @dataclass(frozen=True)
    class Options(Detector.Options):
        """sigma: of the Gaussian that upsamples the map, in pixels; default 0.4 of the map's stride.
        supervision: image (the loss sees labels) or pixel (it sees masks of the training anomalies too).
        """

        sigma: float | None = None
        supervision: str = "image"

        def __post_init__(self) -> None:
            if self.supervision not in SUPERVISIONS:
                raise InputError(
                    f"fcdd supervision is '{self.supervision}'"
                    f"{suggest(self.supervision, list(SUPERVISIONS))} (known: {', '.join(SUPERVISIONS)})"
                )
            if self.sigma is not None and self.sigma <= 0:
                raise InputError(f"fcdd sigma is {self.sigma}; it must be over 0")

    stacks = True
    explained_by = ("native", "grad-cam", "occlusion", "input-x-gradient")
    anomaly_field: ReceptiveField

    def __init__(self, input: Input, options: Options) -> None:
        super().__init__(input, options)
        self.uses_masks = options.supervision == "pixel"
        self.features = network_for(input.network, input.shape).features()
        self.head = nn.Conv2d(output_channels(self.features), 1, 1)
        self.anomaly_field = receptive_field(nn.Sequential(self.features, self.head))
        default = SIGMA_PER_STRIDE * self.anomaly_field.stride
        self.sigma = default if options.sigma is None else options.sigma
        self.gain = reference_gain(self.anomaly_field, self.sigma)
        self.rows: Tensor  # of the upsampling of images of `shape`
        self.columns: Tensor
        grid = output_shape(self.features, input.shape)[1:]
        for name, cells, pixels in zip(("rows", "columns"), grid, input.shape[1:], strict=True):
            matrix = upsampling_matrix(self.anomaly_field, cells, pixels, self.sigma)
            self.register_buffer(name, matrix, persistent=False)

    @property
    def layers(self) -> nn.Sequential:
        return nn.Sequential(self.features, self.head)

    def shares(self, outputs: Tensor) -> Tensor:
        """Each cell's response, over their number."""
        return pseudo_huber(full(outputs).square()) / outputs[0].numel()

    def chords(self, after: Tensor, before: Tensor) -> Tensor:
        slope = pseudo_huber_slope(full(after).square(), full(before).square())
        return full(after + before) * slope / after[0].numel()

    def response(self, x: Tensor) -> Tensor:
        """The map A at the network's own resolution, (N, 1, u, v), >= 0 (eq. 3: pseudo-Huber)."""
        return pseudo_huber(full(self.head(self.features(self.normalise(x)))).square())

    def score(self, x: Tensor) -> Tensor:
        return self.response(x).mean(dim=(1, 2, 3))

    def anomaly_map(self, x: Tensor) -> Tensor:
        heat, size = self.response(x), (x.shape[-2], x.shape[-1])
        if size == self.shape[1:]:
            return spread(heat, self.rows, self.columns)
        return upsample(heat, self.anomaly_field, size, self.sigma)

    def loss(self, x: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
        """By image: the hypersphere loss of the scores; `mask` isn't used.

        By pixel: `pixel_loss` of the anomaly map times the reference code's gain (`reference_gain`), so
        that the paper's learning rates and widths of the Gaussian keep the scale of their loss; the map
        itself is ours, which doesn't fade at the borders. Without a mask every anomalous image is taken as
        wholly anomalous.
        """
        if not self.uses_masks:
            return hypersphere_loss(self.score(x), label)
        return pixel_loss(self.anomaly_map(x) * self.gain, label, mask)
