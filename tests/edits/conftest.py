"""A small training set, and an artifact to plant."""

import pytest
import torch

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.base import TrainingSet
from fcdd_audit.images.sets import ImageSet

COUNTS = {"nominal": 8, "anomalous": 6}
SIDE = 12  # px
SPOT = (..., slice(0, 3), slice(0, 3))  # where a found artifact is


class Dot:
    """One white pixel in the first row, in a random column."""

    placed = True

    def apply(self, x, generator):
        columns = torch.randint(0, x.shape[3], (len(x),), generator=generator)
        mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
        mask[torch.arange(len(x)), 0, 0, columns] = True
        return torch.where(mask, torch.ones_like(x), x), mask


@pytest.fixture(scope="session")
def dot():
    return Dot()


@pytest.fixture
def training():
    """Makes a set of noise in which these images bear a found artifact: training(nominal=[0], anomalous=[5]).

    Anomalous images have masks of true anomalies, by which they are told apart.
    """

    def make(counts=COUNTS, **bearing):
        parts, where = {}, {}
        for side in SIDES:
            count, generator = counts[side], torch.Generator().manual_seed(len(side))
            images = torch.randint(0, 250, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
            masks = None
            if side == "anomalous":
                masks = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
                masks[torch.arange(count), 0, 9, torch.arange(count) % SIDE] = True
            names = tuple(f"{side}/{index}" for index in range(count))
            parts[side] = ImageSet(images, names, masks, digest="known")
            where[side] = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
            where[side][SPOT] = torch.tensor([i in bearing.get(side, ()) for i in range(count)])[
                :, None, None, None
            ]
        return TrainingSet(parts["nominal"], parts["anomalous"], where)

    return make
