"""Test images and numbers of finished detectors, made up so that answers can be told by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fcdd_audit.designs.finished.measuring import Measured
from fcdd_audit.designs.finished.tested import Tested, spread
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.images.sets import ImageSet

PLACEBOS = 39
RIGHT = {"nominal": 0.0, "anomalous": 1.0}  # scores of what is decided rightly at a threshold of 0.5


@pytest.fixture(scope="session")
def image_set():
    """Makes images: noise, or all of one value."""

    def make(count, side=16, channels=1, value=None, seed=0, masks=None):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(60, 196, (count, channels, side, side), generator=generator).byte()
        if value is not None:
            images.fill_(value)
        return ImageSet(images, tuple(f"{index}.png" for index in range(count)), masks)

    return make


@pytest.fixture(scope="session")
def wrong_by():
    """Makes one side's test images and scores, of which the artifact turns the first `hits` wrong.

    by_placebos: how many of the tried images each placebo turns wrong, the first ones. wrong_clean: how many,
    the last ones, are wrong without it. righted: how many of these are right with it. overlaps: as in
    `Measured`.
    """

    def make(
        side,
        hits,
        images,
        by_placebos=(0,) * PLACEBOS,
        wrong_clean=0,
        righted=0,
        found=False,
        overlaps=None,
    ):
        blank = torch.zeros(images, 1, 1, 1, dtype=torch.uint8)
        pairs = Pairs(side, tuple(map(str, range(images))), {"clean": blank, "marked": blank})
        right, wrong = RIGHT[side], 1 - RIGHT[side]
        clean = np.full(images, right)
        clean[images - wrong_clean :] = wrong
        marked = clean.copy()
        marked[:hits] = wrong
        marked[images - righted :] = right
        tried = spread(images, 100)
        places = tried.numpy()
        rows = [clean[places] if found else marked[places]]
        for count in by_placebos:
            # What is removed elsewhere of a found artifact leaves the decision wrong, unless it matters.
            row = marked[places] if found else clean[places]
            row[places.argsort()[:count]] = right if found else wrong
            rows.append(row)
        kinds = ("text",) * len(by_placebos)
        tested = Tested(pairs, tried, kinds, lambda: iter(()), found)
        return tested, Measured(clean, marked, np.stack(rows), overlaps or {})

    return make


@pytest.fixture(scope="session")
def written(image_set):
    """Writes a folder of test images, the anomalous ones brighter, and of validation images if asked for."""

    def make(root, nominal=12, anomalous=10, validation=0, side=16):
        counts = {"test/nominal": nominal, "test/anomalous": anomalous, "validation/nominal": validation}
        for seed, (part, count) in enumerate(counts.items()):
            pictures = image_set(count, side, seed=seed).images
            for index, image in enumerate(pictures + 40 * (part == "test/anomalous")):
                path = root / part / f"{index:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[0].numpy()).save(path)
        return root

    return make


@pytest.fixture(scope="session")
def models():
    """A file of code with models."""
    return Path(__file__).with_name("own_models.py")
