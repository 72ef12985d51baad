"""One training: a detector, what it learns from, and a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.base import Detector
from fcdd_audit.detectors.training.feed import TrainingImages


class Term(Protocol):
    """What a training adds to the detector's own loss."""

    def __call__(
        self, detector: Detector, x: Tensor, chosen: Tensor, move: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """What a step adds, a number, differentiable in the detector's weights.

        x: the step's images as the detector gets them, float (N, C, H, W). chosen: their numbers, (N,), on
        the CPU, nominal training images first. move: displaces and flips whatever else belongs to these
        images, (N, ...), like them.
        """
        ...


@dataclass(frozen=True)
class Member:
    """One training of those that are done together.

    detector: is trained in place. nominal, anomalous: uint8 (N, C, H, W) on the CPU, which may be mapped from
    a file and larger than memory. seed: decides all that is drawn, with the recipe and the numbers of images.
    masks: bool (M, 1, H, W), where the anomalous images are anomalous; an empty one stands for all of it;
    None: nothing is known. term: is added to the loss of every step.
    """

    detector: Detector
    nominal: Tensor
    anomalous: Tensor
    seed: int
    masks: Tensor | None = None
    term: Term | None = None

    @property
    def name(self) -> str:
        return type(self.detector).__name__

    @property
    def source(self) -> TrainingImages:
        return TrainingImages(self.nominal, self.anomalous, self.masks)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        channels, height, width = self.nominal.shape[1:]
        return channels, height, width

    def learnt(self) -> Member:
        """With the images and masks only that its detector learns from. InputError for what it can't train
        on."""
        if len(self.nominal) == 0:
            raise InputError("there are no nominal training images; add train/nominal")
        mixes = "anomalous" in self.detector.learns_from
        if mixes and len(self.anomalous) == 0:
            raise InputError(
                f"{self.name} learns from training anomalies and there are none; add train/anomalous, or "
                "outlier exposure with --oe, or choose a detector that learns from nominal images only "
                "(ae, dsvdd)"
            )
        used = replace(
            self,
            anomalous=self.anomalous if mixes else self.nominal[:0],
            masks=self.masks if mixes and self.detector.uses_masks else None,
        )
        used._check_images()
        return used if used.masks is None else replace(used, masks=used._whole(used.masks))

    def _check_images(self) -> None:
        nominal, anomalous = self.nominal, self.anomalous
        if nominal.dtype != torch.uint8 or anomalous.dtype != torch.uint8:
            raise InputError(f"the training images are {nominal.dtype} and {anomalous.dtype}; give uint8")
        if nominal.ndim != 4:
            raise InputError(
                f"the training images are of shape {tuple(nominal.shape)}; give (N, channels, height, width)"
            )
        if anomalous.shape[1:] != nominal.shape[1:]:
            raise InputError(
                f"the anomalous training images are of shape {tuple(anomalous.shape[1:])}, and the nominal "
                f"ones of {tuple(nominal.shape[1:])}; give them one (channels, height, width)"
            )

    def _whole(self, masks: Tensor) -> Tensor:
        """With all of an image where its mask is empty; the given ones stay as they are."""
        count, size = len(self.anomalous), self.nominal.shape[-2:]
        if masks.dtype != torch.bool or masks.shape != (count, 1, *size):
            raise InputError(
                f"the masks are {masks.dtype} of shape {tuple(masks.shape)}; give a bool (1, height, width) "
                f"for each of the {count} anomalous images"
            )
        empty = ~masks.any(dim=(1, 2, 3))
        return masks | empty[:, None, None, None] if empty.any() else masks
