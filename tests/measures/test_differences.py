import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from fcdd_audit.measures.differences import (
    clipped,
    hybrid_difference,
    mean_or_value,
    share_difference,
    unpaired_difference,
    wilson,
)
from fcdd_audit.measures.statistics import Interval

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
NUMBERS = st.lists(st.floats(-5, 5), min_size=2, max_size=8).map(np.array)


def limits(found):
    return found.low, found.high


def test_welch_by_hand():
    # Means 2 and 6, variances 1 and 4 of 3 each: error sqrt(5/3), (5/3)^2 / (1/18 + 16/18) = 50/17 degrees.
    found = unpaired_difference(np.array([1.0, 2, 3]), np.array([4.0, 6, 8]))
    margin = math.sqrt(5 / 3) * stats.t.ppf(0.975, 50 / 17)
    assert found.value == 4
    assert limits(found) == pytest.approx((4 - margin, 4 + margin))


@given(NUMBERS, NUMBERS)
def test_welch_is_that_of_scipy(before, after):
    assume(before.std() + after.std() > 1e-3)
    expected = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.9)
    assert limits(unpaired_difference(before, after, 0.9)) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


def test_of_too_few_values_nothing_is_said():
    one = unpaired_difference(np.array([1.0]), np.array([3.0, 4.0]))
    assert one.value == 2.5
    assert np.isnan(limits(one)).all()
    assert math.isnan(unpaired_difference(np.array([]), np.array([3.0])).value)
    assert math.isnan(mean_or_value(np.array([])).value)
    assert mean_or_value(np.array([0.5])).value == 0.5
    assert math.isnan(mean_or_value(np.array([0.5])).low)


def test_without_scatter_a_difference_is_sure():
    found = unpaired_difference(np.array([1.0, 1.0]), np.array([3.0, 3.0]))
    assert (found.value, *limits(found)) == (2, 2, 2)


@given(COUNTS)
def test_wilson_is_that_of_statsmodels(counts):
    expected = proportion_confint(*counts, alpha=0.05, method="wilson")
    assert limits(wilson(*counts)) == pytest.approx(expected, abs=1e-9)


def test_newcombes_own_examples():
    # Newcombe 1998, table II, method 10; 56/70 - 48/80 and 9/10 - 3/10, 10/10 - 0/20.
    assert limits(share_difference((48, 80), (56, 70))) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert limits(share_difference((3, 10), (9, 10))) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert limits(share_difference((0, 20), (10, 10))) == pytest.approx((0.6791, 1.0), abs=5e-5)


@given(COUNTS, COUNTS)
def test_a_difference_of_shares_is_that_of_statsmodels(before, after):
    expected = confint_proportions_2indep(*after, *before, compare="diff", method="newcomb")
    assert limits(share_difference(before, after)) == pytest.approx(expected, abs=1e-9)


@given(COUNTS, COUNTS)
def test_exchanged_shares_flip_the_sign_and_possible_limits_hold_the_value(before, after):
    there, back = share_difference(before, after), share_difference(after, before)
    assert (back.value, *limits(back)) == pytest.approx((-there.value, -there.high, -there.low))
    assert -1 - 1e-12 <= there.low <= there.value <= there.high <= 1 + 1e-12


@given(NUMBERS, NUMBERS)
def test_exchanged_means_flip_the_sign(before, after):
    there, back = unpaired_difference(before, after), unpaired_difference(after, before)
    assert (back.value, *limits(back)) == pytest.approx((-there.value, -there.high, -there.low))


def test_errors_whose_squares_vanish_have_an_interval():
    found = unpaired_difference(np.zeros(2), np.array([0.0, 5e-96]))
    assert found.low < found.value < found.high


def test_without_trials_no_share_is_known():
    assert math.isnan(share_difference((0, 0), (1, 2)).value)


def test_limits_are_cut_off_at_what_is_possible():
    assert clipped(Interval(0.9, 0.7, 1.4), -1, 1) == Interval(0.9, 0.7, 1)
    assert math.isnan(clipped(Interval(0.9, math.nan, math.nan), -1, 1).low)


def test_the_hybrid_takes_the_limits_on_the_side_of_the_difference():
    found = hybrid_difference(Interval(0.2, 0.16, 0.23), Interval(0.6, 0.56, 0.72))
    assert (found.value, *limits(found)) == pytest.approx((0.4, 0.35, 0.4 + math.hypot(0.12, 0.04)))
