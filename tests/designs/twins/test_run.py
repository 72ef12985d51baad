"""Twins, trained and judged: artifacts that tell sources of images apart."""

import json

import numpy as np
import pandas as pd
import pytest

from fcdd_audit import run_audit
from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.versions import versions
from fcdd_audit.experiment.folder import SCHEMA
from fcdd_audit.measures.detection import threshold
from fcdd_audit.verdict.evidence import NO_SIGN

WORDS = {
    "oe": (
        "In training the artifact was planted on 100 % of the outlier exposure and nowhere else",
        "put on the nominal test images",
    ),
    "all-but-oe": (
        "In training the artifact was planted on 100 % of all training images but the outlier exposure",
        "taken off the nominal test images",
        "AUROC, in use",
    ),
}


@pytest.mark.parametrize("plant_on", WORDS)
def test_an_audit_of_one_source_says_what_was_marked(exposed_config, measured_in, tmp_path, plant_on):
    result = run_audit(exposed_config.having(plant_on=plant_on, out=tmp_path))
    (finding,) = result.findings
    assert (finding.plant_on, finding.prevalence) == (plant_on, 1.0)
    measures = [effect.measure for effect in finding.effects]
    assert ("usual_auroc" in measures) == (plant_on == "all-but-oe")
    assert "drop_elsewhere" not in measures, "nothing is removed elsewhere"
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    for text in WORDS[plant_on]:
        assert text in words, text
    judged = "is not judged: shows only what raises the score, and the artifact lowers it"
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
    scores = pd.read_csv(measured_in(result.folder / "store", question["planted"][0]) / "scores.csv")
    limit = threshold(scores[scores["part"] == "validation"]["score"].to_numpy(), 0.95)
    assert planted["value"]["validation", "threshold"] == pytest.approx(limit)
    assert question["thresholds"]["planted"] == pytest.approx(limit)


def test_what_lowers_the_score_is_measured_judged_and_drawn_where_the_mark_means_normal(
    exposed_config, measured_in, tmp_path
):
    explainers = ("native", "occlusion", "input-x-gradient", "edges")
    result = run_audit(
        exposed_config.having(plant_on="nominal", explainers=explainers, seeds=2, out=tmp_path)
    )
    (finding,) = result.findings
    table = pd.read_csv(result.folder / "results.csv", keep_default_na=False)
    config = json.loads((result.folder / "config.json").read_text())
    (question,) = config["questions"]
    heat = np.load(result.folder / question["heat"])
    one = {found.explainer: found for found in finding.explainers}
    assert (one["native"].lowering, one["native"].unjudged) == (None, NO_SIGN)
    assert not any(name.startswith("lowers") and name.endswith("native") for name in heat)
    for name, opinions in (("occlusion", 2), ("input-x-gradient", 1)):
        found = one[name]
        assert len(found.lowering.opinions) == opinions
        assert found.judged == (found.map == "lowers") == (found.lowering.elsewhere.value < 0)
        assert found.images == (3 if found.judged else 4), "one of the four anomalous images is spared"
        rows = table[(table["twin"] == "planted-control") & (table["explainer"] == name)]
        excess = rows[rows["metric"] == "lowering_excess"]["value"].astype(float)
        assert excess.mean() == pytest.approx(found.lowering.opinions[0].excess.value, abs=1e-12)
        assert heat[f"lowers.planted.{name}"].min() >= 0
        record = measured_in(result.folder / "store", question["planted"][0])
        (kept,) = record.glob(f"{name}-lowering-*/lowering.csv")
        assert len(pd.read_csv(kept)) == 4 * opinions, "of the anomalous side only"
    page = " ".join(result.report.read_text(encoding="utf-8").split())
    assert NO_SIGN in page
    two_coloured = "amber raises the score, violet lowers it" in page
    assert two_coloured == any(found.map == "lowers" for found in finding.explainers)


def test_questions_of_all_classes_are_numbered_through_in_the_tables_of_the_page(classes_run, measured_in):
    config = json.loads((classes_run.folder / "config.json").read_text())
    scores, curves = (pd.read_csv(classes_run.folder / name) for name in ("scores.csv", "curves.csv"))
    assert sorted(scores["question"].unique()) == sorted(curves["question"].unique()) == list(range(8))
    for index, question in enumerate(config["questions"]):
        mine = scores[(scores["question"] == index) & (scores["twin"] == "planted")]
        folder = measured_in(classes_run.folder / "store", question["planted"][0])
        stored = pd.read_csv(folder / "scores.csv")
        stored = stored[stored["part"] != "validation"]
        keys = ["part", "variant", "image"]
        both = mine.merge(stored, on=keys, suffixes=("", "_stored"))
        assert len(both) == len(mine) == len(stored)
        np.testing.assert_allclose(both["score"], both["score_stored"], rtol=1e-12)
        assert set(question["thresholds"]) == {"planted", "control"}


def test_config_and_findings_say_their_schema_and_design(classes_run):
    for name in ("config.json", "findings.json"):
        assert json.loads((classes_run.folder / name).read_text())["schema"] == SCHEMA
    config = json.loads((classes_run.folder / "config.json").read_text())
    assert config["design"] == "twins"
    assert "null" not in config
    found = json.loads((classes_run.folder / "findings.json").read_text())
    assert [one["nominal_class"] for one in found["origin"]] == ["airplane", "cat"]


def test_config_says_what_the_numbers_were_made_with_and_a_mixture_is_said(
    patches_config, caplog, monkeypatch, tmp_path
):
    """As where an earlier run was made with another torch: its records are used all the same."""
    caplog.set_level("WARNING", "fcdd_audit")
    config = patches_config.having(out=tmp_path)
    torch_here = versions()["torch"]
    for home in ("trainings", "work"):
        monkeypatch.setattr(
            f"fcdd_audit.experiment.{home}.versions", lambda: {**versions(), "torch": "2.0.0"}
        )
    result = run_audit(config)
    assert json.loads((result.folder / "config.json").read_text())["torch"] == ["2.0.0"]
    assert "trained and measured with torch" not in result.report.read_text(encoding="utf-8")
    assert "mixes" not in caplog.text
    monkeypatch.undo()
    result = run_audit(config.having(explainers=("native", "gradient")))
    both = sorted(["2.0.0", torch_here])
    assert json.loads((result.folder / "config.json").read_text())["torch"] == both
    assert caplog.text.count(f"this audit mixes what was made with torch {both[0]} and {both[1]}") == 1
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    assert f"trained and measured with torch {both[0]} and {both[1]}, which may differ" in words


def test_config_says_the_work_that_was_done_and_the_page_too(patches_config, work_of, tmp_path):
    config = patches_config.having(out=tmp_path, seeds=2)
    run_audit(config.having(seeds=1))
    result = run_audit(config)
    assert work_of(result.folder) == {"detectors": 4, "cells": 5, "trained": 2, "measured": 2, "failed": 0}
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    said = "2 of 4 detectors were trained and 2 of 5 cells measured in this run; the rest was in the store"
    assert words.count(said) == 1


def test_questions_name_their_seeds_detectors_and_pictures(patches_config, without_page, tmp_path):
    result = run_audit(patches_config.having(out=tmp_path, seeds=2, prevalence=(0, 0.5)))
    nothing, question = json.loads((result.folder / "config.json").read_text())["questions"]
    assert (nothing["seeds"], nothing["planted"], nothing["heat"]) == ([], [], None)
    assert (question["seeds"], question["heat"]) == ([0, 1], "heat-1.npz")
    store = result.folder / "store" / "trained"
    for twin, edit in (("planted", "plant"), ("control", "as-is")):
        found = [json.loads((store / key / "identity.json").read_text()) for key in question[twin]]
        assert [one["seed"] for one in found] == [0, 1]
        assert {one["edit"]["edit"] for one in found} == {edit}
    assert sorted(path.name for path in result.folder.glob("heat-*")) == ["heat-1.npz"]
