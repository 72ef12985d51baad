"""The paper's Clever Hans experiment (section 4.3): horses with a photographer's watermark."""

from __future__ import annotations

from pathlib import Path

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, DataSet, check_parts, refuse_masks
from fcdd_audit.datasets.outliers import BUILT_IN, elsewhere, kept_apart, named_gallery
from fcdd_audit.datasets.sources import SOURCES
from fcdd_audit.images.parts import decoded_parts

SIZE = 224
VALIDATION_SHARE = 0.1
NOMINAL_SIDE = "imagenet"


@DATASETS.register("voc-horse")
class VocHorse(DataSet):
    """VOC's horses on the anomalous side, as in the paper; nominal: ImageNet's validation photos, or --oe.

    The roles are swapped: the horses are what training pushes away, and `--oe SOURCE` names the nominal side
    (a source or a folder). Test: VOC photos without a horse against those with one. Pictures are squeezed
    into squares, so that no corner with a watermark is cut off.
    """

    def missing(self, root: Path | None) -> str | None:
        reason = SOURCES["voc"]().missing(root)
        if reason is None and (no_oe := SOURCES[NOMINAL_SIDE]().missing(root)):
            return f"without --oe: {no_oe}"
        return reason

    def load(self, request: DataRequest) -> AuditData:
        refuse_masks("voc-horse", request)
        if request.oe in BUILT_IN:
            raise InputError(
                f"data set 'voc-horse' has its nominal side where others have outlier exposure, and "
                f"'{request.oe}' can't be it; give --oe a source or a folder of photos"
            )
        voc = SOURCES["voc"]()
        train = voc.gallery(request.data_root, train=True, download=request.download)
        test = voc.gallery(request.data_root, train=False, download=request.download)
        name = NOMINAL_SIDE if request.oe is None else request.oe
        notes = (train.left_out | test.left_out).notes(voc.title, request.skip_corrupt)
        photos, left_out = named_gallery(name, request, train=False)
        photos, shared = kept_apart(photos, ("horse",))
        notes += shared + left_out
        photos = photos.sample(request.oe_limit, numpy_generator(0, "nominal side"))
        kept, held = photos.split(VALIDATION_SHARE, numpy_generator(0, "validation"))
        size = request.image_size or SIZE
        own = {
            "train_anomalous": train.of_class("horse"),
            "test_nominal": test.without("horse"),
            "test_anomalous": test.of_class("horse"),
        }
        found = decoded_parts(own, size, request.reading, notes, channels=3)
        nominal = {"train_nominal": kept, "validation": held}
        found |= decoded_parts(nominal, size, elsewhere(request), notes, channels=3, own=False)
        return check_parts(
            AuditData(
                name="voc-horse",
                nominal_class="no horse",
                train_nominal=found["train_nominal"],
                train_anomalous=found["train_anomalous"],
                validation=found["validation"],
                test_nominal=found["test_nominal"],
                test_anomalous=found["test_anomalous"],
                notes=(
                    f"Nominal side in training: {len(photos)} photos of {photos.what}; in the test: VOC "
                    "photos without a horse.",
                    *notes,
                ),
                outlier_exposure=False,
            )
        )
