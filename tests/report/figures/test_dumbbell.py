import re

import numpy as np
import pandas as pd
import pytest

from fcdd_audit.report.figures import dumbbell, dumbbell_rows
from fcdd_audit.report.figures.dumbbell import pair_values, points


def test_pairs_are_of_the_findings_own_prevalence(finding, results):
    assert pair_values(finding, results) == [(0, 0.9, 0.02), (1, 0.04, 0.08)]


def test_the_control_is_of_the_same_prevalence_where_others_are_planted_in_it(finding, results):
    others = results.assign(prevalence=results["prevalence"].replace(0.0, 0.2))
    further = others[others["twin"] == "control"].assign(prevalence=1.0, value=0.5)
    assert pair_values(finding, pd.concat([others, further])) == [(0, 0.9, 0.02), (1, 0.04, 0.08)]


def test_a_planted_twin_without_a_control_is_no_pair(finding, results):
    lost = results[(results["twin"] != "control") | (results["seed"] != 1)]
    assert [seed for seed, *_ in pair_values(finding, lost)] == [0]


def test_the_numbers_stand_beside_the_marks(finding, results):
    svg = dumbbell([finding], results, "x")
    for text in (
        "FCDD: new alarms",
        "+42 points (7 to 100)",
        "4.7 IQR",
        "0.54",
        "one pair",
    ):
        assert f">{text}<" in svg, text


def test_the_nominal_side_hides_anomalies(finding, results):
    assert "FCDD: newly hidden" in dumbbell([{**finding, "plant_on": "nominal"}], results, "x")


def test_each_pair_is_drawn(finding, results):
    both, one = (dumbbell([finding], cells, "x") for cells in (results, results[results["seed"] == 0]))
    marks = [len(re.findall("<use ", svg)) for svg in (both, one)]
    assert marks[0] - marks[1] == 2


def test_the_table_has_the_means_and_the_pairs(finding, results):
    mean, first, second = dumbbell_rows([finding], results)
    assert mean == {
        "finding": "FCDD",
        "what": "new alarms",
        "pair": "mean",
        "planted": 0.47,
        "control": 0.05,
        "difference": 0.42,
        "from": 0.068,
        "to": 1.0,
        "shift, cut off at 5": 4.67,
        "AUROC drop": 0.54,
    }
    assert list(first) == list(mean)
    assert (first["pair"], first["planted"], first["control"], first["shift, cut off at 5"]) == (
        "seed 0",
        0.9,
        0.02,
        None,
    )
    assert np.isclose(second["difference"], -0.04)


def test_a_finding_without_numbers_says_so(finding, results):
    empty = {**finding, "alarms": None, "dependence": None, "reliance": None, "effects": []}
    assert ">no numbers<" in dumbbell([empty], results[:0], "x")
    (row,) = dumbbell_rows([empty], results[:0])
    assert row["planted"] is row["difference"] is row["shift, cut off at 5"] is None


def test_findings_are_told_apart_by_what_varies(finding, results):
    doses = [finding, {**finding, "prevalence": 1.0}]
    assert [row["finding"] for row in dumbbell_rows(doses, results[:0])] == ["FCDD, 20 %", "FCDD, 100 %"]
    classes = [finding, {**finding, "nominal_class": "dog"}]
    assert [row["finding"] for row in dumbbell_rows(classes, results[:0])] == ["FCDD on cat", "FCDD on dog"]
    sides = [finding, {**finding, "plant_on": "nominal"}]
    assert dumbbell_rows(sides, results[:0])[1]["finding"] == "FCDD, nominal side"


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((0.82, 0.068, 1.0), "+82 points (7 to 100)"),
        ((-0.05, -0.1, 0.001), "−5 points (−10 to 0)"),
        ((0.001, None, None), "0 points"),
        ((None, None, None), "–"),
    ],
)
def test_a_difference_in_points(interval, text):
    assert points(dict(zip(("value", "low", "high"), interval, strict=True))) == text
