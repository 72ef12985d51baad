"""Twins without numbers: their pairs don't count, and findings say so."""

import numpy as np
import pytest

from fcdd_audit.verdict.evidence import Evidence
from fcdd_audit.verdict.findings import FailedTwin, said_of
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.looks import single_look
from fcdd_audit.verdict.thresholds import Thresholds

PLANTED, CONTROL = FailedTwin(1, "planted", "it diverged"), FailedTwin(1, "control", "it was killed")
OTHER = FailedTwin(4, "control", "the training ran out of memory")


def evidence(turns, failed, shift=2.0, alarms=0.0):
    """Pairs of these turns; the planted twins' scores shift, or raise alarms."""
    numbers = {
        "clean_auroc": (1, 1),
        "drop": (0, 0),
        "score_shift": (shift, 0),
        "new_alarms": (alarms, 0),
        "right_in_use": (1, 1),
    }
    scores = {
        name: tuple(np.broadcast_to(np.asarray(one, float), len(turns)) for one in both)
        for name, both in numbers.items()
    }
    return Evidence(
        *("retina", "eyes", "fcdd", "frame", "anomalous", 1.0, 20),
        scores=scores if turns else {},
        turns=tuple(turns),
        looks=single_look(6) if turns else (),
        failed=failed,
    )


def judged(turns, failed, limits=Thresholds()):  # noqa: B008 (frozen)
    (finding,) = judge([evidence(turns, failed)], limits)
    return finding


def test_what_failed_is_said_by_twin_seed_and_reason():
    assert said_of([PLANTED]) == "the planted twin of seed 1 has no numbers: it diverged"
    assert said_of([CONTROL, OTHER]) == (
        "the control twin of seed 1 has no numbers: it was killed; "
        "the control twin of seed 4 has no numbers: the training ran out of memory"
    )
    assert said_of([PLANTED, FailedTwin(3, "planted", "it diverged")]) == (
        "the planted twins of seeds 1, 3 have no numbers: it diverged"
    )


def test_the_other_pairs_are_judged_as_if_there_were_no_more():
    finding, alone = judged((0, 2, 3), (PLANTED,)), judged((0, 1, 2), ())
    assert (finding.verdict, finding.reason, finding.missing) == ("relies", None, None)
    assert (finding.seeds, finding.looks, finding.failed) == (3, (6,), (PLANTED,))
    assert finding.dependence == alone.dependence
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
    finding = judged((2, 3)[:left], failed)
    assert (finding.verdict, finding.missing) == ("inconclusive", "failed-pairs")
    assert (finding.seeds, finding.failed) == (left, failed)
    assert finding.reason.startswith(said)
    assert finding.reason.endswith(said_of(failed))
    assert (finding.dependence is None) == (left == 0)
    assert not finding.settled, "further pairs may not fail"


def test_how_many_are_needed_is_a_threshold():
    finding = judged((0, 2), (PLANTED,), Thresholds(min_seeds=2))
    assert (finding.verdict, finding.seeds, finding.failed) == ("relies", 2, (PLANTED,))
    assert "at least 4 are needed" in judged((0, 2, 3), (PLANTED,), Thresholds(min_seeds=4)).reason


def test_too_few_pairs_without_a_failure_have_another_reason():
    finding = judged((0, 1), ())
    assert finding.reason == "2 pair(s) give no interval; at least 3 are needed"
    assert finding.missing == "pairs"


def test_json_names_them():
    assert judged((0, 2, 3), (PLANTED, OTHER)).as_json()["failed"] == [
        {"seed": 1, "twin": "planted", "reason": "it diverged"},
        {"seed": 4, "twin": "control", "reason": "the training ran out of memory"},
    ]


def test_findings_with_and_without_failures_are_judged_together():
    whole = evidence((0, 1, 2), ())
    found = judge([whole, evidence((0,), (PLANTED, OTHER)), evidence((), (PLANTED,)), whole], Thresholds())
    assert [one.verdict for one in found] == ["relies", "inconclusive", "inconclusive", "relies"]
    assert found[1].dependence.value == 2
    assert found[2].dependence is None


def test_what_failed_was_asked_all_the_same():
    """Mean 2, standard error sqrt(1 / 6): p = .0175, which is enough for one of one, not of two."""
    doubtful = evidence((0, 1, 2, 3), (), shift=[1, 2, 3, 2], alarms=0.2)
    assert judge([doubtful], Thresholds())[0].verdict == "relies"
    assert judge([doubtful, evidence((0,), (PLANTED,))], Thresholds())[0].verdict == "inconclusive"
