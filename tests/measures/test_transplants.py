"""Harm of transplanted artifacts: by hand, and the interval's coverage in simulation."""

import numpy as np
import pytest

from fcdd_audit.measures.reliance import Scores
from fcdd_audit.measures.transplants import (
    DONOR,
    PLACEBO,
    UNSEEN,
    alarms_placebo,
    alarms_transplanted,
    alarms_unseen,
    crossed_interval,
    crossed_p_value,
    net_flags,
    passing,
    transplant_harm,
)

FROM_NOMINAL, FROM_ANOMALOUS = "transplanted-from-nominal", "transplanted-from-anomalous"
TAILS = (0.025, 0.025)


def scores(
    side="anomalous", marked=((0.0, 2.0), (0.0, 0.0)), placebo=((2.0, 2.0), (0.0, 2.0)), unseen=(2.0, 0.0)
):
    """Of two receivers and two donors; the others are of no account."""
    plain = {
        (one, variant): np.arange(4.0) for one in ("nominal", "anomalous") for variant in ("clean", "marked")
    }
    crossed = {(side, DONOR.format(k)): np.array(row) for k, row in enumerate(marked)}
    crossed |= {(side, PLACEBO.format(k)): np.array(row) for k, row in enumerate(placebo)}
    return Scores(np.arange(20.0), plain, {**crossed, (side, UNSEEN): np.array(unseen)})


def test_each_alarm_counts_once_by_hand():
    one = scores()
    assert net_flags(one, FROM_NOMINAL, 1.0).tolist() == [[-1, 0], [0, -1]]
    assert alarms_transplanted([one], FROM_NOMINAL, [1.0]) == [0.25]
    assert alarms_placebo([one], FROM_NOMINAL, [1.0]) == [0.75]
    assert alarms_unseen([one], FROM_NOMINAL, [1.0]) == [0.5]
    assert transplant_harm([one], FROM_NOMINAL, [1.0]) == [-0.5]


def test_a_nominal_image_that_alarms_because_of_it_counts_as_plus():
    one = scores("nominal", marked=((2.0, 2.0), (2.0, 0.0)), placebo=((0.0, 0.0), (0.0, 0.0)))
    assert transplant_harm([one], FROM_ANOMALOUS, [1.0]) == [0.75]


@pytest.mark.parametrize("measure", [alarms_transplanted, alarms_placebo, alarms_unseen, transplant_harm])
def test_where_nothing_was_transplanted_there_is_no_number(measure):
    plain = Scores(np.arange(3.0), scores().of)
    assert measure([plain], FROM_NOMINAL, [1.0]) is None


def test_noise_that_turns_as_many_each_way_is_no_harm():
    """A count of anomalies newly hidden grows with noise; the net change doesn't."""
    rng = np.random.default_rng(0)
    net, hidden = [], []
    for _ in range(20):
        noisy = scores(marked=rng.normal(1, 1, (8, 100)), placebo=rng.normal(1, 1, (8, 100)))
        flags = net_flags(noisy, FROM_NOMINAL, 1.0)
        net.append(flags)
        hidden.append((flags == -1).mean())
    assert np.mean(hidden) > 0.2
    found = crossed_interval(np.stack(net), TAILS)
    assert found.low < 0 < found.high
    assert found.high < 0.05
    assert crossed_p_value(np.stack(net), -0.05, True) < 0.001


@pytest.mark.parametrize(
    ("pairs", "donors", "receivers"), [(4, 8, 60), (8, 8, 40), (12, 10, 100)], ids=lambda count: str(count)
)
@pytest.mark.parametrize("spreads", [(0.1, 0.05, 0.1), (0.02, 0.2, 0.2), (0.2, 0.02, 0.05)], ids=str)
def test_intervals_hold_for_new_pairs_donors_and_receivers(pairs, donors, receivers, spreads):
    rng = np.random.default_rng(1)
    true, trials, held = -0.1, 300, 0
    for _ in range(trials):
        x = true + rng.normal(0, 0.4, (pairs, donors, receivers))
        for axis, (count, spread) in enumerate(zip(x.shape, spreads, strict=True)):
            shape = [1, 1, 1]
            shape[axis] = count
            x = x + rng.normal(0, spread, shape)
        found = crossed_interval(x, TAILS, (-9, 9))
        held += found.low <= true <= found.high
    assert held / trials > 0.91  # of 95 %, in 300 trials


def test_without_any_scatter_a_receiver_more_or_less_is_left():
    found = crossed_interval(np.zeros((4, 8, 50)), TAILS)
    assert 0.02 < found.high < 0.06
    assert crossed_interval(np.zeros((4, 8, 10)), TAILS).high > 0.1


def test_a_single_pair_has_no_interval():
    x = np.zeros((1, 8, 50))
    assert np.isnan(crossed_interval(x, TAILS).low)
    assert crossed_p_value(x, 0.5, False) == 1


def test_the_threshold_is_lowered_until_the_control_catches_enough():
    control = scores()  # anomalies as they are score 0 to 3
    assert passing([control], FROM_NOMINAL, [0.05, 0.85, 0.95], 0.25) == 0.85
    assert passing([control], FROM_NOMINAL, [0.05], 0.25) is None
    assert passing([control], FROM_ANOMALOUS, [0.05, 0.95], 0.25) is None
