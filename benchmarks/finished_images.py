"""Images for the benchmark of finished detectors: what they are trained on, and pools to test them on.

The test images of each set are a pool of one population: an audit's images and those that tell the truth are
both drawn from it. Photos are cut at random places, so that crops overlap within a region; the regions of
training, validation and the pool share no pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from skimage.transform import resize

from fcdd_audit.config.audit import make_config
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets import DATASETS, AuditData, DataRequest, retina, textures
from fcdd_audit.datasets.embedded import equalise, even_crops
from fcdd_audit.datasets.photos import photo
from fcdd_audit.datasets.sources import SOURCES
from fcdd_audit.images.gallery import Gallery
from fcdd_audit.images.parts import decoded_parts
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sets import ImageSet

VALIDATION = 400  # nominal images that set the threshold
POOL = 1600  # test images of each side
DRAWN = 4  # times as many crops of the retina are cut as are needed, since some don't suit
CLASSES, EXPOSED = 10, 4  # of CIFAR-10, and how many of them are outlier exposure
CIFAR_TRAIN = 2000  # images of each side
CIFAR_SIZE = 32
SOURCE = "cifar10"


def random_crops(region: np.ndarray, size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Crops of a photo's region, (H, W, 1), at places drawn at random: (count, size, size, 1)."""
    tops, lefts = (rng.integers(side - size + 1, size=count) for side in region.shape[:2])
    return np.stack(
        [region[top : top + size, left : left + size] for top, left in zip(tops, lefts, strict=True)]
    )


def named(name: str, crops: np.ndarray) -> ImageSet:
    """Crops of the same mean and contrast, as all of this package's photos are."""
    return ImageSet(equalise(crops), tuple(f"{name}-{place}" for place in range(len(crops))))


def of_textures() -> AuditData:
    """Grass against gravel and brick, 64 px; training images as in `textures`."""
    data = DATASETS["textures"]().load(DataRequest())
    size, rng = data.shape[1], numpy_generator(0, "pool of textures")

    def cut(name: str, columns: slice, count: int) -> np.ndarray:
        return random_crops(photo(name, 1)[:, columns], size, count, rng)

    half = POOL // len(textures.ANOMALOUS)
    return replace(
        data,
        validation=named("validation", cut(textures.NOMINAL, textures.VALIDATION, VALIDATION)),
        test_nominal=named("nominal", cut(textures.NOMINAL, textures.TEST, POOL)),
        test_anomalous=named(
            "anomalous",
            np.concatenate([cut(name, textures.TEST, half) for name in textures.ANOMALOUS]),
        ),
    )


def of_retina() -> AuditData:
    """The retina of an eye against gravel, grass and brick, 32 px; training images as in `retina`."""
    data = DATASETS["retina"]().load(DataRequest())
    size, rng = data.shape[1], numpy_generator(0, "pool of retina")
    eye = resize(photo(retina.NOMINAL, 1), (retina.SIDE,) * 2, anti_aliasing=True).astype(np.float32)

    def within(rows: slice, count: int) -> np.ndarray:
        crops = random_crops(eye[rows], size, DRAWN * count, rng)
        inside = crops.min(axis=(1, 2, 3)) > retina.EYE
        suited = crops[inside & (crops.std(axis=(1, 2, 3)) > retina.FAINT)]
        return even_crops((suited, ("",) * len(suited)))[0][:count]

    shares = np.array_split(np.arange(POOL), len(retina.ANOMALOUS))
    others = [
        random_crops(photo(name, 1)[retina.ANOMALOUS_TEST], size, len(share), rng)
        for name, share in zip(retina.ANOMALOUS, shares, strict=True)
    ]
    return replace(
        data,
        validation=named("validation", within(retina.VALIDATION, VALIDATION)),
        test_nominal=named("nominal", within(retina.TEST, POOL)),
        test_anomalous=named("anomalous", np.concatenate(others)),
    )


@cache
def of_cifar10(root: Path, nominal: int) -> AuditData:
    """One class of CIFAR-10 against five, 32 px; outlier exposure: the four others. No image is in two parts.

    nominal: the class's number.
    """
    names = SOURCES[SOURCE].known
    own, *others = [names[(nominal + place) % CLASSES] for place in range(CLASSES)]
    gallery = SOURCES[SOURCE]().gallery(root, train=True, download=False)

    def first_of(classes: list[str], count: int) -> Gallery:
        """As many of each class."""
        each = count // len(classes)
        places = [np.flatnonzero(np.array(gallery.classes) == name)[:each] for name in classes]
        return gallery.take(np.concatenate(places).tolist())

    mine = gallery.of_class(own)
    ends = np.cumsum([0, CIFAR_TRAIN, VALIDATION, POOL]).tolist()
    parts = {
        "train_nominal": mine.take(range(*ends[0:2])),
        "validation": mine.take(range(*ends[1:3])),
        "test_nominal": mine.take(range(*ends[2:4])),
        "train_anomalous": first_of(others[:EXPOSED], CIFAR_TRAIN),
        "test_anomalous": first_of(others[EXPOSED:], POOL),
    }
    return AuditData(name=SOURCE, nominal_class=own, **decoded_parts(parts, CIFAR_SIZE, Reading(), [], 3))


@cache
def recipe_of(dataset: str) -> Recipe:
    """How detectors are trained on a set: by default as an audit does."""
    if dataset == SOURCE:
        return Recipe.of(epochs=6, flip=0.5, shift=0.125)
    return make_config(dataset=dataset).detector.recipe


EMBEDDED: dict[str, Callable[[], AuditData]] = {"textures": cache(of_textures), "retina": cache(of_retina)}


def images_of(dataset: str, seed: int, root: Path | None) -> AuditData:
    """The images of a set for the detector of a seed: on CIFAR-10 the seed also says which class is nominal.

    root: the folder that has CIFAR-10. ValueError without it.
    """
    if dataset in EMBEDDED:
        return EMBEDDED[dataset]()
    if root is None:
        raise ValueError("CIFAR-10 needs --data-root")
    return of_cifar10(root, seed % CLASSES)
