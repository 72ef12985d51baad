"""What the page shows of twins besides config.json and findings.json."""

import json

import numpy as np
import pytest

from fcdd_audit.experiment.folder import RunFolder
from fcdd_audit.report.twins import _strips, context


def test_twins_share_the_scale_of_the_reference_and_own_scales_brighten_faint_maps():
    rng = np.random.default_rng(0)
    planted = rng.random((4, 32, 32)).astype(np.float32)
    examples = {
        "side": np.array(["nominal", "nominal", "anomalous", "anomalous"]),
        "name": np.array(list("abcd")),
        "mask": np.zeros((4, 1, 32, 32), bool),
        "clean": np.zeros((4, 1, 32, 32), np.uint8),
        "marked": np.zeros((4, 1, 32, 32), np.uint8),
    }
    maps = {"planted": {"native": planted}, "control": {"native": planted / 8}}
    rows, (explainer,) = _strips(examples, maps, {"native": np.array([0.5, 0.25, 2.0])}, 1.0)
    assert explainer == {"name": "native", "low": 0.25, "high": pytest.approx(2.0)}
    for row in rows:
        shown = row["maps"]["native"]
        assert shown["planted"]["own"] == shown["control"]["own"]
        assert shown["planted"]["shared"] != shown["control"]["shared"]


def test_an_artifact_without_a_place_has_pictures_and_no_share_of_heat():
    examples = {
        "side": np.array(["nominal"]),
        "name": np.array(["a"]),
        "clean": np.zeros((1, 1, 8, 8), np.uint8),
        "marked": np.zeros((1, 1, 8, 8), np.uint8),
    }
    maps = {twin: {"native": np.ones((1, 8, 8), np.float32)} for twin in ("planted", "control")}
    (row,), _ = _strips(examples, maps, {"native": np.array([0.0, 1.0])}, 0.97)
    assert row["area"] is None
    assert row["maps"]["native"]["planted"]["share"] is None


@pytest.fixture(scope="module")
def shown(classes_run):
    run = RunFolder(classes_run.folder)
    config, found = (json.loads((run.path / f"{name}.json").read_text()) for name in ("config", "findings"))
    return found, context(run, config, found)


def test_each_class_and_detector_with_several_prevalences_has_a_curve(shown):
    assert [(dose["name"], dose["side"]) for dose in shown[1]["doses"]] == [
        ("fcdd on airplane", "anomalous"),
        ("ae on airplane", "nominal"),
        ("fcdd on cat", "anomalous"),
        ("ae on cat", "nominal"),
    ]


def test_every_cell_has_a_row_and_means_have_none(shown):
    rows = shown[1]["seeds"]
    assert len(rows) == 2 * 2 * 3
    assert {row["nominal_class"] for row in rows} == {"airplane", "cat"}
    for row in rows:
        assert 0 <= row["clean"] <= 1
        assert row["fpr_clean"] == pytest.approx(row["fpr_clean"])


def test_explanations_are_named_by_all_that_varies(shown):
    (labels,) = [labels for name, labels in shown[1]["quadrants"].items() if name == "undecided"]
    assert "airplane · fcdd · native · prevalence 0.5" in labels
    assert len(labels) == 8


def test_origins_are_those_that_were_found(shown):
    found, page = shown
    assert page["origin"] == found["origin"]
    assert page["natural"] is False
    assert page["placed"] is True
