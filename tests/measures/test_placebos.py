"""What an artifact does to a finished detector, and beyond placebos, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.measures.placebos import (
    as_strong,
    auroc_lost,
    beyond_placebos,
    likeness,
    newly_wrong,
    own_shift,
    rank_p_value,
)

WITHOUT = np.array([0.0, 0.4, 0.6, 0.9])
BEARING = np.array([0.7, 0.5, 0.2, 0.95])  # first: crosses 0.5 upwards; third: downwards


@pytest.mark.parametrize(
    ("limit", "side", "turned"),
    [
        (0.5, "nominal", 1 / 4),  # the first; the second is at the limit, which is no alarm
        (0.45, "nominal", 2 / 4),
        (0.5, "anomalous", 1 / 4),  # the third
        (0.9, "nominal", 1 / 4),  # the last, from the limit itself
        (2.0, "nominal", 0),  # nothing ever raises an alarm
        (2.0, "anomalous", 0),  # nothing is found that could hide
        (-1.0, "nominal", 0),  # all are wrong already
        (-1.0, "anomalous", 0),
    ],
)
def test_a_decision_counts_if_the_artifact_alone_turns_it_wrong(limit, side, turned):
    assert newly_wrong(WITHOUT, BEARING, limit, side) == turned


def test_scores_with_many_marks_are_compared_with_those_of_the_same_images():
    marks = np.stack([WITHOUT, BEARING, WITHOUT + 10])
    assert newly_wrong(WITHOUT, marks, 0.5, "nominal").tolist() == [0, 1 / 4, 2 / 4]
    assert newly_wrong(marks, WITHOUT + 10, 0.5, "nominal").tolist() == [2 / 4, 2 / 4, 0]


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=20))
def test_a_nominal_image_raises_an_alarm_where_its_negative_hides(pairs):
    without, bearing = np.array(pairs, float).T
    up = newly_wrong(without, bearing, 0.5, "nominal")
    assert up == newly_wrong(-without, -bearing, -0.5, "anomalous")
    assert up <= (bearing > 0.5).mean()
    assert newly_wrong(without, without, 0.5, "nominal") == 0


def test_the_shift_is_the_median_change_in_inter_quartile_ranges():
    unit = np.arange(5.0)  # quartiles 1 and 3
    assert own_shift(np.array([0.0, 1.0, 2.0]), np.array([1.0, 5.0, 12.0]), unit) == 4 / 2
    assert own_shift(np.array([1.0]), np.array([0.0]), unit) == -1 / 2
    assert np.isnan(own_shift(np.zeros(3), np.ones(3), np.ones(5))), "nothing to measure it in"


def test_the_p_value_is_the_share_of_placebos_as_high_with_the_artifact_counted():
    others = [0.1, 0.2, 0.3, 0.4]
    for artifact, strong in ((0.5, 0), (0.3, 2), (0.0, 4)):
        values = np.array([artifact, *others])
        assert as_strong(values) == strong, "a tie speaks against it"
        assert rank_p_value(values) == (1 + strong) / 5


@given(st.permutations(range(40)))
def test_p_values_are_uniform_where_the_artifact_is_any_mark(order):
    assert rank_p_value(np.array(order)) == (40 - order[0]) / 40


def test_what_is_lost_is_the_clean_auroc_less_the_marked_one():
    nominal, anomalous = np.array([0.0, 3.0]), np.array([1.0, 2.0])
    assert auroc_lost(1.0, nominal, anomalous) == 0.5, "two of four pairs are in order"
    assert auroc_lost(0.25, nominal, anomalous) == -0.25, "a mark may help"


def test_the_mean_of_placebos_is_taken_off():
    assert beyond_placebos(np.array([0.5, 0.1, 0.2, 0.9])) == pytest.approx(0.1)
    assert beyond_placebos(np.array([0.2, 0.2])) == 0


def test_likeness_knows_no_sign():
    assert likeness(np.array([-0.4, 0.1, 0.2])) == pytest.approx(0.2)
    assert likeness(np.array([-0.4, -0.3])) == pytest.approx(0.35)
