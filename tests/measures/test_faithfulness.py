from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.measures.faithfulness import deletion_curve, insertion_curve, mean_fall, mean_rise

CURVES = [deletion_curve, insertion_curve]
curves = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.__name__)

# score = 1 a + 2 b + 3 c - 4 d of the pixels a, b / c, d.
WEIGHTS = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
X = torch.tensor([[[[1.0, 2.0], [3.0, 1.0]]]])  # 1 + 4 + 9 - 4 = 10
BASELINE = torch.tensor([[[[0.0, 1.0], [1.0, 2.0]]]])  # 0 + 2 + 3 - 8 = -3
# Weight times the change of each pixel, 1, 1, 2, -1: they sum to 10 - (-3).
CONTRIBUTIONS = torch.tensor([[[[1.0, 2.0], [6.0, 4.0]]]])


def linear(images):
    return (images * WEIGHTS).sum(dim=(1, 2, 3))


def pixels(heat):
    """Heat of the pixels a, b, c, d as a map."""
    return torch.tensor(heat).float().reshape(1, 1, 2, 2)


def order(heatmap, curve=deletion_curve):
    """Pixels by number in the order in which they are replaced, (N, P)."""
    zeros, seen = torch.zeros(heatmap.shape), []

    def record(images):
        seen.append(images.flatten(1).clone())
        return images.flatten(1).sum(dim=1)

    before, after = (zeros, zeros + 1) if curve is deletion_curve else (zeros + 1, zeros)
    curve(record, before, heatmap, after, steps=heatmap[0].numel())
    replaced = torch.stack(seen, dim=1)  # (N, P + 1, P)
    assert torch.equal(replaced.sum(dim=2)[0], torch.arange(replaced.shape[1]).float())
    return replaced.diff(dim=1).argmax(dim=2)


def test_both_curves_are_the_ones_computed_by_hand():
    # Hottest first c, d, b, a: the contributions 6, 4, 2, 1 go from 10, or come to -3.
    assert deletion_curve(linear, X, CONTRIBUTIONS, BASELINE, 4).tolist() == [[10, 4, 0, -2, -3]]
    assert insertion_curve(linear, X, CONTRIBUTIONS, BASELINE, 4).tolist() == [[-3, 3, 7, 9, 10]]


def test_the_worst_order_is_the_best_one_backwards():
    worst = -CONTRIBUTIONS
    assert deletion_curve(linear, X, worst, BASELINE, 4).tolist() == [[10, 9, 7, 3, -3]]
    assert insertion_curve(linear, X, worst, BASELINE, 4).tolist() == [[-3, -2, 0, 4, 10]]


def test_with_two_steps_half_of_the_pixels_go_at_once():
    assert deletion_curve(linear, X, CONTRIBUTIONS, BASELINE, 2).tolist() == [[10, 0, -3]]
    assert insertion_curve(linear, X, CONTRIBUTIONS, BASELINE, 2).tolist() == [[-3, 7, 10]]


@curves
def test_one_step_goes_from_the_one_image_to_the_other_whatever_the_heat(curve):
    ends = [10, -3] if curve is deletion_curve else [-3, 10]
    for heat in (CONTRIBUTIONS, -CONTRIBUTIONS, torch.zeros_like(CONTRIBUTIONS)):
        assert curve(linear, X, heat, BASELINE, 1).tolist() == [ends]


@given(st.lists(st.integers(0, 2), min_size=4, max_size=4), st.integers(1, 20))
def test_every_curve_starts_and_ends_at_the_scores_of_the_two_images(heat, steps):
    deleted = deletion_curve(linear, X, pixels(heat), BASELINE, steps)
    inserted = insertion_curve(linear, X, pixels(heat), BASELINE, steps)
    assert deleted.shape == inserted.shape == (1, steps + 1)
    assert deleted.dtype == inserted.dtype == torch.float64
    assert (deleted[0, 0], deleted[0, -1]) == (10, -3)
    assert (inserted[0, 0], inserted[0, -1]) == (-3, 10)
    # A pixel inserted and the same one deleted make up for each other where the score is linear.
    assert torch.equal(deleted + inserted, torch.full_like(deleted, 10 - 3))


@curves
def test_16_steps_are_the_default(curve):
    assert curve(linear, X, CONTRIBUTIONS, BASELINE).shape == (1, 17)


def test_with_more_steps_than_pixels_some_change_nothing():
    # Pixels gone after step s of 8: s / 2, halves to the even number: 0 0 1 2 2 2 3 4 4.
    curve = deletion_curve(linear, X, CONTRIBUTIONS, BASELINE, 8)
    assert curve.tolist() == [[10, 10, 4, 0, 0, 0, -2, -3, -3]]


def test_all_channels_of_a_pixel_go_together():
    x = torch.tensor([1.0, 10.0, 100.0])[None, :, None, None].expand(1, 3, 1, 2)
    heat = torch.tensor([[[[0.0, 1.0]]]])

    def right(images):
        return images[..., 1].sum(dim=(1, 2))

    assert deletion_curve(right, x, heat, torch.zeros_like(x), 2).tolist() == [[111, 0, 0]]
    assert insertion_curve(right, x, heat, torch.zeros_like(x), 2).tolist() == [[0, 111, 111]]


@curves
def test_each_image_of_a_batch_follows_its_own_heatmap(curve):
    x, baseline = X.repeat(3, 1, 1, 1), BASELINE.repeat(3, 1, 1, 1)
    x[2] += 1
    heat = torch.cat([CONTRIBUTIONS, -CONTRIBUTIONS, pixels([0, 3, 1, 2])])
    together = curve(linear, x, heat, baseline, 4)
    alone = [curve(linear, x[n : n + 1], heat[n : n + 1], baseline[n : n + 1], 4) for n in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert len(together.unique(dim=0)) == 3


@curves
@given(heat=st.permutations(range(6)))
def test_pixels_go_from_hot_to_cold(curve, heat):
    expected = sorted(range(6), key=lambda pixel: -heat[pixel])
    assert order(torch.tensor(heat).float().reshape(1, 1, 2, 3), curve).tolist() == [expected]


@curves
def test_ties_go_in_one_order_for_all_images_maps_and_calls(curve):
    flat = torch.tensor([0.0, -7.0, 3.0])[:, None, None, None].expand(3, 1, 6, 5)
    torch.manual_seed(1)
    first = order(flat, curve)
    torch.manual_seed(2)
    assert torch.equal(order(flat, curve), first)
    assert (first == first[0]).all()
    assert torch.equal(first[0].sort().values, torch.arange(30))
    # Of some ties, those that are left keep the order that they have on a flat map.
    heat = torch.randint(0, 3, (2, 1, 6, 5), generator=torch.Generator().manual_seed(0)).float()
    for one, found in zip(heat.flatten(1), order(heat, curve), strict=True):
        expected = [pixel for level in (2, 1, 0) for pixel in first[0].tolist() if one[pixel] == level]
        assert found.tolist() == expected


def test_ties_leave_the_random_numbers_of_the_user_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    deletion_curve(linear, X, torch.zeros_like(X), BASELINE)
    assert torch.equal(torch.rand(1), expected)


def test_a_flat_map_favours_no_corner():
    found = order(torch.zeros(1, 1, 16, 16))[0]
    gone = torch.zeros(256)
    gone[found[:128]] = 1
    # Half of the 64 pixels of each quarter: 32, with a standard deviation of 3.5.
    quarters = gone.reshape(2, 8, 2, 8).sum(dim=(1, 3))
    assert ((quarters - 32).abs() <= 12).all()
    assert len(found[:10].sort().values.diff().unique()) > 3  # nor every n-th pixel


@curves
def test_nothing_given_is_changed_even_by_a_score_that_writes_into_its_images(curve):
    given_ = [X.clone(), CONTRIBUTIONS.clone(), BASELINE.clone()]

    def careless(images):
        value = linear(images)
        images.zero_()
        return value

    expected = curve(linear, X, CONTRIBUTIONS, BASELINE, 4)
    assert torch.equal(curve(careless, *given_, 4), expected)
    for now, before in zip(given_, (X, CONTRIBUTIONS, BASELINE), strict=True):
        assert torch.equal(now, before)


@curves
def test_no_graph_is_kept_and_the_mode_of_the_caller_is(curve):
    modes = []

    def trained(images):
        modes.append(torch.is_grad_enabled())
        return linear(images)

    found = curve(trained, X.clone().requires_grad_(), CONTRIBUTIONS, BASELINE.clone().requires_grad_(), 4)
    assert not found.requires_grad
    assert modes == [False] * 5
    assert torch.is_grad_enabled()


@curves
@pytest.mark.parametrize(
    ("x", "heat", "baseline"),
    [
        ((3, 4, 4), (1, 1, 4, 4), (3, 4, 4)),
        ((2, 4, 4), (2, 1, 4), (2, 4, 4)),
        ((2, 3, 4, 4, 4), (2, 1, 4, 4, 4), (2, 3, 4, 4, 4)),
        ((2, 3, 4, 4), (2, 1, 4, 4), (1, 3, 4, 4)),
        ((2, 3, 4, 4), (2, 1, 4, 4), (2, 1, 4, 4)),
        ((2, 3, 4, 4), (2, 1, 4, 4), (2, 3, 4, 5)),
        ((2, 3, 4, 4), (2, 1, 4, 4), (3, 4, 4)),
        ((2, 3, 4, 4), (2, 3, 4, 4), (2, 3, 4, 4)),
        ((2, 3, 4, 4), (1, 1, 4, 4), (2, 3, 4, 4)),
        ((2, 3, 4, 5), (2, 1, 5, 4), (2, 3, 4, 5)),
        ((2, 3, 4, 4), (2, 1, 2, 2), (2, 3, 4, 4)),
        ((2, 3, 4, 4), (2, 4, 4), (2, 3, 4, 4)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(curve, x, heat, baseline):
    with pytest.raises(ValueError, match="must be"):
        curve(lambda images: images.sum(dim=(1, 2, 3)), torch.ones(x), torch.ones(heat), torch.ones(baseline))


@curves
@pytest.mark.parametrize("steps", [0, -1])
def test_there_must_be_a_step(curve, steps):
    with pytest.raises(ValueError, match=f"steps is {steps}"):
        curve(linear, X, CONTRIBUTIONS, BASELINE, steps)


def test_mean_fall_and_mean_rise_are_the_ones_computed_by_hand():
    # Trapezoids of 10, 4, 0, -2, -3: (10 + 4) / 2, (4 + 0) / 2, -2 / 2, -5 / 2: 5.5 / 4 on average.
    # Of -3, 3, 7, 9, 10: 0, 5, 8, 9.5: 22.5 / 4.
    curve = torch.tensor([[10, 4, 0, -2, -3], [-3, 3, 7, 9, 10], [2, 2, 2, 2, 2]], dtype=torch.float64)
    assert mean_fall(curve).tolist() == pytest.approx([10 - 5.5 / 4, -3 - 22.5 / 4, 0])
    assert mean_rise(curve).tolist() == pytest.approx([5.5 / 4 - 10, 22.5 / 4 + 3, 0])


def test_a_straight_curve_lies_half_of_its_fall_below_its_start_whatever_the_steps():
    for steps in (1, 2, 5, 16):
        curve = torch.linspace(10, -3, steps + 1, dtype=torch.float64)[None]
        assert mean_fall(curve).item() == pytest.approx(13 / 2)
        assert mean_rise(curve).item() == pytest.approx(-13 / 2)


@pytest.mark.parametrize("contributions", [[1, 2, 6, 4], [-5, 3, 0, 1], [-1, -2, -3, -7]])
def test_no_order_beats_the_one_of_the_contributions(contributions):
    parts = torch.tensor(contributions).float().reshape(1, 1, 2, 2)
    baseline = torch.zeros_like(parts)

    def total(images):
        return images.sum(dim=(1, 2, 3))

    def both(heat):
        fall = mean_fall(deletion_curve(total, parts, heat, baseline, 4)).item()
        rise = mean_rise(insertion_curve(total, parts, heat, baseline, 4)).item()
        assert fall == pytest.approx(rise)  # of a linear score
        return fall

    falls = [both(pixels(heat)) for heat in permutations(range(4))]
    assert len(falls) == 24
    best = both(parts)
    assert best == pytest.approx(max(falls))
    assert sum(fall > best - 1e-6 for fall in falls) == 1
    assert both(-parts) == pytest.approx(min(falls))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_heatmap_that_isnt_finite_is_refused(value):
    x = torch.rand(1, 1, 2, 2)
    heat = torch.tensor([[[[0.0, value], [1.0, 2.0]]]])
    for curve in (deletion_curve, insertion_curve):
        with pytest.raises(ValueError, match="finite"):
            curve(lambda images: images.sum(dim=(1, 2, 3)), x, heat, torch.zeros_like(x))


@curves
def test_scores_are_one_number_an_image(curve):
    x = torch.rand(2, 1, 4, 4)
    with pytest.raises(ValueError, match="one number an image"):
        curve(lambda images: images.mean(dim=(2, 3)), x, x[:, :1], torch.zeros_like(x))
