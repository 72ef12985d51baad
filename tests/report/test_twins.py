"""What the page shows of twins besides config.json and findings.json."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fcdd_audit import render_report
from fcdd_audit.experiment.folder import RunFolder
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.report.display import shown_limits
from fcdd_audit.report.twins import context


@pytest.fixture(scope="module")
def shown(classes_run):
    run = RunFolder(classes_run.folder)
    config, found = (json.loads((run.path / f"{name}.json").read_text()) for name in ("config", "findings"))
    return found, context(run, config, found)


def test_each_class_and_detector_with_several_prevalences_has_a_curve(shown):
    assert [(dose["name"], dose["side"]) for dose in shown[1]["doses"]] == [
        ("FCDD on airplane", "anomalous"),
        ("AE on airplane", "nominal"),
        ("FCDD on cat", "anomalous"),
        ("AE on cat", "nominal"),
    ]


def test_every_cell_has_a_row_and_means_have_none(shown):
    rows = shown[1]["seeds"]
    assert len(rows) == 2 * 2 * 3
    assert {row["nominal_class"] for row in rows} == {"airplane", "cat"}
    columns = {one["row"] for one in shown[1]["columns"]}
    assert {("clean", "auroc"), ("conflict", "auroc"), ("clean", "fpr"), ("marked", "fnr")} <= columns
    for row in rows:
        values = dict(zip((one["row"] for one in shown[1]["columns"]), row["values"], strict=True))
        assert 0 <= values["clean", "auroc"] <= 1
        assert values["clean", "fpr"] == values["clean", "fpr"], "a number"


def test_explanations_are_named_by_all_that_varies(shown):
    (labels,) = [labels for name, labels in shown[1]["quadrants"].items() if name == "undecided"]
    assert "airplane · FCDD · native · prevalence 0.5" in labels
    assert len(labels) == 8


def test_means_over_classes_may_have_no_prevalence(shown, classes_run, tmp_path):
    """As of found artifacts, whose share differs from class to class."""
    run = RunFolder(shutil.copytree(classes_run.folder, tmp_path / "run"))
    table = pd.read_csv(run.path / "results.csv", dtype=str, keep_default_na=False)
    table.loc[table["nominal_class"] == "mean", "prevalence"] = ""
    table.to_csv(run.path / "results.csv", index=False)
    assert "airplane" in render_report(run.path).read_text(encoding="utf-8")


def test_origins_are_those_that_were_found(shown):
    found, page = shown
    assert page["origin"] == found["origin"]
    assert page["natural"] is False
    assert page["placed"] is True


def test_findings_are_drawn_whose_heatmaps_were_kept(shown, classes_run):
    found, page = shown
    questions = json.loads((classes_run.folder / "config.json").read_text())["questions"]
    assert [question["heat"] is not None for question in questions] == [True] * 6 + [False] * 2
    assert [section.finding for section in page["sections"]] == found["findings"][:6]
    assert page["undrawn"] is True


def test_pictures_are_of_the_heat_that_was_kept(shown, classes_run):
    """On one scale for both twins."""
    _, page = shown
    run = RunFolder(classes_run.folder)
    quantile = run.read_json("config.json")["config"]["explanation"]["quantile"]
    heat, mask = run.read_arrays("heat-0.npz"), run.read_arrays("examples-0.npz")["mask"]
    levels = np.concatenate([heat[f"levels.{twin}.native"] for twin in ("planted", "control")])
    section = page["sections"][0]
    unit = EXPLAINERS["native"].unit
    about = {"name": "native", "unit": unit, "signed": False}
    assert section.scales == [{**about, **shown_limits(levels, quantile)}]
    assert [shown.why for shown in section.shown] == ["most", "median", "least", "other"]
    for index, shown_image in enumerate(section.shown):
        _, row = shown_image.image
        for twin, shown_map in shown_image.maps["native"].items():
            kept = heat[f"maps.{twin}.native"][index].astype(np.float64)
            assert shown_map["share"] == pytest.approx(kept[mask[row, 0]].sum() / kept.sum(), abs=1e-5)
