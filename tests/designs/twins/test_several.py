"""Audits that ask about several artifacts and sides, and of artifacts that are planted together."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fcdd_audit import InputError, explain_run, run_audit
from fcdd_audit.config.stored import stored_config
from fcdd_audit.designs.twins.estimate import estimate
from fcdd_audit.experiment.tables import COLUMNS
from fcdd_audit.report import render_report

PROBES, SIDES = ("frame", "bars"), ("anomalous", "nominal")


@pytest.fixture(scope="module")
def several_config(exposed_config, tmp_path_factory):
    return exposed_config.having(
        probe=PROBES, plant_on=SIDES, detectors=("fcdd", "ae"), out=tmp_path_factory.mktemp("several")
    )


@pytest.fixture(scope="module")
def estimated(several_config):
    return estimate(several_config)


@pytest.fixture(scope="module")
def several_run(several_config, estimated):
    return run_audit(several_config)


@pytest.fixture(scope="module")
def together_run(exposed_config, tmp_path_factory):
    return run_audit(
        exposed_config.having(
            probe=("frame", "bars", "jpeg"),
            together=True,
            prevalence=(0.5, 1.0),
            out=tmp_path_factory.mktemp("together"),
        )
    )


def written(run):
    config = json.loads((run.folder / "config.json").read_text())
    return config, pd.read_csv(run.folder / "results.csv", keep_default_na=False)


def test_each_artifact_and_side_is_a_question_of_each_detector(several_run):
    asked = [(one.probe, one.detector, one.plant_on) for one in several_run.findings]
    expected = [(probe, name, side) for probe in PROBES for name in ("fcdd", "ae") for side in SIDES]
    assert asked == expected
    identical = [one.missing == "identical" for one in several_run.findings]
    assert identical == [(name, side) == ("ae", "anomalous") for _, name, side in expected]
    config, _ = written(several_run)
    assert [(one["probe"], one["detector"], one["plant_on"]) for one in config["questions"]] == expected
    assert several_run.folder.name == "folder-frame-bars"
    assert stored_config(config).artifact.plant_on == SIDES


def test_controls_are_trained_once_and_used_for_all(several_run, estimated):
    config, _ = written(several_run)
    assert len({key for one in config["questions"] for key in one["control"]}) == 2, "one a detector"
    assert len({key for one in config["questions"] for key in one["planted"]}) == 6
    assert (config["work"]["detectors"], config["work"]["trained"]) == (8, 8)
    assert sum(group.to_train for group in estimated.groups) == 8
    assert estimated.images["test_nominal"] == 5, "each image counts once"


def test_no_number_stands_twice(several_run, together_run):
    for run in (several_run, together_run):
        _, table = written(run)
        assert not table.duplicated([name for name in COLUMNS if name != "value"]).any()


def test_an_artifact_has_the_numbers_that_it_has_alone(several_run, several_config, tmp_path):
    store = several_run.folder / "store"
    alone = run_audit(several_config.having(probe="bars", plant_on="nominal", store=store, out=tmp_path))
    config, table = written(alone)
    assert config["work"]["trained"] == config["work"]["measured"] == 0
    _, both = written(several_run)
    own = both[(both["probe"] == "bars") & (both["plant_on"] == "nominal")].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, table)


def test_a_class_is_described_once_with_a_fingerprint_of_all(several_run, several_config, tmp_path):
    config, _ = written(several_run)
    found = json.loads((several_run.folder / "findings.json").read_text())
    assert len(config["data"]) == len(found["origin"]) == 1
    assert [row["detector"] for row in config["explainers"]] == ["fcdd", "ae"]
    alone = run_audit(several_config.having(probe="frame", store=several_run.folder / "store", out=tmp_path))
    assert written(alone)[0]["data"][0]["fingerprint"] != config["data"][0]["fingerprint"]


def test_all_of_it_is_explained_further_and_changed_images_are_refused(several_run, tmp_path):
    folder = tmp_path / several_run.folder.name
    shutil.copytree(several_run.folder, folder)
    more = explain_run(folder, ["gradient"])
    config, table = written(more)
    assert config["work"]["trained"] == 0
    shown = table[(table["explainer"] == "gradient") & (table["metric"] == "pixel_auroc")]
    assert set(shown["probe"]) == set(PROBES)
    config["data"][0]["fingerprint"] = "0" * 16
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="have changed since"):
        explain_run(folder, ["lrp"])


def test_the_page_names_what_each_finding_is_of(several_run):
    page = " ".join(several_run.report.read_text(encoding="utf-8").split())
    assert "Suspected artifacts: <b>frame, bars</b>." in page
    for probe in PROBES:
        for side in SIDES:
            assert f"FCDD, {probe}, {side} side" in page
    assert "frame: width" in page
    assert "; bars: " in page, "in provenance"


def test_together_all_questions_have_one_planted_twin_and_controls_with_the_others(together_run):
    config, table = written(together_run)
    assert together_run.folder.name == "folder-frame-bars-jpeg-together"
    for share in (0.5, 1.0):
        own = [one for one in config["questions"] if one["prevalence"] == share]
        assert len({tuple(one["planted"]) for one in own}) == 1
        assert len({tuple(one["control"]) for one in own}) == 3
    assert config["work"]["trained"] == config["work"]["detectors"] == 8
    control = table[table["twin"] == "control"]
    assert set(control["prevalence"]) == {0.5, 1.0}, "others are planted in it"
    for name in ("frame", "bars"):
        mine = table[(table["probe"] == name) & (table["metric"] == "drop") & (table["explainer"] == "")]
        drops = mine.set_index(["twin", "prevalence"])["value"]
        paired = table[(table["probe"] == name) & (table["metric"] == "reliance")].set_index("prevalence")
        for share in (0.5, 1.0):
            difference = drops["planted", share] - drops["control", share]
            assert paired["value"][share] == pytest.approx(difference, abs=1e-12)
    page = together_run.report.read_text(encoding="utf-8")
    assert "all planted at once" in page
    assert "with all of them and with all but one" in page


def test_the_trained_weights_differ_by_what_is_planted_beside(together_run, several_run):
    together, several = (written(run)[0]["questions"] for run in (together_run, several_run))
    assert not {key for one in together for key in one["control"]} & {
        key for one in several for key in one["control"]
    }


def test_a_placeless_artifact_beside_others_has_scores_and_no_overlaps(together_run):
    _, table = written(together_run)
    mine = table[table["probe"] == "jpeg"]
    assert len(mine)
    assert not (mine["metric"] == "pixel_auroc").any()
    (first, *_) = [one for one in together_run.findings if one.probe == "jpeg"]
    assert first.explainers == ()
    assert np.isfinite(first.dependence.value)


def test_a_run_of_before_is_read_and_rendered(several_run, several_config, tmp_path):
    """config.json had one artifact and one side as text, and questions didn't name the artifact."""
    store = several_run.folder / "store"
    run = run_audit(several_config.having(probe="bars", plant_on="auto", store=store, out=tmp_path))
    config, _ = written(run)
    artifact = config["config"]["artifact"]
    assert artifact.pop("probes") == ["bars"]
    assert artifact.pop("together") is False
    artifact |= {"probe": "bars", "plant_on": "auto"}
    for question in config["questions"]:
        del question["probe"]
    page = run.report.read_text(encoding="utf-8")
    (run.folder / "config.json").write_text(json.dumps(config))
    assert render_report(run.folder).read_text(encoding="utf-8") == page
    assert stored_config(config).artifact == several_config.having(probe="bars", plant_on="auto").artifact
