"""Which images are shown: most, median and least affected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.designs.affected import by_affect


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ([0.1, 0.9, 0.5, -0.3, 0.4], [(1, "most"), (4, "median"), (3, "least")]),
        ([1.0, 2.0, 3.0, 4.0], [(3, "most"), (2, "median"), (0, "least")]),
        ([1.0, 2.0], [(1, "most"), (0, "least")]),
        ([5.0], [(0, "most")]),
        ([], []),
        ([1.0, 1.0, 1.0], [(0, "most"), (1, "median"), (2, "least")]),
    ],
)
def test_the_most_median_and_least_affected_stand_once_in_this_order(moved, expected):
    assert by_affect(np.array(moved)) == expected


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=30))
def test_as_many_are_affected_more_as_less_than_the_median(moved):
    values = np.array(moved)
    places = {why: place for place, why in by_affect(values)}
    assert values[places["most"]] == values.max()
    assert values[places["least"]] == values.min()
    median = values[places["median"]]
    assert (values > median).sum() <= len(values) // 2 >= (values < median).sum()
