"""Embedded: the retina of an eye is nominal, gravel, grass and brick are anomalous, other photos are OE."""

from __future__ import annotations

from functools import cache

import numpy as np
from skimage.transform import resize

from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, DataSet, check_parts
from fcdd_audit.datasets.embedded import Crops, chosen, equalise, even_crops, size_of, tiles
from fcdd_audit.datasets.photos import photo, photo_crops
from fcdd_audit.images.sets import ImageSet

NOMINAL, ANOMALOUS = "retina", ("gravel", "grass", "brick")
SIZES = (16, 64)
OE_DRAWS = 2048
# The photo is reduced from 1411 px: the blocks of its JPEG file would lie on the grid of the crops. So these
# show as much of it as crops for OE, which are zoomed by 1 to 2, do of theirs.
SIDE = 960
EYE = 0.1  # brighter than the black around the eye
FAINT = 0.015  # standard deviation below which a crop is little but noise once contrast is equalised
# Rows of the retina. Train, validation and test share no pixel.
TRAIN, VALIDATION, TEST = slice(0, 448), slice(448, 672), slice(672, SIDE)
ANOMALOUS_TEST = slice(0, 128)  # rows of the others, of which nothing is trained on


@cache
def _eye() -> np.ndarray:
    return resize(photo(NOMINAL, 1), (SIDE, SIDE), anti_aliasing=True).astype(np.float32)


def _nominal(rows: slice, size: int) -> Crops:
    """The crops within the eye that aren't too faint."""
    crops = tiles(NOMINAL, _eye()[rows], size, top=rows.start)
    within = crops[0].min(axis=(1, 2, 3)) > EYE
    return even_crops(chosen(crops, within & (crops[0].std(axis=(1, 2, 3)) > FAINT)))


def _images(crops: Crops) -> ImageSet:
    return ImageSet(equalise(crops[0]), crops[1])


@DATASETS.register("retina")
class Retina(DataSet):
    """Retina against gravel, grass and brick (scikit-image photos, 32 px, grey); OE: crops of other photos.

    Train, validation and test crops come from disjoint rows of the one photo of a retina; the photos of the
    test anomalies are never trained on. Every crop has the same mean and contrast.
    """

    def load(self, request: DataRequest) -> AuditData:
        size = size_of("retina", request, 32, SIZES)
        outliers = photo_crops(1, size, OE_DRAWS, numpy_generator(0, "retina"), without=(NOMINAL,))
        anomalous = [tiles(name, photo(name, 1)[ANOMALOUS_TEST], size) for name in ANOMALOUS]
        return check_parts(
            AuditData(
                name="retina",
                nominal_class=NOMINAL,
                train_nominal=_images(_nominal(TRAIN, size)),
                train_anomalous=_images(even_crops(outliers)),
                validation=_images(_nominal(VALIDATION, size)),
                test_nominal=_images(_nominal(TEST, size)),
                test_anomalous=_images(
                    (
                        np.concatenate([crops for crops, _ in anomalous]),
                        tuple(name for _, names in anomalous for name in names),
                    )
                ),
                few_photographs=True,
                notes=(
                    "Nominal crops come from one photo; outlier exposure is crops of other photos that "
                    "scikit-image ships.",
                    "Neighbouring crops overlap by half, so that the intervals over images are somewhat too "
                    "narrow.",
                ),
            )
        )
