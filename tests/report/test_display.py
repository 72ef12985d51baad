import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fcdd_audit.report.display import limits, normalise, share_inside, shown_limits

# Whole numbers, so that shifts and scales by powers of two are exact.
MAPS = arrays(np.int64, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 1000))
QUANTILES = st.floats(0, 1)


def test_the_local_scale_by_hand():
    maps = np.array([[[1.0, 2.0], [3.0, 5.0]], [[0.0, 10.0], [20.0, 40.0]]])
    # Less the minimum: 0 1 2 4 and 0 10 20 40; the median between the middle two: 1.5 and 15.
    wanted = [[[0, 1 / 1.5], [1, 1]], [[0, 10 / 15], [1, 1]]]
    np.testing.assert_allclose(normalise(maps, 0.5), wanted, rtol=1e-15)
    np.testing.assert_allclose(normalise(maps, 1.0)[0], [[0, 0.25], [0.5, 1]], rtol=1e-15)


def test_the_global_scale_by_hand():
    reference = np.array([[[2.0, 4.0]], [[6.0, 10.0]]])
    maps = np.array([[[1.0, 2.0, 3.0, 6.0, 8.0, 99.0]]])
    # Less the minimum of 2: 0 2 4 8, whose 2/3 quantile is 4.
    assert limits(reference, 2 / 3) == pytest.approx((2.0, 6.0))
    np.testing.assert_allclose(normalise(maps, 2 / 3, reference), [[[0, 0, 0.25, 1, 1, 1]]], rtol=1e-12)


def test_a_constant_map_is_dark_and_a_zero_quantile_gives_way_to_the_maximum():
    assert (normalise(np.full((2, 3, 3), 7.0), 0.97) == 0).all()
    sparse = np.zeros((1, 10, 10))
    sparse[0, 0, 0], sparse[0, 0, 1] = 4.0, 2.0
    shown = normalise(sparse, 0.97)
    assert shown[0, 0, :3].tolist() == [1.0, 0.5, 0.0]
    above = normalise(sparse, 0.97, np.zeros((1, 2, 2)))
    assert above[0, 0, :3].tolist() == [1.0, 1.0, 0.0]


@given(MAPS, QUANTILES)
def test_local_heat_is_between_0_and_1_and_keeps_the_order(maps, quantile):
    shown = normalise(maps, quantile)
    assert shown.dtype == np.float64
    assert shown.shape == maps.shape
    for before, after in zip(maps, shown, strict=True):
        assert after.min() == 0
        assert after.max() == (1 if before.max() > before.min() else 0)
        assert (np.diff(after.ravel()[np.argsort(before, axis=None)]) >= 0).all()


@given(MAPS, MAPS, QUANTILES)
def test_global_heat_is_between_0_and_1_and_keeps_the_order_across_maps(maps, reference, quantile):
    shown = normalise(maps, quantile, reference)
    assert 0 <= shown.min() <= shown.max() <= 1
    assert (np.diff(shown.ravel()[np.argsort(maps, axis=None)]) >= 0).all()


@given(MAPS, MAPS, st.just(0.0) | st.floats(1e-9, 1), st.integers(-20, 20), st.integers(0, 1000))
def test_scale_and_shift_do_not_matter(maps, reference, quantile, power, shift):
    def moved(heat):
        return (heat + shift) * 2.0**power

    np.testing.assert_allclose(normalise(moved(maps), quantile), normalise(maps, quantile), atol=1e-9)
    np.testing.assert_allclose(
        normalise(moved(maps), quantile, moved(reference)), normalise(maps, quantile, reference), atol=1e-9
    )


@given(MAPS, QUANTILES)
def test_one_map_is_its_own_reference(maps, quantile):
    np.testing.assert_array_equal(normalise(maps[:1], quantile), normalise(maps[:1], quantile, maps[:1]))


def test_tiny_and_huge_heat_stays_between_0_and_1():
    maps = np.array([[[0.0, 5e-324, 1e-300]], [[0.0, 1e300, 1.7e308]]])
    for shown in (normalise(maps, 0.5), normalise(maps, 0.5, maps)):
        assert np.isfinite(shown).all()
        assert 0 <= shown.min() <= shown.max() <= 1
    assert normalise(np.zeros((0, 3, 3)), 0.9).shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("maps", "quantile", "reference", "words"),
    [
        (np.zeros((3, 3)), 0.9, None, "heatmaps are"),
        (np.zeros((1, 3, 3)), 1.1, None, "between 0 and 1"),
        (np.zeros((1, 3, 3)), float("nan"), None, "between 0 and 1"),
        (np.full((1, 3, 3), np.nan), 0.9, None, "finite"),
        (np.zeros((1, 3, 3)), 0.9, np.zeros((0, 3, 3)), "no heat"),
    ],
)
def test_what_has_no_scale_is_refused(maps, quantile, reference, words):
    with pytest.raises(ValueError, match=words):
        normalise(maps, quantile, reference)


@given(MAPS, QUANTILES)
def test_the_reference_may_have_any_shape(maps, quantile):
    np.testing.assert_array_equal(normalise(maps, quantile, maps.ravel()), normalise(maps, quantile, maps))
    assert limits(maps.ravel(), quantile) == limits(maps, quantile)


def test_captions_round_a_low_end_that_says_nothing_to_zero():
    heat = np.linspace(2e-5, 4.6, 100)
    assert shown_limits(heat, 1.0) == {"low": 0.0, "high": pytest.approx(4.6)}
    assert shown_limits(heat + 1, 1.0)["low"] == pytest.approx(1 + 2e-5)


def test_the_share_of_heat_in_a_mask_and_of_no_heat_its_area():
    mask = np.array([[True, False], [False, False]])
    assert share_inside(np.array([[3.0, 1.0], [0.0, 0.0]]), mask) == 3 / 4
    assert share_inside(np.zeros((2, 2)), mask) == 1 / 4
