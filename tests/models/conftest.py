"""Tiny models and images."""

import pytest
import torch
from torch import nn

from fcdd_audit.models import wrap

CPU = torch.device("cpu")


class Weighted(nn.Module):
    """The score is a weighted sum over channels and the mean over pixels; it takes one number of channels."""

    def __init__(self, channels=3):
        super().__init__()
        self.layer = nn.Conv2d(channels, 1, 1, bias=False)
        self.layer.weight.data = torch.arange(1.0, channels + 1).reshape(1, channels, 1, 1)

    def forward(self, x):
        return self.layer(x).mean(dim=(1, 2, 3))


class Flat(nn.Module):
    """The score is a weighted sum over all pixels of images of one size."""

    def __init__(self, features):
        super().__init__()
        self.layer = nn.Linear(features, 1)

    def forward(self, x):
        return self.layer(x.flatten(1))


@pytest.fixture
def images():
    return torch.randint(
        0, 256, (5, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture
def x(images):
    return images.float() / 255


@pytest.fixture
def grey(images):
    return images[:, :1]


@pytest.fixture
def tiny():
    """Modules."""

    class Tiny:
        weighted, flat = Weighted, Flat

    return Tiny


@pytest.fixture
def wrapped(images):
    """A model that was handed over and tried."""

    def make(model, on=images, **settings):
        return wrap(model, name="mine", device=CPU, **settings).tried(on)

    return make
