"""Criteria, outcomes and exit codes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.gate.criteria import (
    Outcome,
    exit_code,
    fail_on,
    max_new_alarms,
    min_auroc,
    outcomes,
    overall,
)

SEVERITY = {"passed": 0, "inconclusive": 1, "failed": 2}
RESULTS = st.sampled_from([*SEVERITY, "not asked"])


def results(findings, *criteria):
    return [outcome.result for outcome in outcomes(findings, criteria)]


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def resulted(names):
    return [Outcome({}, None, "asked", name, "said") for name in names]


# The verdict


@pytest.mark.parametrize(
    ("words", "design", "verdict", "result"),
    [
        ("relies", "twins", "relies", "failed"),
        ("relies", "twins", "inconclusive", "inconclusive"),
        ("relies", "twins", "does-not-rely", "passed"),
        ("relies", "finished", "vulnerable", "not asked"),
        ("vulnerable", "twins", "relies", "not asked"),
        ("vulnerable", "finished", "vulnerable", "failed"),
        ("vulnerable", "finished", "robust", "passed"),
        ("vulnerable", "finished", "inconclusive", "inconclusive"),
        (" vulnerable ,relies,relies,", "twins", "relies", "failed"),
        ("relies,vulnerable", "finished", "vulnerable", "failed"),
    ],
)
def test_a_verdict_fails_if_it_is_listed(a_finding, words, design, verdict, result):
    assert results([a_finding(verdict=verdict, design=design)], fail_on(words)) == [result]


def test_what_an_audit_cannot_find_is_no_pass(a_finding):
    found = outcomes([a_finding(verdict="vulnerable", design="finished")], [fail_on("relies")])
    assert exit_code(found) == 3


def test_a_finished_detector_is_named_with_the_side_that_was_tested(a_finding):
    finding = a_finding(
        design="finished",
        plant_on="found-on-nominal",
        prevalence=None,
        verdict="robust",
        finished={"side": "anomalous"},
    )
    (found,) = outcomes([finding], [fail_on("vulnerable")])
    assert "on anomalous test images" in found.name


def test_the_verdict_is_said_in_words_with_what_is_missing(a_finding):
    (failed,) = outcomes([a_finding(verdict="relies", harm="alarms")], [fail_on("relies")])
    assert failed.said == "relies and raises alarms"
    lacking = a_finding(verdict="inconclusive", missing="pairs", pairs_needed=12, reason="the twins\ndiffer")
    (unclear,) = outcomes([lacking], [fail_on("relies")])
    assert unclear.said == "can't tell: about 12 pairs of twins are needed; the twins differ"


def test_a_control_that_learned_too_little_is_said_first_and_changes_no_result(a_finding):
    training = {"said": "the control twins detect little"}
    (clear,) = outcomes([a_finding(verdict="does-not-rely", training=training)], [fail_on("relies")])
    assert clear.result == "passed"
    assert clear.said == "the control twins detect little; does not rely"
    lacking = a_finding(
        verdict="inconclusive", missing="training", reason=training["said"], training=training
    )
    (unclear,) = outcomes([lacking], [fail_on("relies")])
    assert unclear.said == "can't tell: the training wasn't enough; the control twins detect little"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("relise", ["--fail-on", "'relise'", "did you mean 'relies'?", "known: relies, vulnerable"]),
        ("relies,robust", ["unknown verdict 'robust'", "known: relies, vulnerable"]),
        (" , ", ["--fail-on names no verdict", "relies, vulnerable"]),
        ("", ["--fail-on names no verdict"]),
    ],
)
def test_an_unknown_verdict_is_refused(refused, words, parts):
    with refused(*parts):
        fail_on(words)


# New alarms


@pytest.mark.parametrize(
    ("low", "high", "result"),
    [
        (0.06, 0.2, "failed"),
        (0.05, 0.2, "inconclusive"),
        (0.01, 0.06, "inconclusive"),
        (0.01, 0.05, "passed"),
        (-0.1, 0.0, "passed"),
        (None, None, "inconclusive"),
    ],
)
def test_new_alarms_fail_if_they_are_surely_above_the_limit(a_finding, low, high, result):
    finding = a_finding(alarms=interval(0.04, low, high))
    assert results([finding], max_new_alarms(0.05)) == [result]


def test_new_alarms_are_said_with_interval_and_limit(a_finding):
    (outcome,) = outcomes([a_finding(alarms=interval(0.061, 0.02, 0.115))], [max_new_alarms(0.05)])
    assert outcome.said == "6.1 % (2.0 to 11.5 %) new alarms, at most 5 % allowed"
    (alone,) = outcomes([a_finding(alarms=interval(0.061, None, None))], [max_new_alarms(0.05)])
    assert alone.said == "6.1 % new alarms, at most 5 % allowed; there is no interval"


def test_an_artifact_on_the_nominal_side_hides_anomalies(a_finding):
    (outcome,) = outcomes([a_finding(plant_on="nominal")], [max_new_alarms(0.05)])
    assert outcome.said == "2.0 % (1.0 to 3.0 %) anomalies newly hidden, at most 5 % allowed"


def test_without_a_number_of_alarms_it_is_inconclusive(a_finding):
    unmeasured = a_finding(alarms=None, verdict="inconclusive", reason="the detector doesn't detect")
    (outcome,) = outcomes([unmeasured], [max_new_alarms(1)])
    assert (outcome.result, outcome.said) == ("inconclusive", "the detector doesn't detect")
    (unsaid,) = outcomes([a_finding(alarms=None)], [max_new_alarms(1)])
    assert (unsaid.result, unsaid.said) == ("inconclusive", "no number of new alarms")


# AUROC


@pytest.mark.parametrize(
    ("auroc", "result", "said"),
    [
        (0.8, "failed", "AUROC 0.800, at least 0.9 needed"),
        (0.9, "passed", "AUROC 0.900, at least 0.9 needed"),
        (None, "inconclusive", "no AUROC"),
    ],
)
def test_a_detector_fails_that_detects_too_little(a_finding, auroc, result, said):
    (outcome,) = outcomes([a_finding(control_auroc=auroc)], [min_auroc(0.9)])
    assert (outcome.result, outcome.said) == (result, said)


@pytest.mark.parametrize("limit", [-0.01, 1.01, float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("criterion", "option"), [(max_new_alarms, "--max-new-alarms"), (min_auroc, "--min-auroc")]
)
def test_a_limit_is_a_share(refused, criterion, option, limit):
    with refused(option, "give a share from 0 to 1"):
        criterion(limit)


# All criteria at all findings


def test_every_criterion_is_applied_to_every_finding(a_finding):
    findings = [a_finding(), a_finding(detector="hsc", verdict="relies", control_auroc=0.8)]
    criteria = [fail_on("relies"), max_new_alarms(0.05), min_auroc(0.9)]
    found = outcomes(findings, criteria)
    assert [(one.finding["detector"], one.criterion.name) for one in found] == [
        (detector, name)
        for detector in ("fcdd", "hsc")
        for name in ("fail-on", "max-new-alarms", "min-auroc")
    ]
    assert [one.result for one in found] == ["passed"] * 3 + ["failed", "passed", "failed"]


def test_identical_twins_are_not_asked(a_finding):
    identical = a_finding(
        verdict="inconclusive", missing="identical", reason="identical by construction", alarms=None
    )
    found = outcomes([identical, a_finding()], [fail_on("relies"), min_auroc(0.9)])
    assert [one.result for one in found] == ["not asked", "passed", "passed"]
    assert found[0].said == "identical by construction"
    assert exit_code(found) == 0
    alone = outcomes([identical], [fail_on("relies")])
    assert (overall(alone), exit_code(alone)) == ("inconclusive", 3)


def test_without_a_finding_it_is_inconclusive():
    assert exit_code(outcomes([], [fail_on("relies")])) == 3


def test_questions_are_in_words(a_finding):
    criteria = [fail_on("relies,vulnerable"), max_new_alarms(0.05), min_auroc(0.9)]
    where = "watermark planted on 20 % of the anomalous training images"
    assert [one.name for one in outcomes([a_finding(prevalence=0.2)], criteria)] == [
        f"fcdd: relies on {where}",
        f"fcdd: new alarms by {where}",
        f"fcdd: AUROC with no {where}",
    ]
    finished = a_finding(design="finished", prevalence=None, plant_on="nominal", detector="a\nb")
    assert [one.name for one in outcomes([finished], criteria)] == [
        "a b: is vulnerable to watermark on anomalous test images",
        "a b: anomalies newly hidden by watermark on anomalous test images",
        "a b: AUROC with no watermark on anomalous test images",
    ]
    (other,) = outcomes([finished], [fail_on("relies")])
    assert other.name == "a b: relies on watermark on anomalous test images"


@pytest.mark.parametrize("prevalence", [0.05, 1.0, None])
@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_there_are_words_for_every_direction(a_finding, plant_on, prevalence):
    finding = a_finding(plant_on=plant_on, prevalence=prevalence)
    assert results([finding], fail_on("relies"), max_new_alarms(0.05)) == ["passed", "passed"]


def test_an_outcome_can_be_read_by_a_machine(a_finding):
    (outcome,) = outcomes([a_finding()], [min_auroc(0.99)])
    assert outcome.as_json() == {
        "dataset": "retina",
        "nominal_class": "healthy",
        "detector": "fcdd",
        "probe": "watermark",
        "plant_on": "anomalous",
        "prevalence": 1.0,
        "criterion": "min-auroc",
        "limit": 0.99,
        "name": "fcdd: AUROC with no watermark planted on 100 % of the anomalous training images",
        "result": "failed",
        "said": "AUROC 0.950, at least 0.99 needed",
    }


# Exit codes


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["passed"], 0),
        (["passed", "not asked"], 0),
        (["passed", "inconclusive"], 3),
        (["passed", "inconclusive", "failed"], 1),
        (["not asked"], 3),
        ([], 3),
    ],
)
def test_the_worst_result_gives_the_exit_code(names, code):
    for order in itertools.permutations(names):
        assert exit_code(resulted(order)) == code


@given(st.lists(RESULTS), RESULTS)
def test_one_more_outcome_never_makes_it_better(names, more):
    if any(name != "not asked" for name in names):
        assert SEVERITY[overall(resulted([*names, more]))] >= SEVERITY[overall(resulted(names))]


@given(st.tuples(*[st.floats(0, 1)] * 2).map(sorted), st.tuples(*[st.floats(-1, 1)] * 3).map(sorted))
def test_a_stricter_limit_never_makes_it_better(a_finding, limits, numbers):
    low, value, high = numbers
    finding = a_finding(alarms=interval(value, low, high), control_auroc=abs(value))
    (strict,), (lax,) = (results([finding], max_new_alarms(limit)) for limit in limits)
    assert SEVERITY[strict] >= SEVERITY[lax]
    (lax,), (strict,) = (results([finding], min_auroc(limit)) for limit in limits)
    assert SEVERITY[strict] >= SEVERITY[lax]
