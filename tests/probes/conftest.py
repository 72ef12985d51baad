"""Stamps of known content, and what they are as blends."""

import pytest
import torch

from fcdd_audit.probes.blends import blend_of

CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Stamp:
    """Lays a content, (C, h, w), at an opacity in a box that every image has elsewhere, by up to `jitter`."""

    def __init__(self, content, opacity=0.8, at=(4, 4), jitter=0):
        self.content, self.opacity, self.at, self.jitter = content, opacity, at, jitter

    def apply(self, x, generator):
        (top, left), (h, w) = self.at, self.content.shape[1:]
        marked, mask = x.clone(), torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
        moves = torch.randint(-self.jitter, self.jitter + 1, (len(x), 2), generator=generator)
        for image, where, (down, right) in zip(marked, mask, moves.tolist(), strict=True):
            box = ..., slice(top + down, top + down + h), slice(left + right, left + right + w)
            image[box] = image[box] * (1 - self.opacity) + self.content * self.opacity
            where[box] = True
        return marked, mask


@pytest.fixture(scope="session")
def stamp():
    """Makes a probe of a content: see `Stamp`."""
    return Stamp


@pytest.fixture(scope="session")
def blended():
    """Makes the blend of a probe on images of so many pixels a side."""

    def make(probe, side=32, channels=1, count=3, seed=0):
        return blend_of(probe, torch.Size((count, channels, side, side)), generator(seed), CPU)

    return make
