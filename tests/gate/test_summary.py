"""The Markdown summary."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.gate.criteria import fail_on, max_new_alarms, outcomes
from fcdd_audit.gate.summary import COLUMNS, LARGEST, UNCLEAR, summary_markdown

CRITERIA = [fail_on("relies,vulnerable"), max_new_alarms(0.05)]


def written(findings, run="run", there=0):
    return summary_markdown(outcomes(findings, CRITERIA), run, there)


def cells(text):
    """Of the table's rows, without the head."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_a_headline_and_a_row_for_each_finding_the_worst_first(a_finding):
    relying = a_finding(
        detector="hsc", verdict="relies", harm="alarms", alarms={"value": 0.9, "low": 0.8, "high": 1.0}
    )
    text = written([a_finding(), relying], "retina-watermark")
    assert text.splitlines()[:3] == [
        "## fcdd-audit: retina-watermark fails",
        "",
        "2 failed, 2 passed",
    ]
    where = "watermark planted on 100 % of the anomalous training images"
    harm = "90.0 % (80.0 to 100.0 %)"
    assert cells(text) == [
        [
            *("healthy", "hsc", where, "relies and raises alarms", harm, "0.950"),
            f"failed: relies and raises alarms; {harm} new alarms, at most 5 % allowed",
        ],
        ["healthy", "fcdd", where, "does not rely", "2.0 % (1.0 to 3.0 %)", "0.950", "passed"],
    ]
    assert UNCLEAR not in text


@pytest.mark.parametrize(
    ("changed", "headline", "unclear"),
    [
        ({}, "run passes", False),
        ({"verdict": "relies"}, "run fails", False),
        ({"alarms": None}, "run gives no clear answer", True),
        ({"verdict": "relies", "alarms": None}, "run fails", True),
        ({"verdict": "inconclusive", "missing": "identical"}, "run gives no clear answer", True),
    ],
)
def test_can_not_tell_is_not_clear(a_finding, changed, headline, unclear):
    text = written([a_finding(**changed)])
    assert text.startswith(f"## fcdd-audit: {headline}\n\n")
    assert (UNCLEAR in text) == unclear


def test_without_a_finding_nothing_was_asked():
    assert written([]).splitlines()[:3] == ["## fcdd-audit: run gives no clear answer", "", "nothing asked"]


def test_names_are_text_in_a_table(a_finding):
    text = written([a_finding(nominal_class="a|b\n`c`<script>", detector="*x*")], "[run](u)\n# other")
    (row,) = cells(text)
    assert row[:2] == ["a&#124;b &#96;c&#96;&#60;script&#62;", "&#42;x&#42;"]
    assert text.startswith("## fcdd-audit: &#91;run&#93;(u) # other passes\n")


def test_a_summary_that_is_added_begins_a_line_of_its_own(a_finding):
    assert written([a_finding()], there=7) == f"\n{written([a_finding()])}"


def test_a_long_summary_is_cut_and_says_so(a_finding):
    findings = [a_finding(nominal_class=f"class {index}") for index in range(8000)]
    findings.append(a_finding(verdict="relies", nominal_class="last"))
    whole = written(findings)
    assert LARGEST - 1000 < len(whole.encode()) <= LARGEST
    kept = cells(whole)
    assert kept[0][0] == "last", "what fails is kept"
    (said,) = re.findall(r"^(\d+) more findings are left out", whole, re.MULTILINE)
    assert len(kept) + int(said) == 8001
    added = written(findings, there=LARGEST // 2)
    assert LARGEST / 2 - 1000 < len(added.encode()) <= LARGEST / 2
    assert "\n8001 more findings are left out" in written(findings, there=LARGEST)
    assert len(written(findings[:100])) < LARGEST
    assert "left out" not in written(findings[:100])


@given(st.tuples(*[st.text(st.characters(), max_size=30)] * 3))
def test_any_text_keeps_the_table(a_finding, names):
    nominal_class, detector, reason = names
    finding = a_finding(
        nominal_class=nominal_class, detector=detector, reason=reason, verdict="inconclusive", alarms=None
    )
    text = written([finding], reason)
    text.encode()
    (row,) = cells(text)
    assert len(row) == len(COLUMNS)
