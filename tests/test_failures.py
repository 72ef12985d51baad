"""A detector that can't be trained is missing, and the audit goes on without its pair."""

import json
import shutil

import jsonschema
import pandas as pd
import pytest
from typer.testing import CliRunner

from fcdd_audit import RunError, render_report, run_audit
from fcdd_audit.auditing import explain_run
from fcdd_audit.cli.app import app
from fcdd_audit.cli.documents import schemas
from fcdd_audit.detectors.training.loop import DivergedError
from fcdd_audit.edits.as_is import AsIs
from fcdd_audit.experiment.cells import score, train_stack
from fcdd_audit.verdict.findings import FailedTwin
from fcdd_audit.verdict.thresholds import Thresholds

TRAIN, SCORE = "fcdd_audit.experiment.trainings.train_stack", "fcdd_audit.experiment.work.score"


def failing(error, *twins):
    """Trains all but these twins, by seed and name: their trainings end with an error."""

    def train_or_fail(stack, *arguments):
        (cell,) = stack
        name = "control" if cell.edit == AsIs() else "planted"
        if (cell.seed, name) not in twins and twins:
            return train_stack(stack, *arguments)
        if isinstance(error, DivergedError):
            return [(None, error)]
        raise error

    return train_or_fail


DIVERGED = DivergedError("dsvdd diverged in epoch 3")


@pytest.fixture(scope="module")
def config(patches_config):
    """Deep SVDD, which relies on a patch that it saw on its nominal images."""
    return patches_config.having(
        detectors=("dsvdd",), explainers=("gradient",), probe="patch", steps=30, seeds=4, explained=1
    )


@pytest.fixture(scope="module")
def diverged(config, tmp_path_factory):
    """An audit in which one planted twin of four diverges."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TRAIN, failing(DIVERGED, (2, "planted")))
        return run_audit(config.having(out=tmp_path_factory.mktemp("diverged")))


def content(result, name):
    return json.loads((result.folder / name).read_text())


def test_the_verdict_is_that_of_the_other_pairs_and_the_finding_names_the_missing_one(diverged):
    (finding,) = diverged.findings
    assert (finding.verdict, finding.reason, finding.seeds) == ("relies", None, 3)
    assert finding.failed == (FailedTwin(2, "planted", "dsvdd diverged in epoch 3"),)
    assert content(diverged, "findings.json") == diverged.as_json()
    assert diverged.as_json()["findings"][0]["failed"] == [
        {"seed": 2, "twin": "planted", "reason": "dsvdd diverged in epoch 3"}
    ]
    assert diverged.nothing_judged is None


def test_it_fits_the_published_schema(diverged):
    jsonschema.validate(content(diverged, "findings.json"), schemas()["findings.json"])


def test_tables_hold_the_seeds_that_are_left(diverged):
    (question,) = content(diverged, "config.json")["questions"]
    assert question["seeds"] == [0, 1, 3]
    assert len(question["planted"]) == len(question["control"]) == 3
    for name in ("results.csv", "curves.csv"):
        assert set(pd.read_csv(diverged.folder / name)["seed"]) == {0, 1, 3}
    work = content(diverged, "config.json")["work"]
    assert (work["detectors"], work["cells"], work["failed"]) == (8, 9, 1)


def test_the_reason_is_kept_and_what_diverged_is_not_trained_again(
    diverged, config, monkeypatch, without_page, in_store, tmp_path
):
    run = shutil.copytree(diverged.folder, tmp_path / diverged.folder.name)
    kept = [json.loads(path.read_text()) for path in run.glob("store/trained/*/training.json")]
    assert sorted(one.get("failed", "") for one in kept) == [*[""] * 7, "dsvdd diverged in epoch 3"]
    monkeypatch.setattr(TRAIN, failing(AssertionError("trained")))
    before = in_store(run / "store")
    again = run_audit(config.having(out=tmp_path))
    assert again.as_json() == diverged.as_json()
    assert in_store(run / "store") == before
    assert content(again, "config.json")["work"]["failed"] == 1


def test_it_can_be_explained_by_more(diverged, monkeypatch, without_page, tmp_path):
    run = shutil.copytree(diverged.folder, tmp_path / diverged.folder.name)
    monkeypatch.setattr(TRAIN, failing(AssertionError("trained")))
    (finding,) = explain_run(run, ("edges",)).findings
    assert finding.failed == diverged.findings[0].failed
    assert [one.explainer for one in finding.explainers] == ["gradient", "edges"]


def test_the_page_says_which_pair_is_missing(diverged):
    words = " ".join(diverged.report.read_text(encoding="utf-8").split())
    line = "Of 4 pairs 3 count: the planted twin of seed 2 has no numbers (dsvdd diverged in epoch 3)."
    assert words.count(line) == 1
    assert render_report(diverged.folder).read_text(encoding="utf-8").count("has no numbers") == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried 2 GiB")], ids=repr)
def test_what_ran_out_of_memory_is_trained_by_the_next_run(
    diverged, config, monkeypatch, without_page, tmp_path, error
):
    """And then its pair counts; the others' numbers are the same."""
    store = shutil.copytree(diverged.folder / "store", tmp_path / "store")
    config = config.having(out=tmp_path, store=store, seeds=5, probe="patch")
    monkeypatch.setattr(TRAIN, failing(error, (4, "control")))
    (finding,) = run_audit(config).findings
    assert finding.failed[1:] == (FailedTwin(4, "control", "it ran out of memory"),)
    assert finding.seeds == 3
    monkeypatch.setattr(TRAIN, train_stack)
    again = run_audit(config)
    assert (again.findings[0].seeds, len(again.findings[0].failed)) == (4, 1)
    assert content(again, "config.json")["work"]["trained"] == 1
    before, after = (pd.read_csv(folder / "results.csv") for folder in (diverged.folder, again.folder))
    kept = after[after["seed"] != 4].reset_index(drop=True)
    pd.testing.assert_frame_equal(before[before["split"] != "twins"], kept)


def test_explaining_does_not_try_it_again(diverged, config, monkeypatch, without_page, tmp_path):
    """It trains nothing: that is for `run`."""
    store = shutil.copytree(diverged.folder / "store", tmp_path / "store")
    monkeypatch.setattr(TRAIN, failing(MemoryError(), (4, "control")))
    first = run_audit(config.having(out=tmp_path, store=store, seeds=5))
    monkeypatch.setattr(TRAIN, failing(AssertionError("trained")))
    (finding,) = explain_run(first.folder, ("edges",)).findings
    assert finding.failed == first.findings[0].failed
    assert (finding.seeds, len(finding.failed)) == (3, 2)


def test_scores_that_are_not_finite_are_no_numbers_either(config, monkeypatch, without_page, tmp_path):
    config = config.having(out=tmp_path, steps=2)
    places = iter(range(8))

    def scored(*arguments):
        if next(places) == 5:
            raise RunError("DSVDD gives validation images scores that aren't finite")
        return score(*arguments)

    monkeypatch.setattr(SCORE, scored)
    (finding,) = run_audit(config).findings
    assert finding.seeds == 3
    assert [one.reason for one in finding.failed] == [
        "DSVDD gives validation images scores that aren't finite"
    ]
    monkeypatch.undo()
    monkeypatch.setattr("fcdd_audit.auditing.render_report", lambda folder: folder)
    result = run_audit(config)
    assert (result.findings[0].seeds, result.findings[0].failed) == (4, ())
    work = content(result, "config.json")["work"]
    assert work == {"detectors": 8, "cells": 9, "trained": 0, "measured": 1, "failed": 0}


def test_a_control_is_missing_for_every_prevalence(config, monkeypatch, without_page, tmp_path):
    monkeypatch.setattr(TRAIN, failing(DIVERGED, (1, "control")))
    result = run_audit(config.having(out=tmp_path, steps=2, prevalence=(0.5, 1.0)))
    assert [finding.seeds for finding in result.findings] == [3, 3]
    assert {finding.failed for finding in result.findings} == {(FailedTwin(1, "control", str(DIVERGED)),)}


def test_without_the_first_seed_the_page_shows_the_next(config, monkeypatch, tmp_path):
    monkeypatch.setattr(TRAIN, failing(DIVERGED, (0, "planted"), (0, "control")))
    result = run_audit(config.having(out=tmp_path, steps=2))
    (question,) = content(result, "config.json")["questions"]
    assert (question["seeds"], question["heat"]) == ([1, 2, 3], "heat-0.npz")
    assert len(result.findings[0].failed) == 2
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    assert "Of 4 pairs 3 count: the control twin of seed 0 has no numbers" in words


# Too few are left


def test_with_too_few_pairs_left_the_reason_names_them(config, monkeypatch, tmp_path):
    monkeypatch.setattr(TRAIN, failing(DIVERGED, (1, "planted")))
    result = run_audit(config.having(out=tmp_path, seeds=3, steps=2))
    (finding,) = result.findings
    assert (finding.verdict, finding.seeds) == ("inconclusive", 2)
    reason = (
        "2 of 3 pairs are left, and at least 3 are needed: the planted twin of seed 1 has no numbers: "
        "dsvdd diverged in epoch 3"
    )
    assert finding.reason == reason
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    assert f"Why: {reason}." in words
    assert "Of 3 pairs" not in words, "it is said once"
    said = "nothing can be judged: the planted twin of seed 1 has no numbers: dsvdd diverged in epoch 3"
    assert result.nothing_judged == said


def test_if_the_detector_does_not_work_either_that_is_the_reason(
    diverged, config, monkeypatch, without_page, tmp_path
):
    """Three pairs would do: it isn't for the fourth that nothing is judged."""
    shutil.copytree(diverged.folder, tmp_path / diverged.folder.name)
    monkeypatch.setattr(TRAIN, failing(AssertionError("trained")))
    result = run_audit(config.having(out=tmp_path, thresholds=Thresholds(usable_auroc=1.5)))
    (finding,) = result.findings
    assert finding.reason.startswith("not a working detector here")
    assert len(finding.failed) == 1
    assert result.nothing_judged is None


def test_if_every_training_diverges_the_files_say_so(patches_config, tmp_path):
    """With a learning rate that no training survives."""
    result = run_audit(patches_config.having(out=tmp_path, seeds=3, lr=1e30))
    (finding,) = result.findings
    assert (finding.verdict, finding.seeds, finding.reliance) == ("inconclusive", 0, None)
    assert [(one.seed, one.twin) for one in finding.failed] == [
        (seed, twin) for seed in range(3) for twin in ("control", "planted")
    ]
    assert finding.explainers == ()
    reason = result.nothing_judged
    assert reason.startswith("nothing can be judged: the control twin of seed 0 has no numbers: ")
    assert reason.endswith("; 5 more failed")
    jsonschema.validate(content(result, "findings.json"), schemas()["findings.json"])
    config = content(result, "config.json")
    assert (config["questions"][0]["heat"], config["work"]["failed"]) == (None, 6)
    assert "0 of 3 pairs are left" in " ".join(result.report.read_text(encoding="utf-8").split())


def test_a_run_without_any_pair_says_the_same_when_it_is_explained_further(
    config, monkeypatch, without_page, tmp_path
):
    monkeypatch.setattr(TRAIN, failing(DIVERGED))
    run = run_audit(config.having(out=tmp_path, seeds=3))
    (question,) = content(run, "config.json")["questions"]
    assert (question["seeds"], question["looks"]) == ([], [3])
    monkeypatch.setattr(TRAIN, failing(AssertionError("trained")))
    again = explain_run(run.folder, ("edges",))
    assert again.findings[0].missing == "failed-pairs"
    assert len(again.findings[0].failed) == 6
    assert again.as_json() == run.as_json()


# The command line


@pytest.fixture
def command(config, tmp_path):
    """The same audit, as a command in a folder of its own."""
    settings = {
        "dataset": "folder",
        "data_root": str(config.data.data_root),
        "image_size": 32,
        "probe": "patch",
        "detectors": ["dsvdd"],
        "explainers": ["gradient"],
        "explained": 1,
        "seeds": 4,
        "workers": 1,
    }
    recipe = {name: value for name, value in config.detector.recipe.flat().items() if value is not None}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    lines += ["[recipe]", *(f"{name} = {json.dumps(value)}" for name, value in recipe.items())]
    (tmp_path / "audit.toml").write_text("\n".join(lines))

    def invoke(*arguments):
        fixed = ["run", "--config", tmp_path / "audit.toml", "--out", tmp_path]
        return CliRunner().invoke(app, [*map(str, fixed), *arguments])

    return invoke


def test_the_terminal_says_which_pair_is_missing(diverged, command, monkeypatch, tmp_path):
    shutil.copytree(diverged.folder, tmp_path / diverged.folder.name)
    monkeypatch.setattr(TRAIN, failing(AssertionError("trained")))
    result = command("--fail-on", "relies")
    assert result.exit_code == 1, result.stderr
    lines = result.stdout.splitlines()
    assert (
        lines[-2]
        == "dsvdd: 3 pairs count; the planted twin of seed 2 has no numbers: dsvdd diverged in epoch 3"
    )
    assert lines[-1].endswith("report.html")


def test_so_it_does_beside_another_reason(command, monkeypatch):
    monkeypatch.setattr(TRAIN, failing(DIVERGED, (0, "planted")))
    result = command("--steps", "2")
    assert result.exit_code == 0, result.stderr
    reason, missing = result.stdout.splitlines()[-3:-1]
    assert reason.startswith("dsvdd: the twins differ, and the planted twin's own shift isn't surely above")
    assert missing.startswith("dsvdd: 3 pairs count; the planted twin of seed 0 has no numbers")


@pytest.mark.parametrize("arguments", [(), ("--fail-on", "relies"), ("--quiet",), ("--json",)], ids=str)
def test_if_nothing_can_be_judged_that_is_a_failure_of_one_line(command, monkeypatch, tmp_path, arguments):
    """But what was found is written, and printed as ever."""
    monkeypatch.setattr(TRAIN, failing(DIVERGED))
    result = command("--seeds", "3", *arguments)
    assert result.exit_code == 4
    (line,) = result.stderr.splitlines()
    assert (
        "nothing can be judged: the control twin of seed 0 has no numbers: dsvdd diverged in epoch 3; 5"
        in line
    )
    found = json.loads((tmp_path / "folder-patch" / "findings.json").read_text())
    assert len(found["findings"][0]["failed"]) == 6
    assert (tmp_path / "folder-patch" / "report.html").is_file()
    if "--json" in arguments:
        assert json.loads(result.stdout) == found
    assert bool(result.stdout) == ("--quiet" not in arguments)


def test_with_too_few_pairs_the_gate_is_not_asked(command, monkeypatch):
    monkeypatch.setattr(TRAIN, failing(DIVERGED, (1, "planted")))
    result = command("--seeds", "3", "--steps", "2", "--fail-on", "relies", "--quiet")
    assert result.exit_code == 4
    assert "the planted twin of seed 1 has no numbers" in result.stderr
