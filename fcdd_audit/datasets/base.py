"""What a data set hands to an audit, and the registry of data sets."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import as_bytes
from fcdd_audit.core.registry import Registry
from fcdd_audit.images.decode import Fit
from fcdd_audit.images.depth import check_bit_depth
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sets import ImageSet


@dataclass(frozen=True)
class AuditData:
    """All the images of one audit. The five parts share channels and size and should be disjoint.

    Outlier exposure and labelled training anomalies are both `train_anomalous`; `outlier_exposure` says
    which, since one set never has both; `malformed`, whether it is made of the nominal training images
    (confetti). `validation` is nominal and sets the frozen threshold. fit: how the
    images were made square (see `cache.cached`). few_photographs: whether images are cut from few
    photographs, so that near-copies among them say nothing.
    """

    name: str
    nominal_class: str
    train_nominal: ImageSet
    train_anomalous: ImageSet
    validation: ImageSet
    test_nominal: ImageSet
    test_anomalous: ImageSet
    notes: tuple[str, ...] = field(default=())
    outlier_exposure: bool = True
    malformed: bool = False
    fit: Fit = "squash"
    few_photographs: bool = False

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
            digest.update(f"{part} {images.content()}".encode())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class DataRequest:
    """What the user asked of a data set; None means the data set's own default.

    nominal_class: one of the data set's classes.
    oe: outlier exposure: `photos`, `confetti`, `none`, a registered source, or a folder.
    oe_limit: at most so many images of it.
    masks_per_defect: so many anomalous images with masks of each kind of defect are trained on instead.
    confetti_mask: what pixel supervision takes as anomalous in an image with confetti: all of it (`full`, as
    in the paper) or the changed pixels (`blob`).
    channels: 1 or 3, whatever the pictures have; None: 1 if none has colour. Data sets that are grey or in
    colour by definition don't ask.
    bit_depth: 8 to 16, of the data set's own files that hold more than 8 bits a channel; None: told from them
    (see `depth.depth_of`). Outlier exposure from elsewhere has a depth of its own.
    cache: folder for decoded images. download: fetch what is missing, where that is possible.
    progress: a bar on stderr.
    test_only: only the test images are wanted: a data set may leave the training parts empty, and then needs
    none. Folders do.

    InputError for a bit depth that no image file has.
    """

    data_root: Path | None = None
    image_size: int | None = None
    nominal_class: str | None = None
    oe: str | None = None
    oe_limit: int | None = None
    masks_per_defect: int = 0
    confetti_mask: str = "full"
    skip_corrupt: bool = False
    channels: int | None = None
    bit_depth: int | None = None
    cache: Path | None = None
    download: bool = False
    progress: bool = False
    test_only: bool = False

    def __post_init__(self) -> None:
        check_bit_depth(self.bit_depth)

    @property
    def reading(self) -> Reading:
        """How the data set's own files are read."""
        return Reading(self.cache, self.skip_corrupt, self.bit_depth, self.progress)


class DataSet(ABC):
    """A source of audits: images on the nominal and on the anomalous side."""

    def classes(self, root: Path | None) -> tuple[str, ...]:
        """The classes that can be nominal, one at a time; empty if there is nothing to choose."""
        return ()

    @abstractmethod
    def load(self, request: DataRequest) -> AuditData:
        """The images. InputError for a request that can't be met: what is missing and how to get it."""

    def missing(self, root: Path | None) -> str | None:
        """What keeps it from being used with this data root, in one line; None: it is ready."""
        return None


DATASETS: Registry[type[DataSet]] = Registry("data set")

MIN_TRAIN, MIN_TEST = 8, 2
LEARNT = ("train_nominal", "train_anomalous", "validation")


def refuse_masks(name: str, request: DataRequest) -> None:
    """InputError if the request wants masks of a data set that has none."""
    if request.masks_per_defect:
        raise InputError(
            f"data set '{name}' has no masks of defects to train on; drop --masks-per-defect, or use it with "
            "--dataset mvtec or folder"
        )


def check_parts(data: AuditData, test_only: bool = False) -> AuditData:
    """`data`, with notes on images that are in two parts at once.

    test_only: no training images are needed. InputError naming the part that has too few images for an audit.
    """
    needed = {
        "train_nominal": 0 if test_only else MIN_TRAIN,
        "test_nominal": MIN_TEST,
        "test_anomalous": MIN_TEST,
    }
    for part, least in needed.items():
        if len(data.parts()[part]) < least:
            raise InputError(
                f"data set '{data.name}' ({data.nominal_class}) has {len(data.parts()[part])} images in "
                f"{part.replace('_', ' ')}; an audit needs at least {least}"
            )
    digests = {part: [_digest(image) for image in images.images] for part, images in data.parts().items()}
    notes = [*data.notes]
    learnt = {digest for part in LEARNT for digest in digests[part]}
    tested = [*digests["test_nominal"], *digests["test_anomalous"]]
    if shared := sum(digest in learnt for digest in tested):
        notes.append(
            f"{shared} of {len(tested)} test images, as decoded, are also among the training or validation "
            "images: every number is too good."
        )
    nominal = {*digests["train_nominal"], *digests["validation"]}
    if shared := sum(digest in nominal for digest in digests["train_anomalous"]):
        notes.append(
            f"{shared} of {len(data.train_anomalous)} anomalous training images (outlier exposure included), "
            "as decoded, are also nominal ones: the detector is told that they are both."
        )
    return replace(data, notes=tuple(notes))


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(as_bytes(image)).digest()
