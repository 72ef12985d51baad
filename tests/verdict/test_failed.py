"""Twins without numbers: their pairs don't count, and findings say so."""

import numpy as np
import pytest

from fcdd_audit.measures.reliance import Scores
from fcdd_audit.verdict.findings import Evidence, FailedTwin, said_of
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.thresholds import Thresholds

PLANTED, CONTROL = FailedTwin(1, "planted", "it diverged"), FailedTwin(1, "control", "it was killed")
OTHER = FailedTwin(4, "control", "the training ran out of memory")


def scores(drop):
    """Nominal images have 0, anomalous ones 1; the mark lifts nominal ones above them (drop 1) or not (0)."""
    none, one = np.zeros(10), np.ones(10)
    nominal = {("nominal", "clean"): none, ("nominal", "marked"): 2 * drop * one}
    return Scores(none, {**nominal, ("anomalous", "clean"): one, ("anomalous", "marked"): one})


def judged(drops, failed, limits=Thresholds(), **changes):  # noqa: B008 (frozen)
    item = {
        "planted": [scores(drop) for drop in drops],
        "control": [scores(0) for _ in drops],
        "failed": failed,
        **changes,
    }
    (finding,) = judge([Evidence(*"abcd", "anomalous", 1.0, 20, **item, overlaps={}, chance={})], limits)
    return finding


def test_what_failed_is_said_by_twin_seed_and_reason():
    assert said_of([PLANTED]) == "the planted twin of seed 1 has no numbers: it diverged"
    assert said_of([CONTROL, OTHER]) == (
        "the control twin of seed 1 has no numbers: it was killed; "
        "the control twin of seed 4 has no numbers: the training ran out of memory"
    )


def test_the_other_pairs_are_judged_as_if_there_were_no_more():
    finding, alone = judged([1, 1, 1], (PLANTED,)), judged([1, 1, 1], ())
    assert (finding.verdict, finding.reason, finding.seeds) == ("relies", None, 3)
    assert finding.failed == (PLANTED,)
    assert finding.reliance == alone.reliance
    assert finding.minimum_detectable == alone.minimum_detectable
    assert alone.failed == ()


@pytest.mark.parametrize(
    ("left", "failed", "said"),
    [
        (2, (PLANTED,), "2 of 3 pairs are left, and at least 3 are needed: the planted twin of seed 1 has"),
        (2, (PLANTED, CONTROL), "2 of 3 pairs are left"),  # both twins of one pair
        (2, (PLANTED, OTHER), "2 of 4 pairs are left"),
        (0, (PLANTED, CONTROL, OTHER), "0 of 2 pairs are left"),
    ],
)
def test_with_too_few_left_there_is_no_verdict_and_the_reason_counts_pairs(left, failed, said):
    finding = judged([1] * left, failed)
    assert (finding.verdict, finding.seeds, finding.failed) == ("inconclusive", left, failed)
    assert finding.reason.startswith(said)
    assert finding.reason.endswith(said_of(failed))
    assert finding.minimum_detectable is None
    assert (finding.reliance is None) == (left == 0)


def test_how_many_are_needed_is_a_threshold():
    finding = judged([1, 1], (PLANTED,), Thresholds(min_seeds=2))
    assert (finding.verdict, finding.seeds, finding.failed) == ("relies", 2, (PLANTED,))
    assert "at least 4 are needed" in judged([1] * 3, (PLANTED,), Thresholds(min_seeds=4)).reason


def test_too_few_seeds_without_a_failure_have_another_reason():
    assert judged([1, 1], ()).reason == "2 seed(s) give no interval; at least 3 are needed"


def test_json_names_them():
    assert judged([1] * 3, (PLANTED, OTHER)).as_json()["failed"] == [
        {"seed": 1, "twin": "planted", "reason": "it diverged"},
        {"seed": 4, "twin": "control", "reason": "the training ran out of memory"},
    ]


def test_findings_with_and_without_failures_are_judged_together():
    """What has too few pairs left costs the others nothing."""
    items = [
        Evidence(
            *("a", "b", name, "d", "anomalous", 1.0, 20),
            planted=[scores(1)] * left,
            control=[scores(0)] * left,
            overlaps={},
            chance={},
            failed=failed,
        )
        for name, left, failed in (("whole", 3, ()), ("short", 1, (PLANTED, OTHER)), ("none", 0, (PLANTED,)))
    ]
    found = judge(items, Thresholds())
    assert [one.verdict for one in found] == ["relies", "inconclusive", "inconclusive"]
    assert found[0].as_json() == judge(items[:1], Thresholds())[0].as_json()
