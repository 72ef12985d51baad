"""The embedded default: grass is nominal, gravel and brick are anomalous, other photos are OE."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, DataSet, check_parts, refuse_masks
from fcdd_audit.datasets.photos import photo, photo_crops, sample_crops
from fcdd_audit.images.sets import ImageSet

NOMINAL, ANOMALOUS = "grass", ("gravel", "brick")
SIZES = (16, 64)
TRAIN_COUNT, OE_DRAWS = 512, 1024
MIN_EVEN_STD = 0.19  # what clipping may leave of TARGET_STD in one round
# Columns of the 512 px photos. Train, validation and test share no pixel.
TRAIN, VALIDATION, TEST = slice(0, 224), slice(224, 352), slice(352, 512)
TARGET_MEAN, TARGET_STD, ROUNDS = 0.5, 0.2, 50


def _even_crops(crops: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The crops that need no more than one round to the common contrast.

    Forced there, a nearly flat crop with a few bright spots becomes black and white: a cue of its own.
    """
    even = _round(crops).std(axis=(1, 2, 3)) > MIN_EVEN_STD
    return crops[even], tuple(name for name, keep in zip(names, even, strict=True) if keep)


def _round(crops: np.ndarray) -> np.ndarray:
    mean = crops.mean(axis=(1, 2, 3), keepdims=True)
    std = crops.std(axis=(1, 2, 3), keepdims=True)
    return ((crops - mean) / std * TARGET_STD + TARGET_MEAN).clip(0, 1)


def equalise(crops: np.ndarray) -> Tensor:
    """Give each crop the same mean and contrast, so that neither is a cue.

    crops: float (N, H, W, 1) in [0, 1]. Returns uint8 (N, 1, H, W).
    """
    for _ in range(ROUNDS):  # clipping takes contrast away, so that once isn't enough
        crops = _round(crops)
    pixels = np.rint(crops * 255).astype(np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _tiles(name: str, columns: slice, size: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Crops on a grid of half a crop's side: as many as there are without near-copies."""
    region = photo(name, 1)[:, columns]
    step = size // 2
    corners = [
        (top, left)
        for top in range(0, region.shape[0] - size + 1, step)
        for left in range(0, region.shape[1] - size + 1, step)
    ]
    tiles = np.stack([region[top : top + size, left : left + size] for top, left in corners])
    names = tuple(f"{name}-{columns.start + left}-{top}" for top, left in corners)
    return tiles, names


@DATASETS.register("textures")
class Textures(DataSet):
    """Grass against gravel and brick (scikit-image photos, 64 px, grey); OE: crops of other photos.

    Train, validation and test crops come from disjoint columns of the photos; gravel and brick are
    never trained on. Every crop has the same mean and contrast.
    """

    def load(self, request: DataRequest) -> AuditData:
        if request.data_root is not None:
            raise InputError("data set 'textures' is embedded and takes no --data-root; drop it")
        refuse_masks("textures", request)
        if request.bit_depth is not None:
            raise InputError(
                "data set 'textures' is embedded and has 8 bits a channel, bit depth "
                f"{request.bit_depth} can't be used with it; drop --bit-depth"
            )
        for flag, value in (
            ("oe", None if request.oe == "photos" else request.oe),
            ("oe-limit", request.oe_limit),
        ):
            if value is not None:
                raise InputError(
                    f"data set 'textures' has its own outlier exposure, '--{flag} {value}' can't be used "
                    f"with it; drop --{flag}"
                )
        size = request.image_size or 64
        if not SIZES[0] <= size <= SIZES[1]:
            raise InputError(
                f"data set 'textures' is cut in crops of {SIZES[0]} to {SIZES[1]} px, not {size}; "
                "change --image-size"
            )
        rng = numpy_generator(0, "textures")
        nominal = sample_crops(photo(NOMINAL, 1)[:, TRAIN], size, TRAIN_COUNT, rng)
        outliers, outlier_names = _even_crops(*photo_crops(1, size, OE_DRAWS, rng))
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
                    equalise(np.concatenate([tiles for tiles, _ in anomalous])),
                    tuple(name for _, names in anomalous for name in names),
                ),
                notes=(
                    "Outlier exposure: crops of other photos that scikit-image ships.",
                    "Neighbouring test crops overlap by half, so that the intervals over images are "
                    "somewhat too narrow.",
                ),
            )
        )
