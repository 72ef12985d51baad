"""Embedded: grass is nominal, gravel and brick are anomalous, other photos are OE."""

from __future__ import annotations

import numpy as np

from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, DataSet, check_parts
from fcdd_audit.datasets.embedded import Crops, equalise, even_crops, size_of, tiles
from fcdd_audit.datasets.photos import photo, photo_crops, sample_crops
from fcdd_audit.images.sets import ImageSet

NOMINAL, ANOMALOUS = "grass", ("gravel", "brick")
SIZES = (16, 64)
TRAIN_COUNT, OE_DRAWS = 512, 1024
# Columns of the 512 px photos. Train, validation and test share no pixel.
TRAIN, VALIDATION, TEST = slice(0, 224), slice(224, 352), slice(352, 512)


def _tiles(name: str, columns: slice, size: int) -> Crops:
    return tiles(name, photo(name, 1)[:, columns], size, left=columns.start)


@DATASETS.register("textures")
class Textures(DataSet):
    """Grass against gravel and brick (scikit-image photos, 64 px, grey); OE: crops of other photos.

    Train, validation and test crops come from disjoint columns of the photos; gravel and brick are
    never trained on. Every crop has the same mean and contrast.
    """

    def load(self, request: DataRequest) -> AuditData:
        size = size_of("textures", request, 64, SIZES)
        rng = numpy_generator(0, "textures")
        nominal = sample_crops(photo(NOMINAL, 1)[:, TRAIN], size, TRAIN_COUNT, rng)
        outliers, outlier_names = even_crops(photo_crops(1, size, OE_DRAWS, rng))
        validation, validation_names = _tiles(NOMINAL, VALIDATION, size)
        test_nominal, nominal_names = _tiles(NOMINAL, TEST, size)
        anomalous = [_tiles(name, TEST, size) for name in ANOMALOUS]
        return check_parts(
            AuditData(
                name="textures",
                nominal_class=NOMINAL,
                train_nominal=ImageSet(
                    equalise(nominal), tuple(f"{NOMINAL}-train-{i:03d}" for i in range(TRAIN_COUNT))
                ),
                train_anomalous=ImageSet(equalise(outliers), outlier_names),
                validation=ImageSet(equalise(validation), validation_names),
                test_nominal=ImageSet(equalise(test_nominal), nominal_names),
                test_anomalous=ImageSet(
                    equalise(np.concatenate([crops for crops, _ in anomalous])),
                    tuple(name for _, names in anomalous for name in names),
                ),
                few_photographs=True,
                notes=(
                    "Outlier exposure: crops of other photos that scikit-image ships.",
                    "Neighbouring test crops overlap by half, so that the intervals over images are "
                    "somewhat too narrow.",
                ),
            )
        )
