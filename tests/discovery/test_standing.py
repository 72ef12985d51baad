"""How far donors stand out, by hand and on known distributions."""

import numpy as np
import pytest

from fcdd_audit.discovery.standing import APART, apart, beyond, exchange_p


def rng():
    return np.random.default_rng(0)


def test_exchange_by_hand():
    """Of the ten ways to choose 2 of 5, one has both large values: p is near a tenth."""
    values = np.array([5.0, 4.0, 1.0, 2.0, 3.0])
    p = exchange_p(values, 2, lambda one, other: one.mean() - other.mean(), rng(), 4999)
    assert p == pytest.approx(0.1, abs=0.015)


def test_beyond_and_apart_by_hand():
    values = np.arange(20.0)
    assert beyond(values, np.zeros(30)) == 18.5  # the two largest of 20
    assert beyond(values, values) == 0
    assert apart(values) == pytest.approx((18.5 - 9.5) / (9.5 - 2.85))
    assert apart(7 * values - 3) == pytest.approx(apart(values))


def test_apart_of_a_normal_distribution_and_of_one_with_a_fifth_that_stands_out():
    values = rng().normal(size=20_000)
    assert apart(values) == pytest.approx(1.7, abs=0.05)
    values[::5] += 6
    assert apart(values) > APART
    values[::2] += 6
    assert apart(values) < APART, "what most have is no tail"
