"""Tiny models whose heatmaps are computed by hand."""

import pytest
import torch
from torch import nn

from fcdd_audit.explainers import make_explainer


class Model(nn.Module):
    """A user's own: the score is what `network` makes of the image, summed."""

    def __init__(self, *layers):
        super().__init__()
        self.network = nn.Sequential(*layers)

    def forward(self, x):
        return self.score(x)

    def score(self, x):
        return self.network(x).flatten(1).sum(dim=1)


class Formula:
    """Not even a module: the score is any function of the image."""

    def __init__(self, function):
        self.score = function


def convolution(weights, bias=None):
    """1x1 filters: `weights` is (out, in)."""
    weights = torch.tensor(weights)
    layer = nn.Conv2d(weights.shape[1], weights.shape[0], 1, bias=bias is not None)
    layer.weight.data = weights[:, :, None, None].float()
    if bias is not None:
        layer.bias.data = torch.tensor(bias).float()
    return layer


def linear(weights, bias=None):
    """`weights` is (out, in)."""
    weights = torch.tensor(weights)
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=bias is not None)
    layer.weight.data = weights.float()
    if bias is not None:
        layer.bias.data = torch.tensor(bias).float()
    return layer


@pytest.fixture
def tiny():
    """Models and layers with given weights."""

    class Tiny:
        pass

    for part in (Model, Formula, convolution, linear):
        setattr(Tiny, part.__name__, staticmethod(part))
    return Tiny


@pytest.fixture
def explain():
    """The heatmaps of an explainer with its options."""

    def run(name, detector, x, seed=0, **options):
        explainer = make_explainer(name, {name: options})
        return explainer.explain(detector, x, torch.Generator().manual_seed(seed))

    return run
