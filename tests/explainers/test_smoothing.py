from types import SimpleNamespace

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors.receptive import ReceptiveField
from fcdd_audit.explainers.smoothing import Smoothing

BESIDE = torch.tensor(-0.5).exp().item()  # a Gaussian of sigma 1, a pixel away


def looking(size, stride=1):
    return SimpleNamespace(map_field=ReceptiveField(size, stride))


def test_a_pixel_in_the_corner_is_spread_without_fading():
    heat = torch.zeros(1, 1, 4, 4)
    heat[..., 0, 0] = 1.0
    # The first pixel takes from itself and one neighbour, the second from two; the third doesn't see it.
    line = torch.tensor([1 / (1 + BESIDE), BESIDE / (1 + 2 * BESIDE), 0, 0])
    torch.testing.assert_close(Smoothing(1.0).smooth(looking(3), heat)[0, 0], line[:, None] * line)


def test_the_field_cuts_the_gaussian():
    heat = torch.zeros(1, 1, 1, 7)
    heat[..., 3] = 1.0
    for size, reach in ((1, 0), (3, 1), (4, 1), (5, 2)):
        spread = Smoothing(1.0).smooth(looking(size), heat)[0, 0, 0]
        assert (spread > 0).tolist() == [abs(place - 3) <= reach for place in range(7)]


def test_a_flat_map_stays_flat():
    heat = torch.full((2, 1, 5, 9), 0.4)
    torch.testing.assert_close(Smoothing(2.0).smooth(looking(7), heat), heat)


def test_the_width_is_two_fifths_of_the_stride_unless_it_is_given():
    heat = torch.rand(1, 1, 9, 9)
    assert torch.equal(Smoothing().smooth(looking(9, 5), heat), Smoothing(2.0).smooth(looking(9, 5), heat))
    assert not torch.equal(
        Smoothing().smooth(looking(9, 5), heat), Smoothing(1.0).smooth(looking(9, 5), heat)
    )


@pytest.mark.parametrize(
    ("sigma", "stride", "cell"),
    # Width at half height: 2.355 sigma; sigma is 0.4 * 8 by default.
    [(None, 8, 8), (2.0, 8, 5), (0.1, 8, 1)],
)
def test_the_grain_is_the_gaussian_at_half_its_height(sigma, stride, cell):
    assert Smoothing(sigma).grain(looking(21, stride), 64) == ReceptiveField(21, cell)


def test_without_a_field_there_is_no_width():
    assert "map_field" in Smoothing().no_field(SimpleNamespace())
    assert Smoothing().no_field(looking(3)) is None


@pytest.mark.parametrize("sigma", [0.0, -1.0])
def test_a_gaussian_without_width_is_refused(sigma):
    with pytest.raises(InputError, match="over 0"):
        Smoothing(sigma)
