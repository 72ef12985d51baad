"""Scores that can't tell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.designs.finished.clipping import Clipped, clipped

SPREAD = np.linspace(0.1, 0.9, 100)


def ends(low=0, high=0, others=SPREAD):
    """Scores between, and so many at 0 and at 1."""
    return np.concatenate([others, np.zeros(low), np.ones(high)])


@pytest.mark.parametrize(
    ("scores", "low", "high"),
    [
        (SPREAD, None, None),
        (ends(low=4, high=4), None, None),  # at least five
        (ends(low=5), 0.0, None),
        (ends(high=5), None, 1.0),
        (ends(low=40, high=40), 0.0, 1.0),
        (ends(low=6, others=np.linspace(0.1, 0.9, 294)), 0.0, None),  # 6 of 300 are 2 %
        (ends(low=6, others=np.linspace(0.1, 0.9, 295)), None, None),
        (np.array([0.0, 1.0]), None, None),
    ],
)
def test_scores_are_clipped_where_many_are_exactly_at_an_end(scores, low, high):
    found = clipped(np.random.default_rng(0).permutation(scores))
    assert (found.low, found.high) == (low, high)
    assert len(found.notes) == (low is not None) + (high is not None)
    assert bool(found) == (found != Clipped())


def test_it_is_said_how_many_are():
    (note,) = clipped(ends(high=50)).notes
    assert note == (
        "50 of 150 scores are exactly 1, the highest: they look clipped, so that shifts aren't given; raw "
        "scores would say more."
    )
    (note,) = clipped(ends(low=50)).notes
    assert "exactly 0, the lowest" in note


def test_scores_that_are_all_the_same_are_refused(refused):
    with refused("gives all 7 test images the score 0.25", "nothing can be audited", "raw scores"):
        clipped(np.full(7, 0.25))


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=60, unique=True))
def test_scores_that_all_differ_are_not_clipped(scores):
    assert not clipped(np.array(scores))


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60).filter(lambda found: len(set(found)) > 1))
def test_clipping_is_told_alike_at_both_ends(scores):
    scores = np.array(scores, float)
    one, other = clipped(scores), clipped(-scores)
    assert one.low == (None if other.high is None else -other.high)
    assert one.high == (None if other.low is None else -other.low)
