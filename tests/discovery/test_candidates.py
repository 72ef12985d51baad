"""Candidates: shares, their exact test, and their order."""

import pytest

from fcdd_audit.discovery.candidates import Candidate, Share, difference, ranked


def candidate(p, kind="repeated", **changes):
    share = {"nominal": Share(3, 4), "anomalous": Share(0, 4)}
    made = {"id": "", "kind": kind, "bearers": ("a",), "share": share, "view": "image", "box": None}
    return Candidate(**(made | {"p": p, "null": "mirrored"} | changes))


def test_fishers_test_by_hand():
    """3 of 4 against 0 of 4: (4 + 4) / 56 of all tables are as unlikely."""
    assert difference([Share(3, 4), Share(0, 4)]) == pytest.approx(8 / 56)
    assert difference([Share(2, 4), Share(2, 4)]) == pytest.approx(1)


@pytest.mark.parametrize("p", [0.06, None])
def test_what_a_search_is_not_sure_of_has_no_difference(p):
    """The search itself has chosen the side."""
    share = {"nominal": Share(20, 240), "anomalous": Share(0, 240)}
    for kind, none in (("repeated", True), ("pasted", True), ("near-copies", False)):
        one = Candidate("", kind, ("a",), share, "image", None, p, "none: why")
        assert (one.difference is None) == none


def test_one_side_has_no_difference():
    assert difference([Share(3, 4)]) is None
    assert difference([Share(3, 4), Share(0, 0)]) is None
    assert Share(0, 0).value is None


def test_the_surest_comes_first_and_what_no_null_can_judge_last():
    given = [candidate(None, "placeless"), candidate(0.2), candidate(0.01), candidate(None, "near-copies")]
    assert [(one.id, one.p, one.kind) for one in ranked(given)] == [
        ("#1", 0.01, "repeated"),
        ("#2", 0.2, "repeated"),
        ("#3", None, "placeless"),
        ("#4", None, "near-copies"),
    ]


def test_its_entry_has_plain_values():
    entry = candidate(0.01, box=(0.1, 0.2, 0.30001, 1)).as_json()
    assert entry["share"] == {"nominal": 0.75, "anomalous": 0.0}
    assert entry["counts"] == {"nominal": [3, 4], "anomalous": [0, 4]}
    assert entry["box"] == [0.1, 0.2, 0.3, 1]
    assert entry["difference"] == pytest.approx(8 / 56)
