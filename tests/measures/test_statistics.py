import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from fcdd_audit.measures import statistics
from fcdd_audit.measures.statistics import (
    Estimate,
    Spread,
    agreement,
    draw,
    holm,
    image_weights,
    interval,
    mean_interval,
    share,
    student_draws,
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


@pytest.mark.parametrize("draws", [[0.0, np.nan, np.nan], [np.nan] * 3])
def test_draws_that_are_no_number_speak_for_nothing(draws):
    assert tail_share(np.array(draws), -1.0, above=True) >= 3 / 4
    assert tail_share(np.array(draws), 1.0, above=False) >= 3 / 4


def test_an_interval_is_cut_off_at_what_is_possible():
    got = interval(0.9, np.linspace(0, 2, 101), 0.9, (0.5, 1))
    assert (got.value, got.low, got.high) == (0.9, 0.5, 1)


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_holm_agrees_with_statsmodels(count):
    p_values = (np.random.default_rng(count).random(count) ** 3).tolist()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize(("hits", "trials"), [(0, 40), (1, 40), (20, 20), (7, 13)])
def test_a_share_agrees_with_statsmodels(hits, trials):
    found = share(hits, trials)
    assert found.value == hits / trials
    assert (found.low, found.high) == pytest.approx(proportion_confint(hits, trials, method="beta"))


def test_no_trials_have_no_share():
    assert np.isnan([share(0, 0).value, share(0, 0).low, share(0, 0).high]).all()


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=9), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_of_a_mean_is_scipys(values, confidence):
    found = mean_interval(np.array(values, float), confidence)
    assert found.value == pytest.approx(np.mean(values))
    if np.ptp(values) == 0:
        assert (found.low, found.high) == (values[0], values[0])
    else:
        scipys = stats.ttest_1samp(values, 0).confidence_interval(confidence)
        assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high))


def test_the_interval_of_a_mean_by_hand():
    # mean 1, standard deviation sqrt(2), standard error 1; Student's t with 1 degree of freedom: 12.706
    found = mean_interval(np.array([0.0, 2.0]))
    assert (found.value, found.low, found.high) == pytest.approx((1, 1 - 12.706, 1 + 12.706), abs=1e-3)


def test_weights_are_uniform_on_all_that_sum_to_one():
    weights = image_weights(7, 20000, np.random.default_rng(0))
    assert (weights.shape, weights.dtype) == ((20000, 7), np.float32)
    assert weights.sum(axis=1) == pytest.approx(np.ones(20000), abs=1e-6)
    assert weights.mean(axis=0) == pytest.approx(np.full(7, 1 / 7), abs=0.003)
    assert weights.var(axis=0) == pytest.approx(np.full(7, 6 / (7**2 * 8)), rel=0.05)  # Dirichlet(1, ..., 1)


def test_student_draws_are_students_quantiles():
    drawn = student_draws(4, 999, np.random.default_rng(0))
    for q in (0.025, 0.5, 0.9):
        assert np.quantile(drawn, q) == pytest.approx(stats.t.ppf(q, 3), rel=0.01, abs=0.01)
    assert not (np.diff(drawn) > 0).all(), "in random order"


# Two seeds, three images: means 2 and 4, so the mean is 3 and its standard error 1.
# Over seeds the images are 0, 3, 6, which is 3 less, 0 and 3 more than their mean.
TWO_SEEDS = np.array([[0.0, 2.0, 4.0], [0.0, 4.0, 8.0]])


def test_the_estimate_of_a_mean_by_hand():
    estimate = Estimate.of_mean(TWO_SEEDS)
    assert estimate.per_seed.tolist() == [2, 4]
    assert [part.tolist() for part in estimate.influence] == [[-3, 0, 3]]
    assert estimate.value == 3
    assert estimate.spread == Spread(1, pytest.approx(np.sqrt(9 + 9) / 3), 2)


def test_an_image_that_is_missing_for_a_seed_does_not_count():
    estimate = Estimate.of_mean(np.array([[0.0, 2.0, 4.0, 9.0], [0.0, 4.0, 8.0, np.nan]]))
    assert estimate.per_seed.tolist() == [2, 4]
    assert estimate.influence[0] == pytest.approx([-4, 0, 4, 0])  # 3 of 4 count, each 4/3 as much
    nothing = Estimate.of_mean(np.full((2, 3), np.nan))
    assert np.isnan(nothing.value)
    assert not nothing.influence[0].any()


def test_differences_are_paired_by_seed_and_image():
    difference = Estimate.of_mean(TWO_SEEDS + np.array([[0.5], [-0.5]])) - Estimate.of_mean(TWO_SEEDS)
    assert difference.per_seed.tolist() == [0.5, -0.5]
    assert not difference.influence[0].any()


def test_draws_move_the_mean_as_weights_and_students_t_say(monkeypatch):
    monkeypatch.setattr(statistics, "WEIGHTS_AT_ONCE", 7)  # two rows of three images at a time
    (drawn,) = draw([Estimate.of_mean(TWO_SEEDS)], 5, np.random.default_rng(2))
    rng = np.random.default_rng(2)
    student = student_draws(2, 5, rng)
    weights = np.concatenate([image_weights(3, rows, rng) for rows in (2, 2, 1)])
    assert drawn == pytest.approx(weights @ [0, 3, 6] + 1 * student, abs=1e-5)


def test_estimates_drawn_together_share_their_resamples():
    one = Estimate.of_mean(TWO_SEEDS)
    twice = Estimate.of_mean(2 * TWO_SEEDS)
    first, second = draw([one, twice], 100, np.random.default_rng(0))
    assert second == pytest.approx(2 * first, abs=1e-4)
    assert first.std() > 0


def crossed(rng, seeds, images, of_seed, of_image, rest):
    """Values with mean 0: an effect of the seed, one of the image, and a rest."""
    return (
        of_seed * rng.normal(size=(seeds, 1))
        + of_image * rng.normal(size=(1, images))
        + rest * rng.normal(size=(seeds, images))
    )


@pytest.mark.parametrize("seeds", [3, 5, 12])
@pytest.mark.parametrize(
    ("of_seed", "of_image", "rest"), [(0.1, 0, 0.2), (0.1, 0.5, 0.2), (0, 1, 0), (0.02, 0.5, 0.5)]
)
def test_intervals_cover_the_truth_as_often_as_they_say_or_more(seeds, of_seed, of_image, rest):
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        estimate = Estimate.of_mean(crossed(rng, seeds, 50, of_seed, of_image, rest))
        found = interval(estimate.value, draw([estimate], 400, rng)[0], 0.95)
        covered += found.low <= 0 <= found.high
    assert covered / 400 >= 0.925  # 95 % less 2.3 standard errors of the simulation


def test_intervals_of_many_seeds_are_not_too_wide():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        estimate = Estimate.of_mean(crossed(rng, 12, 50, 0.1, 0.5, 0.2))
        found = interval(estimate.value, draw([estimate], 400, rng)[0], 0.95)
        covered += found.low <= 0 <= found.high
    assert covered / 400 <= 0.98


def test_without_an_effect_of_the_images_the_interval_is_students():
    per_seed = np.array([0.1, 0.4, 0.35, 0.2, 0.6])
    estimate = Estimate(per_seed, (np.zeros(9),))
    found = interval(estimate.value, draw([estimate], 20001, np.random.default_rng(0))[0], 0.95)
    expected = stats.t.interval(0.95, 4, loc=per_seed.mean(), scale=stats.sem(per_seed))
    assert (found.low, found.high) == pytest.approx(expected, rel=0.01)
    assert estimate.spread.half_width(0.95) == pytest.approx(expected[1] - per_seed.mean())


def test_an_image_counts_once_for_all_seeds():
    values = np.tile(np.random.default_rng(1).normal(size=100), (20, 1))  # every seed says the same of it
    (drawn,) = draw([Estimate.of_mean(values)], 4000, np.random.default_rng(0))
    assert drawn.std() == pytest.approx(values[0].std() / np.sqrt(100), rel=0.05)  # not / sqrt(20 * 100)


def test_draws_depend_on_the_generator_only():
    estimate = Estimate.of_mean(crossed(np.random.default_rng(0), 4, 30, 1, 1, 1))
    first, again, other = (draw([estimate], 50, np.random.default_rng(seed)).tolist() for seed in (5, 5, 6))
    assert first == again != other


def test_more_seeds_narrow_the_part_that_is_theirs():
    spread = Spread(seeds=0.1, images=0.03, count=4)
    assert spread.half_width(0.95, 16) < spread.half_width(0.95, 8) < spread.half_width(0.95)
    many = Spread(0.1, 0.03, 4).half_width(0.95, 10**6)
    assert many == pytest.approx(stats.norm.ppf(0.975) * 0.03, rel=0.01)


def test_the_seeds_needed_are_the_fewest_that_do():
    spread = Spread(seeds=0.1, images=0.02, count=3)
    needed = spread.seeds_needed(-0.1, 0.95)
    assert needed > 3
    assert spread.half_width(0.95, needed) < 0.1 <= spread.half_width(0.95, needed - 1)
    assert spread.seeds_needed(10, 0.95) == 3
    assert spread.seeds_needed(0.03, 0.95) is None, "the images alone take more"


def test_what_is_detectable_is_detected_with_the_chance_that_is_said():
    rng = np.random.default_rng(0)
    truth = Spread(seeds=0.1 / np.sqrt(6), images=0.0, count=6).detectable(0.95, 0.8)
    found = 0
    for _ in range(2000):
        per_seed = rng.normal(truth, 0.1, 6)
        found += stats.t.interval(0.95, 5, loc=per_seed.mean(), scale=stats.sem(per_seed))[0] > 0
    assert found / 2000 == pytest.approx(0.8, abs=0.06)


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
