"""Audits drawn from a pool of pairs of twins."""

import numpy as np
import pytest

from fcdd_audit.studies.drawing import Audit, disjoint_audits, drawn_audits, jackknife_error
from fcdd_audit.verdict.looks import planned_looks, single_look
from fcdd_audit.verdict.thresholds import Thresholds

LIMITS = Thresholds()
SURE, WILD = [3.0, 3.1, 3.2, 3.1], [3.0, -3.0, 3.0, -3.0]


def test_disjoint_audits_use_each_pair_once_and_begin_only_where_they_could_end(pool_of):
    """By hand: the first settles at 4; the next looks at 4, 6 and 8 and stays open; the last 7 pairs might
    not be enough, so that no audit begins."""
    pool = pool_of([*SURE, *WILD, *WILD, *SURE, 3.0, 3.1, 3.0], alarms=0.3, drop=0.2)
    assert disjoint_audits(pool, planned_looks(8), LIMITS) == [
        Audit("relies", "alarms", None, 4),
        Audit("inconclusive", "alarms", "pairs", 8),
    ]
    assert [one.pairs for one in disjoint_audits(pool, single_look(4), LIMITS)] == [4] * 4


def test_audits_that_need_many_pairs_are_as_often_counted_as_others(pool_of):
    """Blocks of 8 sure pairs (4 are used) and of wild ones: a short audit at the end would tip the share."""
    pool = pool_of([*SURE, *WILD, *WILD] * 3 + SURE, alarms=0.3, drop=0.2)
    found = [one.verdict for one in disjoint_audits(pool, planned_looks(8), LIMITS)]
    assert found == ["relies", "inconclusive"] * 3


def test_too_few_pairs_are_no_audit(pool_of):
    pool = pool_of(WILD)
    assert disjoint_audits(pool, planned_looks(8), LIMITS) == []
    drawn = drawn_audits(pool, planned_looks(8), LIMITS)
    assert (drawn.audits, drawn.orders.shape) == ((), (0, 8))


def test_a_control_that_does_not_work_settles_it_at_the_first_look(pool_of):
    pool = pool_of(WILD * 3, auroc=0.5)
    assert (
        disjoint_audits(pool, planned_looks(8), LIMITS)
        == [Audit("inconclusive", None, "working-control", 4)] * 2
    )


def test_drawn_audits_are_the_same_again_and_never_have_a_pair_twice(pool_of):
    pool = pool_of([*SURE, *SURE, *SURE])
    drawn = drawn_audits(pool, planned_looks(6), LIMITS, draws=30)
    assert np.array_equal(drawn.orders, drawn_audits(pool, planned_looks(6), LIMITS, draws=30).orders)
    assert drawn.orders.shape == (30, 6)
    assert all(len(set(order)) == 6 for order in drawn.orders.tolist())
    assert (drawn.says("relies").mean(), drawn.mean_pairs) == (1, 4)
    assert np.isnan(drawn.error("relies")), "all say the same"


def orders_of(pool, pairs, draws):
    rng = np.random.default_rng(0)
    return np.array([rng.permutation(pool)[:pairs] for _ in range(draws)])


def test_the_jackknife_of_means_of_random_pairs_is_the_error_of_the_pools_mean():
    """The mean of the pool is what the draws are about, and its error is known."""
    pool = np.random.default_rng(1).normal(0, 1, 20)
    orders = orders_of(20, 5, 6000)
    found = jackknife_error(pool[orders].mean(axis=1), orders, 20)
    assert found == pytest.approx(pool.std(ddof=1) / np.sqrt(20), rel=0.1)


def test_what_has_nothing_to_do_with_the_pairs_has_no_error_but_for_the_draws():
    orders = orders_of(32, 16, 1000)
    values = np.random.default_rng(2).integers(2, size=1000).astype(float)
    assert jackknife_error(values, orders, 32) < 0.04


def test_the_jackknife_by_hand():
    """Without the first pair: (0 + 1 + 0) / 3; without the second 1; without the third (0 + 0) / 2. The
    values' variance is 1/3; the draws alone give each replicate (1 / its draws - 1 / 3) of it."""
    values, orders = np.array([0.0, 1.0, 0.0]), np.array([[1], [2], [1]])
    replicates, counts = np.array([1 / 3, 1.0, 0.0]), np.array([3, 1, 2])
    squared = 2 / 3 * ((replicates - replicates.mean()) ** 2).sum()
    by_chance = 2 / 3 * (1 / 3 * (1 / counts - 1 / 3)).sum()
    assert jackknife_error(values, orders, 3) == pytest.approx(np.sqrt(squared - by_chance))


def test_a_pair_in_every_draw_or_draws_that_agree_give_no_error():
    assert np.isnan(jackknife_error(np.array([0.0, 1.0, 0.0]), np.array([[0, 1], [0, 2], [0, 1]]), 3))
    assert np.isnan(jackknife_error(np.ones(3), np.array([[1], [2], [1]]), 3))


def test_of_a_null_of_noise_at_most_few_audits_say_that_it_relies(pool_of):
    """A dependence at the threshold is the worst null: 2.5 % were promised."""
    values = np.random.default_rng(1).normal(LIMITS.shift, 0.4, 1600)
    found = disjoint_audits(pool_of(values, alarms=0.2, drop=0.1), planned_looks(8), LIMITS)
    assert len(found) >= 200
    assert sum(one.verdict == "relies" for one in found) / len(found) <= 0.05
