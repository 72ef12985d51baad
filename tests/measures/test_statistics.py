import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from fcdd_audit.measures.statistics import (
    MOST_IMAGES,
    MOST_PAIRS,
    agreement,
    holm,
    holm_steps,
    images_needed,
    interquartile_range,
    interval,
    mean_bound,
    mean_interval,
    mean_p_value,
    pairs_needed,
    share,
    share_p_value,
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


@pytest.mark.parametrize(
    ("hits", "trials", "limit", "above", "p"),
    [
        (0, 3, 0.5, False, 1 / 8),
        (1, 3, 0.5, False, 4 / 8),
        (3, 3, 0.5, False, 1),
        (0, 3, 0.5, True, 1),
        (2, 3, 0.5, True, 4 / 8),
        (3, 3, 0.5, True, 1 / 8),
        (0, 72, 0.05, False, 0.95**72),
        (1, 1, 0.05, True, 0.05),
        (0, 0, 0.05, True, 1),
        (0, 0, 0.05, False, 1),
    ],
)
def test_the_p_value_of_a_share_by_hand(hits, trials, limit, above, p):
    assert share_p_value(hits, trials, limit, above) == pytest.approx(p)


@given(st.integers(1, 300), st.floats(0, 1), st.floats(0.01, 0.99))
def test_the_p_value_of_a_share_is_scipys_and_goes_with_its_exact_interval(trials, part, limit):
    hits = round(part * trials)
    for above, alternative in ((True, "greater"), (False, "less")):
        p = share_p_value(hits, trials, limit, above)
        assert p == pytest.approx(stats.binomtest(hits, trials, limit, alternative).pvalue)
        if abs(p - 0.025) > 1e-9:
            found = share(hits, trials)
            assert (p <= 0.025) == (found.low >= limit if above else found.high <= limit)


@pytest.mark.parametrize(
    ("hits", "trials", "tail", "needed"),
    [
        (0, 10, 0.025, 72),  # .95 ** 72 = .0249, .95 ** 71 = .0262
        (0, 10, 0.0125, 86),  # .95 ** 86 = .0121, .95 ** 85 = .0128
        (0, 100, 0.025, 100),  # it is enough already
        (1, 1, 0.025, 2),  # .05 ** 2
        (1, 20, 0.025, None),  # the limit itself
        (0, 0, 0.025, None),
    ],
)
def test_the_images_needed_by_hand(hits, trials, tail, needed):
    assert images_needed(hits, trials, 0.05, tail) == needed


@given(st.integers(1, 200), st.floats(0, 1), st.sampled_from([0.0125, 0.025]))
def test_the_images_needed_are_the_fewest_that_settle_the_share(trials, part, tail):
    hits = round(part * trials)
    above, limit = hits / trials > 0.05, 0.05

    def settled(images):
        return share_p_value(int(np.rint(images * hits / trials)), images, limit, above) <= tail

    needed = images_needed(hits, trials, limit, tail)
    if needed is None:
        assert not settled(MOST_IMAGES)
    else:
        assert settled(needed)
        assert not any(settled(images) for images in range(max(trials, needed - 20), needed))


def test_the_limit_and_the_p_value_of_a_mean_by_hand():
    # mean 2, standard error sqrt(1 / 6); 95 % of Student's t with 3 degrees of freedom: 2.3534
    values = np.array([1.0, 2.0, 3.0, 2.0])
    margin = 2.353363 / math.sqrt(6)
    assert mean_bound(values, 0.05, False) == pytest.approx(2 - margin)
    assert mean_bound(values, 0.05, True) == pytest.approx(2 + margin)
    assert mean_p_value(values, 2 - margin, True) == pytest.approx(0.05)
    assert mean_p_value(values, 2 + margin, False) == pytest.approx(0.05)
    assert mean_p_value(values, 2, True) == mean_p_value(values, 2, False) == 0.5


SCATTERED = st.lists(st.integers(-9, 9), min_size=2, max_size=9).filter(lambda x: len(set(x)) > 1)


@given(SCATTERED, st.floats(-5, 5), st.floats(0.001, 0.5))
def test_limits_and_p_values_of_a_mean_are_scipys(values, limit, tail):
    values = np.array(values, float)
    for above, alternative in ((True, "greater"), (False, "less")):
        test = stats.ttest_1samp(values, limit, alternative=alternative)
        assert mean_p_value(values, limit, above) == pytest.approx(test.pvalue)
        limits = test.confidence_interval(1 - tail)
        scipys = limits.low if above else limits.high
        assert mean_bound(values, tail, not above) == pytest.approx(scipys)


@given(SCATTERED, st.floats(-5, 5))
def test_the_two_sides_of_a_mean_mirror_each_other(values, limit):
    values = np.array(values, float)
    assert mean_p_value(values, limit, True) == pytest.approx(mean_p_value(-values, -limit, False))
    assert mean_p_value(values, limit, True) + mean_p_value(values, limit, False) == pytest.approx(1)
    assert mean_bound(values, 0.1, True) == pytest.approx(-mean_bound(-values, 0.1, False))


@given(SCATTERED, st.floats(-5, 5), st.floats(0, 5), st.floats(0.001, 0.4), st.floats(0.001, 0.09))
def test_a_further_limit_is_surer_and_a_smaller_tail_wider(values, limit, more, tail, less):
    values = np.array(values, float)
    assert mean_p_value(values, limit - more, True) <= mean_p_value(values, limit, True) + 1e-12
    assert mean_bound(values, tail * less, True) >= mean_bound(values, tail, True) - 1e-12
    assert mean_bound(values, tail * less, False) <= mean_bound(values, tail, False) + 1e-12


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan, 1.0]])
def test_few_values_or_no_numbers_say_nothing(values):
    values = np.array(values)
    assert np.isnan(mean_bound(values, 0.05, True))
    assert mean_p_value(values, -9, True) == mean_p_value(values, 9, False) == 1
    assert pairs_needed(values, 0, 0.05) is None


def test_values_without_scatter_are_taken_as_sure():
    values = np.full(3, 0.25)
    assert [mean_p_value(values, limit, True) for limit in (0, 0.25, 0.5)] == [0, 1, 1]
    assert [mean_p_value(values, limit, False) for limit in (0, 0.25, 0.5)] == [1, 1, 0]
    assert mean_bound(values, 0.05, True) == mean_bound(values, 0.05, False) == 0.25
    assert pairs_needed(values, 0, 0.05) == 3
    assert pairs_needed(values, 0.25, 0.05) is None


def test_the_pairs_needed_by_hand():
    # Mean 1, standard deviation 1. The margin of 4 values is 2.3534 / sqrt(4) = 1.177, of 5 .953, of 6 .823.
    values = np.array([0.0, 1.0, 2.0])
    assert pairs_needed(values, 0.0, 0.05) == 5
    assert pairs_needed(values, 0.1, 0.05) == 6
    assert pairs_needed(values, 1.9, 0.05) == 6, "below as well as above"


@given(SCATTERED, st.floats(-5, 5), st.floats(0.001, 0.2))
def test_the_pairs_needed_are_the_fewest_that_do(values, limit, tail):
    values = np.array(values, float)
    needed = pairs_needed(values, limit, tail)

    def does(count):
        margin = stats.t.isf(tail, count - 1) * values.std(ddof=1) / math.sqrt(count)
        return margin < abs(values.mean() - limit)

    if needed is None:
        assert not does(MOST_PAIRS)
    else:
        assert does(needed)
        assert needed == len(values) or not does(needed - 1)


def test_holms_steps_by_hand():
    # .005 * 4 = .02 holds; .01 * 3 = .03 doesn't, and neither does what is larger.
    assert holm_steps([0.01, 0.04, 0.03, 0.005], 0.025) == [3, 3, 3, 4]
    assert holm_steps([0.01, 0.04, 0.03, 0.005], 0.03) == [3, 2, 2, 4]
    assert holm_steps([0.01, 0.04, 0.03, 0.005], 0.06) == [3, 1, 2, 4]
    assert holm_steps([0.01, 0.005], 0.025, others=2) == [3, 4]
    assert holm_steps([], 0.025) == []
    assert holm_steps([0.02], 0.025) == [1]
    assert holm_steps([0.02], 0.025, others=1) == [2]


P_VALUES = st.lists(st.one_of(st.floats(0, 1), st.floats(0, 0.02)), min_size=1, max_size=12)


@given(P_VALUES, st.sampled_from([0.01, 0.025, 0.05]))
def test_holms_steps_reject_what_holm_rejects(p_values, tail):
    adjusted = holm(p_values)
    steps = holm_steps(p_values, tail)
    for p, step, whole in zip(p_values, steps, adjusted, strict=True):
        if abs(whole - tail) > 1e-12:
            assert (p * step <= tail) == (whole <= tail)
        assert 1 <= step <= len(p_values)


@given(P_VALUES, st.integers(0, 9))
def test_what_isnt_known_yet_counts_as_not_rejected(p_values, others):
    assert (
        holm_steps(p_values, 0.025, others)
        == holm_steps([*p_values, *[1.0] * others], 0.025)[: len(p_values)]
    )


def test_the_inter_quartile_range_by_hand():
    assert interquartile_range(np.array([0.0, 1.0])) == 0.5
    assert interquartile_range(np.arange(5.0)) == 2
    assert np.isnan(interquartile_range(np.array([0.0, 1.0, 1.0, 1.0, 9.0])))


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
