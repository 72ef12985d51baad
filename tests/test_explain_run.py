"""A finished run is explained by more, without its settings: nothing is trained."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from fcdd_audit import EXPLAINERS, run_audit
from fcdd_audit.auditing import explain_run
from fcdd_audit.experiment.folder import SCHEMA

NUMBERS = ("results.csv", "findings.json", "scores.csv", "curves.csv", "examples-0.npz", "heat-0.npz")


def numbers(folder):
    return {name: (folder / name).read_bytes() for name in NUMBERS}


def files(folder):
    """Of the run, without its store."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix}


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


@pytest.fixture(scope="module")
def finished(patches_config, tmp_path_factory):
    """A run with one explainer and its page."""
    return run_audit(patches_config.having(out=tmp_path_factory.mktemp("finished"))).folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "again" / finished.name)


@pytest.fixture
def moved(run, tmp_path):
    """Makes the run look for its images in a copy of them, which may be changed."""
    content = config_of(run)
    copy = shutil.copytree(content["config"]["data"]["data_root"], tmp_path / "copy")
    content["config"]["data"]["data_root"] = copy.as_posix()
    (run / "config.json").write_text(json.dumps(content))
    return copy


@pytest.fixture
def nothing_is_trained(monkeypatch):
    monkeypatch.setattr(
        "fcdd_audit.experiment.trainings.train_stack", lambda *_: pytest.fail("a detector was trained")
    )


@pytest.mark.parametrize(
    ("more", "settings"),
    [
        ({"explainers": ("gradient", "grad-cam")}, {"explainers": ("native", "grad-cam", "gradient")}),
        ({"explained": 5}, {"explained": 5}),
        ({"explainers": ("edges",), "explained": 17}, {"explainers": ("native", "edges"), "explained": 17}),
        ({"sanity": 2}, {"sanity": 2}),
    ],
    ids=str,
)
def test_it_gives_what_a_run_with_all_at_once_gives(
    run, patches_config, without_page, in_store, work_of, tmp_path, more, settings
):
    before = in_store(run / "store")
    explain_run(run, **more)
    whole = run_audit(patches_config.having(out=tmp_path / "whole", **settings)).folder
    assert numbers(run) == numbers(whole)
    assert before.items() <= in_store(run / "store").items()
    assert len(list((run / "store" / "trained").iterdir())) == 2
    assert (work_of(run)["trained"], work_of(whole)["trained"]) == (0, 2)
    found, at_once = config_of(run)["config"], config_of(whole)["config"]
    for config in (found, at_once):
        config["run"].pop("out")
        config["run"].pop("name")
        config["explanation"]["explainers"] = sorted(config["explanation"]["explainers"])
    assert found == at_once


def test_the_page_and_the_findings_have_the_new_explainer(run):
    assert "grad-cam" not in (run / "report.html").read_text()
    result = explain_run(run, ("grad-cam",))
    assert result.folder == run
    assert [one.explainer for one in result.findings[0].explainers] == ["native", "grad-cam"]
    assert json.loads((run / "findings.json").read_text()) == result.as_json()
    page = (run / "report.html").read_text()
    assert "grad-cam map of the planted twin" in page
    assert "0 of 2 detectors were trained" in " ".join(page.split())


def test_what_is_there_already_is_not_measured_again(run, work_of, without_page):
    explain_run(run, ("grad-cam",))
    before, again = numbers(run), explain_run(run, ("native", "grad-cam"))
    assert numbers(run) == before
    assert work_of(again.folder)["measured"] == 0


def test_all_adds_every_explainer(run, without_page, nothing_is_trained):
    explain_run(run, ("all",), explained=1)
    config = config_of(run)
    assert sorted(config["config"]["explanation"]["explainers"]) == sorted(EXPLAINERS)
    assert config["config"]["explanation"]["sanity"] == 0, "as the run had it"
    rows = {row["explainer"]: row["unavailable"] for row in config["explainers"]}
    assert set(rows) == set(EXPLAINERS)
    kept = {path.name.rsplit("-", 2)[0] for path in (run / "store").glob("measured/*/*-16")}
    assert kept == {name for name, reason in rows.items() if reason is None} - {"native"}


def test_an_explainer_that_does_not_work_on_the_detector_is_said_so(run, without_page, in_store):
    """Nothing else is done for it."""
    before = in_store(run / "store")
    explain_run(run, ("blurred-residual",))
    rows = {row["explainer"]: row["unavailable"] for row in config_of(run)["explainers"]}
    assert rows["native"] is None
    assert rows["blurred-residual"] == "the detector has no residual, pixel by pixel"
    assert in_store(run / "store") == before


def test_a_run_that_was_moved_is_explained_where_it_is(finished, tmp_path, without_page, nothing_is_trained):
    moved = tmp_path / "elsewhere" / "another name"
    moved.parent.mkdir()
    shutil.copytree(finished, moved)
    before = files(finished)
    result = explain_run(moved, ("grad-cam",))
    assert result.folder == moved
    assert "grad-cam" in (moved / "results.csv").read_text()
    assert json.loads((moved / "findings.json").read_text())["run"] == "another name"
    run = config_of(moved)["config"]["run"]
    assert (run["out"], run["name"]) == (moved.parent.as_posix(), "another name")
    assert files(finished) == before


def test_a_path_from_the_current_folder_will_do(run, monkeypatch, without_page, nothing_is_trained):
    monkeypatch.chdir(run.parent)
    explain_run(type(run)(run.name), ("grad-cam",))
    monkeypatch.chdir(run)
    explain_run(type(run)("."), ("gradient",))
    assert config_of(run)["config"]["explanation"]["explainers"] == ["native", "grad-cam", "gradient"]
    assert not list(run.glob("*/store"))


def test_images_count_by_what_they_show_wherever_they_are(
    run, moved, in_store, without_page, nothing_is_trained
):
    before = in_store(run / "store")
    for image in moved.rglob("*.png"):
        os.utime(image, (0, 0))
    explain_run(run, ("grad-cam",))
    added = in_store(run / "store").keys() - before.keys()
    assert {name.split("/")[-1].rsplit("-", 2)[0] for name in added} == {"grad-cam"}


def test_a_shared_store_is_used(finished, patches_config, in_store, without_page, tmp_path):
    store = shutil.copytree(finished / "store", tmp_path / "shared")
    run = run_audit(patches_config.having(store=store, out=tmp_path)).folder
    before = in_store(store)
    explain_run(run, ("grad-cam",))
    assert before.items() < in_store(store).items()
    assert not (run / "store").exists()


def test_on_another_machine_the_detectors_are_measured_anew_and_not_trained(
    run, monkeypatch, in_store, work_of, without_page, nothing_is_trained
):
    """As often as one likes: the run goes on saying where they were trained."""
    trained_on = config_of(run)["trained_on"]
    monkeypatch.setattr("platform.processor", lambda: "another processor")
    explain_run(run, ("grad-cam",))
    assert work_of(run) == {"detectors": 2, "cells": 3, "trained": 0, "measured": 3, "failed": 0}
    assert config_of(run)["trained_on"] == trained_on
    before = in_store(run / "store")
    explain_run(run, ("gradient",))
    added = in_store(run / "store").keys() - before.keys()
    assert {name.split("/")[-1].rsplit("-", 2)[0] for name in added} == {"gradient"}


# What can't be


@pytest.fixture
def left_as_it_is(run, refused, in_store, nothing_is_trained):
    """Checks that explaining the run more is refused in one line, and that nothing is changed."""

    def check(*parts, explainers=("grad-cam",), without=None, **more):
        before, kept = files(run), in_store(run / "store")
        with refused(*parts):
            explain_run(run, explainers, **more)
        damaged = {one for one in kept.items() if one[0] == without}
        assert files(run) == before
        assert in_store(run / "store").items() == kept.items() - damaged
        assert not list(run.rglob(".[rt][mu][np]-*"))

    return check


def test_without_its_store_a_run_cannot_be_explained(run, left_as_it_is):
    shutil.rmtree(run / "store")
    left_as_it_is("2 of the run's detectors aren't in the store", str(run / "store"), "run the audit again")
    assert not (run / "store").exists()


def test_nor_without_one_of_its_detectors(run, left_as_it_is):
    shutil.rmtree(next((run / "store" / "trained").iterdir()))
    left_as_it_is("1 of the run's detectors aren't in the store", "trained again for this")


def test_nor_with_a_damaged_one(run, left_as_it_is):
    weights = next((run / "store" / "trained").glob("*/detector.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    left_as_it_is("1 of the run's detectors aren't in the store", without=f"trained/{weights.parent.name}")


@pytest.mark.parametrize("part", ["train/nominal", "train/anomalous", "test/nominal", "test/anomalous"])
def test_nor_once_its_images_are_others(moved, left_as_it_is, part):
    """New numbers would stand beside those of other images."""
    victim = moved / part / "3.png"
    pixels = np.asarray(Image.open(victim)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(victim)
    left_as_it_is("images")


def test_nor_once_they_are_gone(moved, left_as_it_is):
    shutil.rmtree(moved)
    left_as_it_is(str(moved))


@pytest.mark.parametrize(
    ("explainers", "more", "said"),
    [
        (("gradcam",), {}, "unknown explainer 'gradcam'; did you mean 'grad-cam'"),
        (("grad-cam",), {"explained": -1}, "explained is -1"),
        ((), {"sanity": -1}, "sanity is -1"),
        ((), {}, "nothing to add"),
    ],
)
def test_what_cannot_be_asked_is_refused(left_as_it_is, explainers, more, said):
    left_as_it_is(said, explainers=explainers, **more)


def without(run, name):
    content = config_of(run)
    del content[name]
    (run / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "config.json").unlink(), "holds no finished audit (config.json: No such file"),
        (lambda run: (run / "config.json").write_text("{"), "holds no finished audit (config.json: "),
        (lambda run: (run / "config.json").write_text('{"schema": 4}'), f"schema 4, not {SCHEMA}"),
        (lambda run: (run / "config.json").write_text(f'{{"schema": {SCHEMA}}}'), "config.json isn't whole"),
        (lambda run: without(run, "trained_on"), "config.json isn't whole"),
        (lambda run: without(run, "data"), "config.json isn't whole"),
    ],
)
def test_what_is_no_run_is_refused(run, left_as_it_is, spoil, said):
    spoil(run)
    left_as_it_is(said)


def test_a_folder_that_is_not_there_is_not_made(refused, tmp_path):
    with refused("nowhere' holds no finished audit"):
        explain_run(tmp_path / "nowhere", ("native",))
    assert os.listdir(tmp_path) == []
