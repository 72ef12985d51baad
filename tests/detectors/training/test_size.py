"""What a step calculates and keeps, and how many twins make a stack."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fcdd_audit.detectors import Detector, Input, Normalisation, build
from fcdd_audit.detectors.training import size
from fcdd_audit.detectors.training.size import most_in_a_stack, repeats_cheaply, size_of

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Tiny(Detector):
    """One 3x3 convolution of 2 to 4 channels and a linear layer of 4 * 8 * 8 to 5."""

    stacks = True

    def __init__(self):
        super().__init__(Input((2, 8, 8), Normalisation("nominal", torch.zeros(2), torch.ones(2))))
        self.features = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False))
        self.embed = nn.Linear(256, 5, bias=False)

    def score(self, x):
        return self.embed(self.features(self.normalise(x)).flatten(1)).square().sum(dim=1)

    def loss(self, x, label, mask=None):
        return self.score(x).mean()


def test_a_step_is_counted_in_multiply_adds_and_bytes():
    """By hand: 8 * 8 * 4 outputs of 18 products each, and 5 of 256. Kept are the convolution's input (the
    normalised image, 128 numbers), the linear layer's (256) and the square's (5)."""
    found = size_of(Tiny(), batch=10)
    assert found.work == 10 * (64 * 4 * 18 + 5 * 256)
    weights = 4 * 2 * 9 + 256 * 5
    assert found.memory == 4 * (4 * weights + 2 * 10 * (128 + 256 + 5))


def test_the_weights_of_a_wide_layer_are_not_counted_with_every_image():
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    detector = build("hsc", images, 0, {}, "cnn32-s")
    weights = sum(weight.numel() for weight in detector.parameters())
    assert size_of(detector, 1).memory < 4 * 4 * weights + 2 * 4 * 500_000


@pytest.fixture
def card(monkeypatch):
    """A GPU of 64 GiB."""
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=64 << 30)
    )


def test_a_stack_is_as_large_as_keeps_a_card_busy(card):
    assert most_in_a_stack(Tiny(), 10, CPU) == 1
    assert most_in_a_stack(Tiny(), 10, CUDA) == 1 << 18, "of 339,673"
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    assert most_in_a_stack(build("fcdd", images, 0), 16, CUDA) == 64
    assert most_in_a_stack(build("fcdd", images[..., :32, :32], 0, {}, "cnn32"), 200, CUDA) == 1


def test_and_as_fits_into_half_of_its_memory(card, monkeypatch):
    monkeypatch.setattr(size, "MEMORY_SHARE", 1e-6)  # 68 kB
    assert most_in_a_stack(Tiny(), 10, CUDA) == 1, "68,719 bytes of 52,752 each"
    monkeypatch.setattr(size, "MEMORY_SHARE", 1e-5)
    assert most_in_a_stack(Tiny(), 10, CUDA) == 8, "13 fit"


def test_a_detector_that_does_not_say_so_is_not_stacked(card, monkeypatch):
    monkeypatch.setattr(Tiny, "stacks", False)
    assert most_in_a_stack(Tiny(), 10, CUDA) == 1


@pytest.mark.parametrize(
    ("batch", "device", "low", "cheap"),
    [
        (10, CUDA, False, True),
        (10**6, CUDA, False, False),
        (10**6, CUDA, True, True),
        (10**6, CPU, False, True),
    ],
)
def test_algorithms_repeat_themselves_but_where_it_costs_much(batch, device, low, cheap):
    assert repeats_cheaply(Tiny(), batch, device, low) == cheap
