import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fcdd_audit.measures.statistics import (
    agreement,
    bootstrap_mean,
    holm,
    image_weights,
    interval,
    resample_seeds,
    tail_share,
)


def test_holm_multiplies_the_smallest_by_the_count_and_never_falls():
    # sorted: .005 * 4 = .02, .01 * 3 = .03, .03 * 2 = .06, .04 * 1 = .04 -> .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_p_values_and_bonferroni_and_keeps_their_order(p_values):
    adjusted, raw = np.array(holm(p_values)), np.array(p_values)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(1, raw * len(raw)) + 1e-12).all()
    assert adjusted[raw.argmin()] == pytest.approx(min(1, raw.min() * len(raw)))
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0).all()


def test_the_interval_holds_the_middle_of_the_draws():
    got = interval(50, np.arange(101.0), 0.9)
    assert (got.value, got.low, got.high) == (50, pytest.approx(5), pytest.approx(95))


@pytest.mark.parametrize(("above", "by_hand"), [(True, (2 + 1) / (4 + 1)), (False, (3 + 1) / (4 + 1))])
def test_tail_share_counts_the_draws_against_it_and_one_more(above, by_hand):
    draws = np.array([0.0, 1.0, 2.0, 3.0])  # 0 and 1 are not above 1; 1, 2 and 3 are not below 1
    assert tail_share(draws, 1.0, above) == by_hand
    assert tail_share(np.ones(99), 0.5, above=True) == 1 / 100


def test_weights_draw_as_many_images_as_there_are():
    weights = image_weights(7, 5000, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.06)
    assert weights.var() == pytest.approx(6 / 7, abs=0.03)  # binomial: 7 * 1/7 * 6/7


def test_seeds_are_resampled_within_a_draw():
    draws = resample_seeds(np.array([[0.0] * 8000, [1.0] * 8000]), np.random.default_rng(0))
    values, counts = np.unique(draws, return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert counts / 8000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_a_bootstrap_draw_of_the_mean_is_the_weighted_mean_of_a_seed():
    values = np.array([[1.0, 2.0, 6.0]])
    weights = np.array([[3.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    draws = bootstrap_mean(values, weights, np.random.default_rng(0))
    assert draws.tolist() == pytest.approx([1, 3, 14 / 3])
    assert np.isnan(bootstrap_mean(values, np.zeros((1, 3)), np.random.default_rng(0))).all()


def crossed(rng, seeds, images, of_seed, of_image, rest):
    """Values with mean 0: an effect of the seed, one of the image, and a rest."""
    return (
        of_seed * rng.normal(size=(seeds, 1))
        + of_image * rng.normal(size=(1, images))
        + rest * rng.normal(size=(seeds, images))
    )


@pytest.mark.parametrize("of_image", [0.0, 0.5])
def test_the_bootstrap_interval_of_20_seeds_covers_the_truth_about_as_often_as_it_says(of_image):
    rng = np.random.default_rng(0)
    weights = image_weights(50, 500, rng)
    covered = 0
    for _ in range(300):
        values = crossed(rng, 20, 50, 0.1, of_image, 0.2)
        found = interval(values.mean(), bootstrap_mean(values, weights, rng), 0.95)
        covered += found.low <= 0 <= found.high
    assert 0.90 <= covered / 300 <= 0.99


def test_the_spread_of_the_mean_counts_an_image_once_for_all_seeds():
    rng = np.random.default_rng(1)
    values = crossed(rng, 20, 100, 0.0, 1.0, 0.0)  # every seed says the same of an image
    draws = bootstrap_mean(values, image_weights(100, 2000, rng), rng)
    assert draws.std() == pytest.approx(values[0].std() / np.sqrt(100), rel=0.1)  # not / sqrt(20 * 100)


def test_draws_depend_on_the_generator_only():
    values = crossed(np.random.default_rng(0), 4, 30, 1, 1, 1)

    def draws(seed):
        rng = np.random.default_rng(seed)
        return bootstrap_mean(values, image_weights(30, 50, rng), rng).tolist()

    assert draws(5) == draws(5) != draws(6)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-1, 1)), min_size=5, max_size=15))
def test_agreement_is_spearmans_correlation(cells):
    overlap, reliance = np.array(cells, dtype=float).T
    got = agreement(overlap, reliance)
    if np.ptp(overlap) == 0 or np.ptp(reliance) == 0:
        assert got is None
        return
    ranks = np.corrcoef(stats.rankdata(overlap), stats.rankdata(reliance))[0, 1]
    assert got == pytest.approx(ranks)
    assert got == pytest.approx(stats.spearmanr(overlap, reliance).statistic)


def test_agreement_of_four_cells_or_of_a_constant_is_none():
    rising = np.arange(5.0)
    assert agreement(rising[:4], rising[:4]) is None
    assert agreement(rising, np.ones(5)) is None
    assert agreement(np.ones(5), rising) is None
    assert agreement(rising, rising**3) == pytest.approx(1)
    assert agreement(rising, -rising) == pytest.approx(-1)
