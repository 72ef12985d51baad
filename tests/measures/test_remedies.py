"""What a remedy removed, and what it cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.remedies import caught, ratio_interval, removed, rise

numbers = st.lists(
    st.tuples(st.floats(-5, 5, width=32), st.floats(-5, 5, width=32)), min_size=2, max_size=12
).map(lambda pairs: tuple(np.array(pairs, dtype=float).T))


def test_by_hand():
    """Means 2 and .5, so that .25 is left. With `after` always .5 the ratio's limits are .5 through those of
    the mean of `before`, 2 +- t / sqrt(3) with 2 degrees of freedom, where this doesn't contain 0."""
    before, after = np.array([1.9, 2.0, 2.1]), np.full(3, 0.5)
    margin = stats.t.ppf(0.975, 2) * 0.1 / 3**0.5
    found = removed(before, after)
    assert found.value == pytest.approx(0.75)
    assert found.low == pytest.approx(1 - 0.5 / (2 - margin))
    assert found.high == pytest.approx(1 - 0.5 / (2 + margin))


def test_an_effect_that_may_be_gone_or_turned_around_has_its_upper_limit_at_all_of_it():
    before = np.array([2.0, 2.1, 1.9, 2.0])
    after = np.array([0.1, -0.1, 0.1, -0.1])
    found = removed(before, after)
    assert found.high == 1
    assert 0.9 < found.low < found.value == 1
    turned = removed(before, -before)
    assert turned.value == pytest.approx(0)
    assert removed(before, 2 * before).value == pytest.approx(-1), "it adds to it"


@pytest.mark.parametrize(
    "before", [np.array([2.0, -2.0, 1.0]), np.zeros(4), np.array([3.0]), np.array([1.0, np.nan, 1.0])]
)
def test_where_the_effect_before_is_not_surely_there_nothing_is_said(before):
    assert removed(before, np.full(len(before), 0.1)) is None


@settings(max_examples=200)
@given(numbers)
def test_it_is_unchanged_by_scale_and_sign_and_holds_its_value(pairs):
    before, after = pairs
    found = removed(before, after)
    if found is None:
        return
    assert found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9
    assert found.high <= 1
    for scaled in (removed(3 * before, 3 * after), removed(-before, after), removed(-before, -after)):
        np.testing.assert_allclose(
            (scaled.value, scaled.low, scaled.high),
            (found.value, found.low, found.high),
            atol=1e-6,
            rtol=1e-6,
        )


@pytest.mark.parametrize("pairs", [4, 8])
def test_the_interval_covers_the_true_ratio(pairs):
    """Correlated pairs whose means are 2 and .4: 95 %, to the error of 4,000 draws."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.6, (4000, pairs))
    before, after = (mean + shared + rng.normal(0, 0.5, shared.shape) for mean in (2.0, 0.4))
    found = [ratio_interval(over, under) for over, under in zip(after, before, strict=True)]
    known = [one for one in found if one is not None]
    covered = np.mean([one.low <= 0.2 <= one.high for one in known])
    unbounded = 1 - len(known) / len(found)
    assert covered * (1 - unbounded) + unbounded == pytest.approx(0.95, abs=0.012), (
        "one without limits covers"
    )


def test_what_is_caught_and_how_much_further_a_cue_moves_the_score():
    of = {
        ("nominal", "clean"): np.array([0.0, 1.0]),
        ("nominal", "marked"): np.array([5.0, 5.0]),
        ("anomalous", "clean"): np.array([1.0, 2.0, 3.0, 4.0]),
        ("anomalous", "marked"): np.array([0.0] * 4),
    }
    assert caught(Scores(np.array([0.0]), of), "anomalous", 2.0) == 0.5
    assert rise((np.array([1.0, -1.0]), np.array([-1.5, 0.25]))).tolist() == [0.5, -0.75]
