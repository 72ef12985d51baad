from math import exp, inf, log, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.detectors.losses import hypersphere_loss, pixel_loss, pseudo_huber


def loss(distance, label):
    return hypersphere_loss(torch.tensor(distance), torch.tensor(label)).item()


def test_nominal_images_cost_their_distance_and_anomalous_ones_their_closeness():
    assert -log(1 - exp(-0.5)) == pytest.approx(0.932752, abs=1e-6)
    assert loss([0.5], [1.0]) == pytest.approx(0.932752, abs=5e-6)
    assert loss([0.5], [0.0]) == pytest.approx(0.5)


def test_a_batch_of_one_kind_is_trained_as_that_kind():
    closeness = [-log(1 - exp(-distance)) for distance in (0.5, 2.0)]
    assert loss([0.5, 2.0], [1, 1]) == pytest.approx(sum(closeness) / 2, abs=5e-6)
    assert loss([0.5, 2.0], [0, 0]) == pytest.approx((0.5 + 2.0) / 2)


@given(st.lists(st.tuples(st.floats(0.01, 20), st.integers(0, 1)), min_size=1, max_size=8))
def test_the_loss_is_the_mean_of_each_images_own_term(images):
    terms = [loss([distance], [label]) for distance, label in images]
    distances, labels = (list(column) for column in zip(*images, strict=True))
    assert loss(distances, labels) == pytest.approx(sum(terms) / len(terms), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("distance", [0.0, 1e-30, 1e-8, 1.0, 80.0, 1e30])
def test_value_and_gradient_are_finite_and_point_the_right_way(distance, label):
    d = torch.tensor([distance], requires_grad=True)
    value = hypersphere_loss(d, torch.tensor([label]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(d.grad).all()
    assert d.grad.item() == 1 if label == 0 else d.grad.item() <= 0


def test_the_push_has_the_gradient_of_its_formula_and_is_bounded_at_zero():
    d = torch.tensor([0.5, 0.0], dtype=torch.float64, requires_grad=True)
    hypersphere_loss(d, torch.ones(2)).backward()
    assert d.grad[0] == pytest.approx(-1 / (exp(0.5) - 1) / 2, rel=1e-4)
    assert -1e6 <= d.grad[1] < -1e5


def test_a_nominal_image_at_distance_zero_spoils_no_gradient_of_the_others():
    d = torch.zeros(2, requires_grad=True)
    hypersphere_loss(d, torch.tensor([0.0, 1.0])).backward()
    assert d.grad[0] == 0.5
    assert -inf < d.grad[1] < 0


@pytest.mark.parametrize("squared", [0.0, 1e-12, 1e-3, 3.0, 99.0, 1e12])
def test_pseudo_huber_is_exact_from_tiny_to_huge(squared):
    got = pseudo_huber(torch.tensor(squared)).item()
    exact = squared / 2 if squared < 1e-6 else sqrt(squared + 1) - 1
    assert got == pytest.approx(exact, rel=1e-6)
    assert pseudo_huber(torch.tensor(squared, dtype=torch.float64)) >= 0


def test_pseudo_huber_of_a_square_has_a_finite_gradient_at_zero():
    y = torch.zeros(1, requires_grad=True)
    pseudo_huber(y.square()).backward()
    assert y.grad.item() == 0


HEAT = torch.tensor([1.0, 2.0, 3.0, 6.0]).reshape(1, 1, 2, 2)
CORNER = torch.tensor([0, 0, 0, 1]).reshape(1, 1, 2, 2)


def closeness(distance):
    return -log(1 - exp(-distance))


@pytest.mark.parametrize("kind", [torch.bool, torch.float32, torch.uint8])
def test_the_pixel_loss_is_the_one_computed_by_hand(kind):
    heat, mask = HEAT.expand(3, 1, 2, 2), CORNER.expand(3, 1, 2, 2).to(kind) * torch.ones(3, 1, 1, 1).to(kind)
    mask[2] = 0
    anomalous = (1 + 2 + 3) / 4 + closeness(6 / 4)
    unmarked = 12 / 4  # displaced out of view, say: nothing to push
    terms = {0: 12 / 4, 1: anomalous, 2: unmarked}
    for at, label in ((0, 0), (1, 1), (2, 1)):
        got = pixel_loss(heat[at : at + 1], torch.tensor([label]), mask[at : at + 1]).item()
        assert got == pytest.approx(terms[at], rel=1e-5)  # the nominal image's mask doesn't count
    got = pixel_loss(heat, torch.tensor([0, 1, 1]), mask).item()
    assert got == pytest.approx(sum(terms.values()) / 3, rel=1e-5)


def test_without_masks_the_pixel_loss_is_that_of_full_ones_and_of_the_mean_heat():
    heat, label = HEAT.expand(2, 1, 2, 2), torch.tensor([0.0, 1.0])
    expected = hypersphere_loss(heat.mean(dim=(1, 2, 3)), label)
    torch.testing.assert_close(pixel_loss(heat, label), expected)
    torch.testing.assert_close(pixel_loss(heat, label, torch.ones(2, 1, 2, 2)), expected)


@pytest.mark.parametrize("mask", [CORNER, torch.zeros_like(CORNER)], ids=["corner", "empty"])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("value", [0.0, 1e-30, 1.0, 80.0, 1e30])
def test_the_pixel_loss_and_its_gradient_are_finite_and_point_the_right_way(value, label, mask):
    heat = torch.full((1, 1, 2, 2), value, requires_grad=True)
    loss = pixel_loss(heat, torch.tensor([label]), mask)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(heat.grad).all()
    on = mask.bool() if label else torch.zeros_like(mask).bool()
    assert (heat.grad[on] <= 0).all()
    assert (heat.grad[~on] == 0.25).all()
