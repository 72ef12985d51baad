"""JUnit XML, as a consumer reads it."""

from datetime import datetime, timezone

import junitparser
import pytest
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.gate.criteria import fail_on, max_new_alarms, min_auroc, outcomes
from fcdd_audit.gate.junit import junit_xml

CONFIG = {"finished": "2026-01-02 00:00:30 UTC", "seconds": 74.1}
CRITERIA = [fail_on("relies,vulnerable"), max_new_alarms(0.05), min_auroc(0.9)]
NAMES = st.text(st.characters(), max_size=20)


def parsed(findings, run="run", criteria=CRITERIA):
    (suite,) = junitparser.JUnitXml.fromstring(junit_xml(outcomes(findings, criteria), run, CONFIG))
    return suite


@pytest.fixture
def mixed(a_finding):
    """One that fails, one that can't be told, one that isn't asked and one that passes."""
    return [
        a_finding(verdict="relies", harm="alarms"),
        a_finding(detector="hsc", verdict="inconclusive", missing="pairs", reason="the twins differ"),
        a_finding(detector="ae", verdict="inconclusive", missing="identical", reason="identical"),
        a_finding(detector="dsvdd"),
    ]


def test_a_suite_counts_its_cases_and_has_the_runs_time(mixed):
    suite = parsed(mixed, "retina-watermark", CRITERIA[:1])
    assert suite.name == "fcdd-audit retina-watermark"
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 1, 0, 2)
    assert suite.time == 74.1
    begun = datetime(2026, 1, 1, 23, 59, 15, tzinfo=timezone.utc)
    assert datetime.fromisoformat(suite.timestamp) == begun


def test_a_case_says_what_failed_and_what_can_not_be_told(mixed):
    failed, unclear, unasked, passed = parsed(mixed, criteria=CRITERIA[:1])
    assert failed.classname == "fcdd-audit.run.retina.healthy"
    where = "watermark planted on 100 % of the anomalous training images"
    assert failed.name == f"fcdd: relies on {where}"
    (failure,) = failed.result
    assert isinstance(failure, junitparser.Failure)
    assert failure.message == "relies and raises alarms"
    assert failure.text.splitlines() == [
        f"fcdd: relies on {where}: relies and raises alarms",
        "verdict: relies and raises alarms",
        "new alarms: 2.0 % (1.0 to 3.0 %)",
        "AUROC: 0.950",
        "test images: 907; pairs of twins: 6",
    ]
    assert unclear.is_skipped
    assert unclear.result[0].message == (
        "inconclusive: can't tell: more pairs of twins are needed; the twins differ"
    )
    assert unasked.is_skipped
    assert unasked.result[0].message == "not asked: identical"
    assert passed.is_passed


def test_no_two_cases_are_the_same(a_finding):
    cases = [(case.classname, case.name) for case in parsed([a_finding()] * 3)]
    assert len(set(cases)) == len(cases) == 9
    assert [name.rpartition("images")[2] for _, name in cases] == [""] * 3 + [" (2)"] * 3 + [" (3)"] * 3


def test_the_same_run_gives_the_same_file(mixed):
    first, second = (junit_xml(outcomes(mixed, CRITERIA), "run", CONFIG) for _ in range(2))
    assert first == second


@given(run=NAMES, names=st.tuples(*[NAMES] * 4), reason=NAMES)
def test_any_text_can_be_read_again(a_finding, run, names, reason):
    about = dict(zip(("dataset", "nominal_class", "detector", "probe"), names, strict=True))
    findings = [
        a_finding(**about, verdict="relies", reason=reason),
        a_finding(**about, verdict="inconclusive", reason=reason, alarms=None),
    ]
    suite = ElementTree.fromstring(junit_xml(outcomes(findings, CRITERIA), run, CONFIG))
    cases = [(case.get("classname"), case.get("name")) for case in suite]
    assert len(set(cases)) == len(cases) == 6
    assert int(suite.get("failures")) == len(suite.findall(".//failure"))
    assert int(suite.get("skipped")) == len(suite.findall(".//skipped"))
