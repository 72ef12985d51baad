"""What the page and the terminal say of remedies."""

import pytest

from fcdd_audit.report.remedies import HEAD, limits_words, mended, remedy_tables


def interval(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def change(before, after, low=None, high=None):
    return {
        "before": interval(before),
        "after": interval(after),
        "difference": interval(after - before, low, high),
    }


def a_remedy(name="balance", **changed):
    return {
        "remedy": name,
        "does": f"what {name} does",
        "unfit": None,
        "pairs": 8,
        "removed": interval(0.912, 0.78, 1.0),
        "shift": change(3.0, 0.264),
        "auroc": change(0.93, 0.921, -0.02, 0.002),
        "recall": change(0.6, 0.55, -0.1, 0.0),
        "alarms": change(0.9, 0.05),
        "heat": change(0.7, 0.125),
        "explainer": "native",
        "others": [],
        "minutes": [0.5, 0.6],
        "failed": [],
        **changed,
    }


UNFIT = {
    **a_remedy("drop", unfit="every anomalous training image bears the artifact", pairs=0),
    **dict.fromkeys(("removed", "shift", "auroc", "recall", "alarms", "heat", "explainer", "minutes")),
}
SAID = "balance removes 91 % (78 to 100) of it"


def finding_with(a_finding, *remedies, answer="mended", remedy="balance"):
    return a_finding(
        verdict="relies",
        remedies=list(remedies),
        mending={"answer": answer, "remedy": remedy, "said": SAID, "chosen_on": 8, "checked_on": 8},
    )


def test_a_remedy_is_a_row_with_before_and_after(a_finding):
    (table,) = remedy_tables([finding_with(a_finding, UNFIT, a_remedy())], [""])
    assert table.about == "FCDD"
    assert table.said == f"yes: {SAID}."
    assert table.explainer == "native"
    drop, balance = table.rows
    assert (drop.cells, drop.recommended) == ((), False)
    assert drop.unfit == "every anomalous training image bears the artifact"
    assert balance.recommended
    assert dict(zip(HEAD[1:], balance.cells, strict=True)) == {
        "removed": "91 % (78 to 100)",
        "shift": "3.00 → 0.26",
        "AUROC": "0.930 → 0.921; change −0.009 (−0.020 to 0.002)",
        "caught": "60 % → 55 %; change −5 (−10 to 0) points",
        "new alarms": "90 % → 5 %",
        "heat on it": "70 % → 12 %",
        "other artifacts": "–",
        "minutes": "0.5 → 0.6",
    }


@pytest.mark.parametrize(("answer", "ticked"), [("mended", True), ("open", False), ("none", False)])
def test_only_what_surely_mends_is_ticked(a_finding, answer, ticked):
    (table,) = remedy_tables([finding_with(a_finding, a_remedy(), answer=answer)], [""])
    assert table.rows[0].recommended == ticked


def test_what_it_does_to_other_artifacts_stands_beside_it(a_finding):
    cue = {"artifact": "disc", "shift": change(0.1, 0.9), "rise": interval(0.8, 0.5, 1.1)}
    one = a_remedy(others=[cue], removed=None, heat=None)
    (table,) = remedy_tables([finding_with(a_finding, one)], ["20 % of the images"])
    cells = dict(zip(HEAD[1:], table.rows[0].cells, strict=True))
    assert table.about == "FCDD, 20 % of the images"
    assert cells["other artifacts"] == "disc 0.10 → 0.90: 0.80 (0.50 to 1.10) further"
    assert (cells["removed"], cells["heat on it"]) == ("–", "–")


def test_the_first_screen_says_whether_it_is_mended(a_finding):
    yes = finding_with(a_finding, a_remedy())
    unsure = finding_with(a_finding, a_remedy(), answer="open")
    no = finding_with(a_finding, a_remedy(), answer="none", remedy=None)
    labels = ["", "a", "b"]
    assert mended([yes, unsure, no], labels) == [
        f"FCDD: yes: {SAID}.",
        f"FCDD, a: not sure yet: {SAID}.",
        f"FCDD, b: no: {SAID}.",
    ]


def test_where_there_was_nothing_to_mend_it_says_so_and_without_remedies_nothing(a_finding):
    nothing = finding_with(a_finding, answer="nothing", remedy=None)
    assert mended([nothing], [""]) == ["There is nothing to mend: no detector surely relies on it."]
    for older in (a_finding(), a_finding(remedies=[], mending=None)):
        assert mended([older], [""]) == []
        assert remedy_tables([older], [""]) == []


def test_where_it_relies_and_nothing_was_tried_the_command_is_said(a_finding):
    (said,) = mended([a_finding(verdict="relies"), a_finding()], ["", ""])
    assert "fcdd-audit remedy RUN --how all" in said


def test_the_rule_is_said():
    assert limits_words() == (
        "under 25 % of the shift is left, the AUROC falls by no more than 0.02, and no other artifact moves "
        "the score further by more than 0.1"
    )
