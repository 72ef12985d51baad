"""Models from elsewhere that the tests audit."""

import numpy as np
import torch
from torch import nn

from fcdd_audit.detectors import build


def brightness(x):
    return x.mean(dim=(1, 2, 3))


class Net(nn.Module):
    def forward(self, x):
        return x.mean(dim=(1, 2, 3))


class Mapping(nn.Module):
    def forward(self, x):
        return x.mean(dim=(1, 2, 3)), x.mean(dim=1, keepdim=True)


def black_box():
    return lambda x: np.asarray(x).mean(axis=(1, 2, 3))


def detector():
    return build("fcdd", torch.zeros(2, 1, 16, 16, dtype=torch.uint8), 0)


# Of images of 32 px: a checkered patch of 8 x 8 lies in the corner, anomalies are brighter in the middle.

squares = torch.arange(8) // 2
TEMPLATE = ((squares[:, None] + squares) % 2).float() - 0.5


def middle(x):
    return x[..., 12:20, 12:20].mean(dim=(1, 2, 3))


def match(x):
    """0.25 with the patch, at most 0.203 with its placebos, about 0 without."""
    return ((x[..., :8, :8] - 0.5) * TEMPLATE).mean(dim=(1, 2, 3))


class Robust(nn.Module):
    def forward(self, x):
        return middle(x)


class Vulnerable(nn.Module):
    """Looks for the patch, and says so."""

    def forward(self, x):
        found = (match(x) - 0.21).clamp_min(0)
        maps = torch.zeros_like(x[:, :1])
        maps[..., :8, :8] = found.view(-1, 1, 1, 1)
        return middle(x) + 25 * found, maps


class Fearful(nn.Module):
    """Fears any contrast in the corner."""

    def forward(self, x):
        return middle(x) + (x[..., :8, :8].std(dim=(1, 2, 3)) - 0.3).clamp_min(0)


class Hiding(nn.Module):
    def forward(self, x):
        return middle(x) - 25 * (match(x) - 0.21).clamp_min(0)


class Reversed(nn.Module):
    def forward(self, x):
        return -middle(x)


class Chatty(nn.Module):
    def forward(self, x):
        print("a model says hello")
        return middle(x)


class Telltale(nn.Module):
    """Knows anomalies by nothing but the patch."""

    def forward(self, x):
        return 0.1 * middle(x) + 25 * (match(x) - 0.21).clamp_min(0)


class Clipped(nn.Module):
    def forward(self, x):
        return (8 * (middle(x) - 0.5)).clamp(0, 1)


class Constant(nn.Module):
    def forward(self, x):
        return 0 * middle(x) + 1


class Infinite(nn.Module):
    def forward(self, x):
        return middle(x) / 0
