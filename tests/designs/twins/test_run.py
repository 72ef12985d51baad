"""Twins, trained and judged: artifacts that tell sources of images apart."""

import json

import numpy as np
import pandas as pd
import pytest

from fcdd_audit import run_audit
from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.measures.detection import threshold

WORDS = {
    "oe": (
        "In training it was planted on 100 % of the outlier exposure and nowhere else",
        "put on the nominal test images",
    ),
    "all-but-oe": (
        "In training it was planted on 100 % of all training images but the outlier exposure",
        "taken off the nominal test images",
        "AUROC, in use",
    ),
}


@pytest.mark.parametrize("plant_on", WORDS)
def test_an_audit_of_one_source_says_what_was_marked(exposed_config, tmp_path, plant_on):
    result = run_audit(exposed_config.having(plant_on=plant_on, out=tmp_path))
    (finding,) = result.findings
    assert (finding.plant_on, finding.prevalence) == (plant_on, 1.0)
    measures = [effect.measure for effect in finding.effects]
    assert ("usual_auroc" in measures) == (plant_on == "all-but-oe")
    assert "drop_elsewhere" not in measures, "nothing is removed elsewhere"
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    for text in WORDS[plant_on]:
        assert text in words, text
    judged = "is not judged: the artifact lowers the score"
    assert (judged in words) == (DIRECTIONS[plant_on].side == "nominal")

    table = pd.read_csv(result.folder / "results.csv", keep_default_na=False)
    assert "elsewhere" not in set(table["split"])
    planted = table[(table["twin"] == "planted") & (table["explainer"] == "")].set_index(["split", "metric"])
    auroc = {split: planted["value"][split, "auroc"] for split in ("clean", "marked", "conflict")}
    usual = auroc["marked" if plant_on == "all-but-oe" else "clean"]
    assert planted["value"]["conflict", "drop"] == pytest.approx(usual - auroc["conflict"], abs=1e-12)
    assert finding.planted_auroc == pytest.approx(usual, abs=1e-12)
    (question,) = json.loads((result.folder / "config.json").read_text())["questions"]
    assert question["bearing"] is None
    scores = pd.read_csv(result.folder / "cells" / question["planted"][0] / "scores.csv")
    limit = threshold(scores[scores["part"] == "validation"]["score"].to_numpy(), 0.95)
    assert planted["value"]["validation", "threshold"] == pytest.approx(limit)
    assert question["thresholds"]["planted"] == pytest.approx(limit)


def test_questions_of_all_classes_are_numbered_through_in_the_tables_of_the_page(classes_run):
    config = json.loads((classes_run.folder / "config.json").read_text())
    scores, curves = (pd.read_csv(classes_run.folder / name) for name in ("scores.csv", "curves.csv"))
    assert sorted(scores["question"].unique()) == sorted(curves["question"].unique()) == list(range(8))
    for index, question in enumerate(config["questions"]):
        mine = scores[(scores["question"] == index) & (scores["twin"] == "planted")]
        stored = pd.read_csv(classes_run.folder / "cells" / question["planted"][0] / "scores.csv")
        stored = stored[stored["part"] != "validation"]
        keys = ["part", "variant", "image"]
        both = mine.merge(stored, on=keys, suffixes=("", "_stored"))
        assert len(both) == len(mine) == len(stored)
        np.testing.assert_allclose(both["score"], both["score_stored"], rtol=1e-12)
        assert set(question["thresholds"]) == {"planted", "control"}


def test_config_and_findings_say_their_schema_and_design(classes_run):
    for name in ("config.json", "findings.json"):
        assert json.loads((classes_run.folder / name).read_text())["schema"] == 4
    config = json.loads((classes_run.folder / "config.json").read_text())
    assert config["design"] == "twins"
    assert "null" not in config
    found = json.loads((classes_run.folder / "findings.json").read_text())
    assert [one["nominal_class"] for one in found["origin"]] == ["airplane", "cat"]
