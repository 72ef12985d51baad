from math import exp, log, sqrt

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import build


@pytest.fixture
def at_three_four(noise):
    """Every image becomes the vector (3, 4)."""
    detector = build("hsc", noise, 0, {"dimensions": 2}).eval()
    linear = detector.embed[-1]
    torch.nn.init.zeros_(linear.weight)
    linear.bias.data = torch.tensor([3.0, 4.0])
    return detector


DISTANCE = sqrt(9 + 16 + 1) - 1


def test_the_score_is_the_pseudo_huber_distance_from_the_origin(at_three_four, noise):
    torch.testing.assert_close(at_three_four.score(noise / 255), torch.full((12,), DISTANCE))


def test_the_loss_pulls_nominal_and_pushes_anomalous_images(at_three_four, noise):
    label = torch.tensor([1.0] * 3 + [0.0] * 9)
    expected = (9 * DISTANCE - 3 * log(1 - exp(-DISTANCE))) / 12
    assert at_three_four.loss(noise / 255, label).item() == pytest.approx(expected, rel=1e-5)


def test_dimensions_are_those_asked_for(noise):
    assert build("hsc", noise, 0, {"dimensions": 7}).embed[-1].out_features == 7


def test_dimensions_are_the_networks_own_unless_given(noise):
    assert build("hsc", noise, 0).embed[-1].out_features == 32
    assert build("hsc", noise, 0, network="cnn28").embed[-1].out_features == 48


@pytest.mark.parametrize("dimensions", [-1, 2.5])
def test_impossible_dimensions_are_refused(noise, dimensions):
    with pytest.raises(InputError, match="dimensions"):
        build("hsc", noise, 0, {"dimensions": dimensions})
