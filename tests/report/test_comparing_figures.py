import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.report.comparing_figures import changes, spread, tellers

EVIL = "</text><script>alert(1)</script> $x$"


def explainer(name, exposed, alarms, tier=1):
    return {
        "explainer": name,
        "tier": tier,
        "exposes_twins": {"share": {"value": exposed}},
        "alarms_on_controls": {"share": {"value": alarms}},
    }


def interval(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def question(before, after, difference):
    return {"alarms": {"before": before, "after": after, "difference": difference}}


def texts(svg):
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)


def test_the_scatter_names_each_explainer_of_which_both_are_known():
    rows = [explainer("lrp", 1.0, 0.2), explainer("ig", 0.5, 0.1, 2), explainer("lost", None, 0.1)]
    svg = tellers(rows, "scatter")
    assert {"lrp", "ig", "a coin toss"} <= set(texts(svg))
    assert "lost" not in svg


@pytest.mark.parametrize(("alarms", "times"), [(0.2, 1), (0.7, 2)])
def test_the_axis_goes_beyond_the_coin_toss_only_where_points_do(alarms, times):
    assert texts(tellers([explainer("lrp", 1, alarms)], "s")).count("0.6") == times, "on one axis, or on both"


def test_names_stay_text():
    svg = tellers([explainer(EVIL, 1.0, 0.2)], "scatter")
    assert "<script" not in svg
    assert "$x$" in svg
    known = interval(0.5, 0.4, 0.6)
    svg = changes([question(known, known, interval(0, -0.1, 0.1))], [EVIL], "changes")
    assert "<script" not in svg
    assert "$x$" in svg


def test_a_change_is_drawn_with_what_is_known_of_it():
    unknown = interval(None)
    svg = changes([question(interval(0.5), unknown, unknown)], ["fcdd"], "changes")
    assert "before" in texts(svg)
    assert "after" not in texts(svg)
    assert "<svg" in changes([question(unknown, unknown, unknown)], ["fcdd"], "changes")


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20, unique=True))
def test_names_keep_their_order_and_their_distance(values):
    places = [place for _, place in sorted(zip(values, spread(values, 0.1), strict=True))]
    assert min(after - before for before, after in itertools.pairwise(places)) >= 0.1 - 1e-9


def test_names_stay_where_there_is_room_and_make_room_evenly():
    assert spread([0.9, 0.1], 0.1) == pytest.approx([0.9, 0.1])
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
