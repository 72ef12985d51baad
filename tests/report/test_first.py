"""The first screen, of a run and of the committed sample."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fcdd_audit.experiment.folder import RunFolder
from fcdd_audit.report.first import SIZE, First, View, first_screen, picture
from fcdd_audit.report.inline import inline
from fcdd_audit.report.page import fill_template
from fcdd_audit.report.strips import photo_uri

SAMPLE = Path(__file__).parents[2] / "reports" / "retina-watermark"


def screen(folder: Path, **changes) -> First:
    """changes: of every finding."""
    run = RunFolder(folder)
    config, found = run.read_json("config.json"), run.read_json("findings.json")
    found["findings"] = [finding | changes for finding in found["findings"]]
    return first_screen(run, config, found, run.read_table("scores.csv"))


@pytest.fixture(scope="module")
def sample():
    return screen(SAMPLE)


def test_the_sample_shows_the_finding_that_does_most_harm(sample):
    findings = json.loads((SAMPLE / "findings.json").read_text(encoding="utf-8"))["findings"]
    relying = [one for one in findings if one["verdict"] == "relies"]
    worst = max(relying, key=lambda one: one["alarms"]["value"])
    assert sample.picture.detector == worst["detector"].upper()
    assert sample.picture.side == "nominal"
    exposed = [one["explainer"] for one in worst["explainers"] if one["quadrant"] == "exposed"]
    assert sample.picture.heat.explainer == exposed[0]
    assert sample.picture.heat.shows


def test_scores_are_told_from_each_twins_threshold(sample):
    """Against the numbers in the files."""
    config = json.loads((SAMPLE / "config.json").read_text(encoding="utf-8"))
    scores = pd.read_csv(SAMPLE / "scores.csv")
    names = [question["detector"].upper() for question in config["questions"]]
    index = names.index(sample.picture.detector)
    for view, variant in zip(sample.picture.views, ("clean", "marked"), strict=True):
        for reading in view.readings:
            (score,) = scores[
                (scores["question"] == index)
                & (scores["twin"] == reading.twin)
                & (scores["variant"] == variant)
                & (scores["image"] == sample.picture.name)
            ]["score"]
            ratio = score / config["questions"][index]["thresholds"][reading.twin]
            assert reading.ratio == pytest.approx(ratio)
            assert (reading.above, reading.word) == (ratio > 1, "ALARM" if ratio > 1 else "ok")


def test_the_image_is_large_and_without_an_outline(sample):
    arrays = RunFolder(SAMPLE).read_arrays("examples-0.npz")
    (row,) = np.flatnonzero(arrays["name"] == sample.picture.name)
    assert SIZE == 256
    for view, variant in zip(sample.picture.views, ("clean", "marked"), strict=True):
        assert view.uri == photo_uri(arrays[variant][row], size=SIZE)


def test_the_partial_says_all_of_it(sample):
    page = fill_template("first.html.j2", first=sample)
    assert page.count('id="verdict"') == 1
    for view in sample.picture.views:
        assert view.uri in page
    for row in sample.rows:
        assert f"{row.planted} vs {row.control}" in page
        assert row.said in page
    assert page.count("<li>") == len(sample.advice)
    assert not any(sign in page for sign in "✔✖✓✗")


def test_text_from_outside_stays_text(sample):
    evil = "<script>alert(1)</script>"
    rows = [row.__class__(**{**row.__dict__, "detector": evil}) for row in sample.rows]
    seen = sample.picture.__class__(**{**sample.picture.__dict__, "name": evil})
    first = First([evil], evil, seen, rows, [evil], sample.advice, warnings=(evil,))
    page = fill_template("first.html.j2", first=first)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_training_that_was_not_enough_is_said_before_the_answer():
    run = RunFolder(SAMPLE)
    config, found = run.read_json("config.json"), run.read_json("findings.json")
    scores = run.read_table("scores.csv")
    assert first_screen(run, config, found, scores).warnings == (), "an older run says nothing of it"
    said = "the control twins detect little; train longer (--steps 1000)"
    trained = {"short": "detects-little", "said": said, "steps_advised": 1000}
    others = [{**finding, "training": {"said": None}} for finding in found["findings"][1:]]
    first, *_ = found["findings"]
    short = {**found, "findings": [{**first, "training": trained}, *others]}
    screen = first_screen(run, config, short, scores)
    assert screen.warnings == (f"FCDD: {said}.",)
    assert screen.advice[0].command == "--steps 1000"
    page = fill_template("first.html.j2", first=screen)
    assert page.index(said) < page.index('class="answer"')
    assert said in inline(short)


def test_a_run_has_a_first_screen(default_run):
    found = screen(default_run.folder)
    assert isinstance(found.picture.views[0], View)
    assert found.picture.heat.explainer in ("native", "grad-cam", "gradient")
    assert fill_template("first.html.j2", first=found)


def test_on_the_nominal_side_anomalies_are_caught_or_missed():
    found = screen(SAMPLE, plant_on="nominal")
    assert found.picture.side == "anomalous"
    words = {reading.word for view in found.picture.views for reading in view.readings}
    assert words <= {"CAUGHT", "missed"}


def test_a_found_artifact_was_removed():
    found = screen(SAMPLE, plant_on="found-on-nominal", probe="mask")
    assert [view.label for view in found.picture.views] == ["with the artifact removed", "with the artifact"]


def test_where_no_explanation_shows_it_the_first_is_drawn():
    run = RunFolder(SAMPLE)
    findings = run.read_json("findings.json")["findings"]
    for finding in findings:
        finding["explainers"] = [one | {"quadrant": "undecided"} for one in finding["explainers"]]
    drawn = picture(run, run.read_json("config.json"), findings, run.read_table("scores.csv"))
    shown = [finding for finding in findings if finding["detector"].upper() == drawn.detector]
    assert drawn.heat.explainer == shown[0]["explainers"][0]["explainer"]
    assert not drawn.heat.shows


@pytest.mark.parametrize("lacking", ["alarms", "scores", "side"])
def test_where_nothing_can_be_drawn_there_is_no_picture(lacking, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("store"))
    if lacking == "scores":
        scores = (folder / "scores.csv").read_text(encoding="utf-8")
        (folder / "scores.csv").write_text(scores.splitlines()[0] + "\n", encoding="utf-8")
    if lacking == "side":
        arrays = dict(np.load(folder / "examples-0.npz"))
        np.savez(folder / "examples-0.npz", **arrays | {"side": np.full(len(arrays["side"]), "neither")})
    found = screen(folder, **({"alarms": None} if lacking == "alarms" else {}))
    assert found.picture is None
    assert "<img" not in fill_template("first.html.j2", first=found)


def test_without_kept_heat_or_a_positive_threshold_the_picture_goes_without():
    run = RunFolder(SAMPLE)
    config = run.read_json("config.json")
    config["questions"] = [
        question | {"heat": None, "thresholds": {"planted": -1.0, "control": 0.0}}
        for question in config["questions"]
    ]
    drawn = picture(run, config, run.read_json("findings.json")["findings"], run.read_table("scores.csv"))
    assert drawn.heat is None
    assert {reading.ratio for view in drawn.views for reading in view.readings} == {None}
    assert {reading.word for view in drawn.views for reading in view.readings} == {"ALARM"}


def test_neither_torch_nor_captum_is_imported():
    code = "import sys, fcdd_audit.report.first; sys.exit(bool({'torch', 'captum'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
