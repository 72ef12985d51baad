import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fcdd_audit.measures.statistics import Interval, holm_steps, mean_p_value
from fcdd_audit.verdict.looks import Look, planned_looks, single_look
from fcdd_audit.verdict.seen import Seen, seen

TAIL = 0.025
FREE = (-np.inf, np.inf)
AUDITS = 2000


def test_a_look_has_the_pairs_that_were_trained_by_then():
    found = seen(np.array([1.0, 2.0, 3.0]), (0, 2, 5), (Look(2, 0.5), Look(6, 0.5)))
    assert [values.tolist() for values in found.values] == [[1.0], [1.0, 2.0, 3.0]]


def test_one_look_is_the_t_test_and_its_interval():
    values = np.array([0.2, 0.9, 0.4, 0.8])
    found = seen(values, range(4), single_look(4))
    assert found.p_value(0.1, True) == pytest.approx(
        stats.ttest_1samp(values, 0.1, alternative="greater").pvalue
    )
    assert found.p_value(0.9, False) == pytest.approx(
        stats.ttest_1samp(values, 0.9, alternative="less").pvalue
    )
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert found.interval((TAIL, TAIL), FREE) == Interval(
        values.mean(), pytest.approx(low), pytest.approx(high)
    )


def test_several_looks_pay_with_their_shares_and_the_interval_is_what_all_allow():
    first, second = np.array([1.0, 2.0]), np.array([1.0, 2.0, 6.0])
    found = Seen((first, second), (0.6, 0.4))
    each = [mean_p_value(first, 0, True) / 0.6, mean_p_value(second, 0, True) / 0.4]
    assert found.p_value(0, True) == pytest.approx(min(each))
    lows = [
        v.mean() - stats.sem(v) * stats.t.isf(TAIL * s, len(v) - 1) for v, s in ((first, 0.6), (second, 0.4))
    ]
    highs = [
        v.mean() + stats.sem(v) * stats.t.isf(TAIL * s, len(v) - 1) for v, s in ((first, 0.6), (second, 0.4))
    ]
    assert found.interval((TAIL, TAIL), FREE) == Interval(
        3.0, pytest.approx(max(lows)), pytest.approx(min(highs))
    )


def test_limits_that_contradict_each_other_are_the_last_looks():
    found = Seen((np.array([0.0, 0.001]), np.array([9.0, 9.001, 9.0])), (0.5, 0.5))
    assert found.interval((TAIL, TAIL), FREE).low > 8


def test_bounds_cut_the_interval_off():
    found = seen(np.array([0.0, 1.0, 1.0]), range(3), single_look(3))
    assert found.interval((TAIL, TAIL), (-1, 1)).high == 1


@pytest.mark.parametrize("values", [[], [0.3]])
def test_fewer_than_two_pairs_say_nothing(values):
    found = seen(np.array(values), range(len(values)), single_look(4))
    assert found.p_value(0, True) == 1
    assert np.isnan(found.interval((TAIL, TAIL), FREE).low)


@given(
    st.lists(st.floats(-3, 3), min_size=16, max_size=16),
    st.floats(-2, 2),
    st.sampled_from([0.025, 0.01, 0.002]),
)
def test_the_interval_says_what_the_test_says(values, limit, tail):
    found = seen(np.array(values), range(16), planned_looks(16))
    shown = found.interval((tail, tail), FREE)
    if found.p_value(limit, True) < tail and found.p_value(limit, False) > tail:
        assert shown.low >= limit - 1e-9
    if found.p_value(limit, True) > tail * 1.001:
        assert shown.low <= limit + 1e-9


DRAWS = {
    "bell curve": lambda rng: rng.normal(0.5, 1, 16),
    "uniform": lambda rng: rng.uniform(-0.5, 1.5, 16),
    "heavy tails, cut off": lambda rng: np.clip(0.5 + rng.standard_t(2, 16), -4, 5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_looks_do_not_raise_the_error(name):
    """The mean is on the limit: whoever says at any look that it is above errs."""
    rng = np.random.default_rng(0)
    looks = planned_looks(16)
    paid = unpaid = covered = 0
    for _ in range(AUDITS):
        found = seen(DRAWS[name](rng), range(16), looks)
        paid += found.p_value(0.5, True) < TAIL
        unpaid += min(mean_p_value(values, 0.5, True) for values in found.values) < TAIL
        shown = found.interval((TAIL, TAIL), FREE)
        covered += shown.low <= 0.5 <= shown.high
    slack = 3 * np.sqrt(TAIL * (1 - TAIL) / AUDITS)
    assert paid / AUDITS <= TAIL + slack
    assert covered / AUDITS >= 1 - 2 * TAIL - 1.5 * slack
    assert unpaid / AUDITS > TAIL + slack, "without paying the error is larger, or this test shows nothing"


def test_holm_over_looks_holds_for_three_verdicts_together():
    """Three independent verdicts on the limit; an error is any that is said to be above."""
    rng = np.random.default_rng(1)
    looks = planned_looks(16)
    wrong = 0
    for _ in range(AUDITS):
        p_values = [seen(rng.normal(0.5, 1, 16), range(16), looks).p_value(0.5, True) for _ in range(3)]
        steps = holm_steps(p_values, TAIL)
        wrong += any(p * step <= TAIL for p, step in zip(p_values, steps, strict=True))
    assert wrong / AUDITS <= TAIL + 3 * np.sqrt(TAIL * (1 - TAIL) / AUDITS)
