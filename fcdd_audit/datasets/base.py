"""What a data set hands to an audit, and the registry of data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from fcdd_audit.errors import InputError
from fcdd_audit.registry import Registry


@dataclass(frozen=True)
class ImageSet:
    """Images of one part of a data set.

    images: uint8, (N, C, H, W), C is 1 (grey) or 3 (RGB).
    names: N names, for people; never used as paths.
    masks: bool, (N, 1, H, W), where the true anomaly is; all False where unknown. None: no masks.
    """

    images: Tensor
    names: tuple[str, ...]
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class AuditData:
    """All the images of one audit. The five parts share channels and size and should be disjoint.

    Outlier exposure and labelled training anomalies are both `train_anomalous`.
    `validation` is nominal and sets the frozen threshold.
    """

    name: str
    nominal_class: str
    train_nominal: ImageSet
    train_anomalous: ImageSet
    validation: ImageSet
    test_nominal: ImageSet
    test_anomalous: ImageSet
    notes: tuple[str, ...] = field(default=())

    def parts(self) -> dict[str, ImageSet]:
        """The five parts by name."""
        return {
            part: getattr(self, part)
            for part in (
                "train_nominal",
                "train_anomalous",
                "validation",
                "test_nominal",
                "test_anomalous",
            )
        }

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = self.train_nominal.images.shape[1:]
        return channels, height, width

    def fingerprint(self) -> str:
        """Hex digest of every pixel, mask and name, in order."""
        digest = hashlib.sha256()
        for part, images in self.parts().items():
            digest.update(repr((part, tuple(images.images.shape), images.names)).encode())
            digest.update(images.images.contiguous().numpy().tobytes())
            if images.masks is not None:
                digest.update(images.masks.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class DataRequest:
    """What the user asked of a data set; None means the data set's own default. progress: a bar on stderr."""

    data_root: Path | None = None
    image_size: int | None = None
    oe: str | None = None
    skip_corrupt: bool = False
    progress: bool = False


Loader = Callable[[DataRequest], AuditData]
DATASETS: Registry[Loader] = Registry("data set")

MIN_TRAIN, MIN_TEST = 8, 2
LEARNT = ("train_nominal", "train_anomalous", "validation")


def check_parts(data: AuditData) -> AuditData:
    """Return `data`, with a note on test images that are also trained on or set the threshold; or raise
    InputError naming the part that has too few images for an audit."""
    needed = {"train_nominal": MIN_TRAIN, "test_nominal": MIN_TEST, "test_anomalous": MIN_TEST}
    for part, least in needed.items():
        if len(data.parts()[part]) < least:
            raise InputError(
                f"data set '{data.name}' has {len(data.parts()[part])} images in "
                f"{part.replace('_', ' ')}; an audit needs at least {least}"
            )
    learnt = {_digest(image) for part in LEARNT for image in data.parts()[part].images}
    tested = [image for part in ("test_nominal", "test_anomalous") for image in data.parts()[part].images]
    shared = sum(_digest(image) in learnt for image in tested)
    if not shared:
        return data
    note = (
        f"{shared} of {len(tested)} test images, as decoded, are also among the training or validation "
        "images: every number is too good."
    )
    return replace(data, notes=(*data.notes, note))


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).digest()
