import csv
import json
import re
from html import unescape

import pytest

from fcdd_audit.measures.statistics import Interval
from fcdd_audit.report.comparison import write_comparison
from fcdd_audit.studies.compare import Change, Changed
from fcdd_audit.studies.compare.change import Number, Stage

NAN = float("nan")
EVIL = "</script><script>alert(1)</script><b>"


def question(difference=(-0.79, -0.95, -0.6), how="paired", detector="fcdd", **changes):
    number = Number(Interval(0.82, 0.7, 0.9), Interval(0.03, 0.0, 0.1), Interval(*difference))
    about = {
        "dataset": "textures",
        "nominal_class": "grass",
        "probe": "bars",
        "plant_on": "anomalous",
        "before": Stage(detector, 1.0, "relies", "relies and raises alarms", 6),
        "after": Stage(detector, 1.0, "does-not-rely", "does not rely", 6),
        "how": how,
        "alarms": number,
        "dependence": number,
        "control_auroc": Number(*[Interval(0.9, NAN, NAN)] * 2, Interval(0.0, NAN, NAN)),
        "said": f"{detector}: new alarms 82 % before, 3 % after: 79 points fewer (60 to 95)",
    }
    return Changed(**{**about, **changes})


def page_of(folder, *questions, design="twins", differs=(), name="run"):
    runs = [{"run": name, "design": design}] * 2
    found = Change(runs, 0.95, list(differs), list(questions))
    return write_comparison(found, folder).read_text(encoding="utf-8")


def words(text):
    body = re.sub(r"<(script|style|svg).*?</\1>", "", text, flags=re.DOTALL)
    said = " ".join(unescape(re.sub("<.*?>", " ", body)).split())
    return said.replace(" .", ".")


def test_the_page_says_what_changed_and_how_that_is_known(tmp_path):
    differs = [{"setting": "detector.recipe.epochs", "before": 5, "after": None}]
    said = words(page_of(tmp_path, question(), differs=differs))
    assert "New alarms: surely fewer than before." in said
    assert "fcdd: new alarms 82 % before, 3 % after: 79 points fewer (60 to 95)." in said
    assert "Verdict before: relies and raises alarms. After: does not rely." in said
    assert "0.82 (0.70 to 0.90) 0.03 (0.00 to 0.10) −0.79 (−0.95 to −0.60)" in said
    assert "paired by seed, over the 6 pairs of twins that both audits have" in said
    assert "detector.recipe.epochs 5 –" in said


def test_the_headline_counts_questions(tmp_path):
    rows = [question(), question((0.2, 0.1, 0.3)), question((0.0, -0.1, 0.1)), question((0.5, NAN, NAN))]
    said = words(page_of(tmp_path, *rows))
    assert "surely fewer in 1 of 4 questions, surely more in 1, no sure change in 2." in said


@pytest.mark.parametrize(
    ("difference", "said"), [((0.2, 0.1, 0.3), "surely more"), ((0.2, -0.1, 0.3), "no sure change")]
)
def test_the_headline_of_one_question(difference, said, tmp_path):
    assert f"New alarms: {said}" in words(page_of(tmp_path, question(difference)))


def test_of_finished_detectors_images_are_said_not_to_be_paired(tmp_path):
    said = words(page_of(tmp_path, question(how="counts"), design="finished"))
    assert "images not paired: 6 before, 6 after" in said
    assert "Newcombe" in said
    assert "twin" not in said


def test_without_a_difference_in_settings_that_is_said(tmp_path):
    said = words(page_of(tmp_path, question()))
    assert "None: the two audits were asked for with the same settings" in said


def test_names_from_outside_stay_text(tmp_path):
    differs = [{"setting": EVIL, "before": EVIL, "after": [EVIL]}]
    asked = question(detector=EVIL, nominal_class=EVIL), question()
    text = page_of(tmp_path, *asked, differs=differs, name=EVIL)
    assert "<script>alert" not in text
    embedded = re.search(r'<script type="application/json" id="comparison">(.*?)</script>', text, re.DOTALL)
    content = json.loads(embedded.group(1))
    assert content["kind"] == "change"
    assert content == json.loads((tmp_path / "comparison.json").read_text())


def test_the_table_has_a_number_a_row(tmp_path):
    page_of(tmp_path, question())
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["metric"], row["stage"]): row for row in csv.DictReader(file)}
    assert len(rows) == 9
    assert rows["alarms", "difference"]["low"] == "-0.95"
    assert rows["control_auroc", "before"]["low"] == ""


def test_nothing_points_outside_the_file_and_ids_are_unique(tmp_path):
    text = page_of(tmp_path, question())
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
