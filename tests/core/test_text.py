"""Numbers as people read them."""

import pytest

from fcdd_audit.core.text import duration, number, percent, plain, span


def test_numbers_are_set_like_numbers():
    assert number(-0.034) == "\N{MINUS SIGN}0.03"
    assert number(-0.001) == "0.00"
    assert number(None) == number(float("nan")) == number(float("inf")) == "–"
    assert number(0.98765, 3) == "0.988"


def test_a_span_is_a_value_with_its_interval_where_there_is_one():
    assert span({"value": 0.5, "low": None, "high": None}) == "0.50"
    assert span({"value": 0.5, "low": -0.25, "high": 1.0}) == "0.50 (\N{MINUS SIGN}0.25 to 1.00)"
    assert span({"value": 0.5, "low": 0.25, "high": 0.75}, 1) == "0.5 (0.2 to 0.8)"
    assert span(None) == "–"


def test_a_share_in_percent_has_its_interval_where_there_is_one():
    assert percent({"value": 0.821, "low": 0.068, "high": 1.0}) == "82.1 % (6.8 to 100.0 %)"
    assert percent({"value": -0.0123, "low": None, "high": None}) == "\N{MINUS SIGN}1.2 %"
    assert percent({"value": None, "low": None, "high": None}) == percent(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1024.0, "1024"), (99.96, "100"), (0.03876, "0.0388"), (-0.5, "−0.5"), (0, "0"), (-1024.4, "−1024")],
)
def test_numbers_are_plain(value, text):
    assert plain(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (99.4, "99 s"), (99.6, "1.7 min"), (540, "9.0 min"), (1800, "30 min"), (7200, "2.0 h")],
)
def test_a_time_is_in_seconds_minutes_or_hours(seconds, text):
    assert duration(seconds) == text
