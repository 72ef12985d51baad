"""Audits of several nominal classes, one after the other in one run folder."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fcdd_audit import InputError, render_report, run_audit
from fcdd_audit.auditing import explain_run
from fcdd_audit.designs.twins.estimate import estimate
from fcdd_audit.detectors.training.loop import DivergedError
from fcdd_audit.experiment.cells import train_stack
from fcdd_audit.experiment.folder import SCHEMA, RunFolder


def column(table: pd.DataFrame, **wanted: object) -> pd.Series:
    chosen = np.logical_and.reduce([table[key] == value for key, value in wanted.items()])
    return table[chosen]["value"]


def read_table(folder):
    return pd.read_csv(folder / "results.csv", keep_default_na=False, na_values={"value": [""]})


def test_each_nominal_class_is_audited_and_the_means_are_over_them(classes_run):
    found = json.loads((classes_run.folder / "findings.json").read_text())
    assert found == classes_run.as_json()
    assert found["schema"] == SCHEMA
    asked = [(f["nominal_class"], f["detector"], f["prevalence"]) for f in found["findings"]]
    detectors = (("fcdd", 0.5), ("fcdd", 1.0), ("ae", 0.5), ("ae", 1.0))
    assert asked == [(name, *which) for name in ("airplane", "cat") for which in detectors]
    table = read_table(classes_run.folder)
    for mean, (detector, prevalence) in zip(found["means"], detectors, strict=True):
        assert (mean["detector"], mean["prevalence"], mean["classes"]) == (detector, prevalence, 2)
        assert mean["verdicts"] == {"inconclusive": 2}
        of = {"detector": detector, "prevalence": prevalence, "metric": "reliance"}
        airplane, cat = (column(table, nominal_class=name, **of).item() for name in ("airplane", "cat"))
        assert mean["reliance"] == pytest.approx((airplane + cat) / 2, abs=1e-12)
        assert column(table, nominal_class="mean", **of).item() == pytest.approx(
            (airplane + cat) / 2, abs=1e-12
        )
        clean = {"detector": detector, "metric": "auroc", "split": "clean"}
        control, planted = (
            [
                column(table, nominal_class=name, twin=twin, prevalence=share, **clean).item()
                for name in ("airplane", "cat")
            ]
            for twin, share in (("control", 0.0), ("planted", prevalence))
        )
        assert mean["control_auroc"] == pytest.approx(sum(control) / 2, abs=1e-12)
        assert mean["planted_auroc"] == pytest.approx(sum(planted) / 2, abs=1e-12)


def test_every_number_of_two_classes_has_one_mean_row(classes_run):
    table = read_table(classes_run.folder)
    keys = [name for name in table if name not in ("nominal_class", "value")]
    assert not table.duplicated([*keys, "nominal_class"]).any()
    by_class = table.pivot(index=keys, columns="nominal_class", values="value")
    assert set(by_class) == {"airplane", "cat", "mean"}
    np.testing.assert_allclose(by_class["mean"], by_class[["airplane", "cat"]].mean(axis=1), atol=1e-12)
    assert list(table["nominal_class"].unique()) == ["airplane", "cat", "mean"], "means come last"


def test_a_run_of_several_classes_describes_each(classes_run):
    config = json.loads((classes_run.folder / "config.json").read_text())
    assert [data["nominal_class"] for data in config["data"]] == ["airplane", "cat"]
    assert config["data"][0]["fingerprint"] != config["data"][1]["fingerprint"]
    assert [data["images"]["test_anomalous"] for data in config["data"]] == [6, 7]  # the dogs are anomalies
    assert config["config"]["data"]["nominal_class"] == ["airplane", "cat"]
    assert len(config["questions"]) == len(classes_run.findings)
    for question in config["questions"]:
        shown = RunFolder(classes_run.folder).read_arrays(question["examples"])
        assert len(shown["clean"]) == 1 + max(
            one["row"]
            for other in config["questions"]
            for one in other["pictured"]
            if other["examples"] == question["examples"]
        )
        assert all(question["nominal_class"] in name for name in shown["name"][:2])
        assert question["seeds"] == [0]
    keys = {key for question in config["questions"] for key in (*question["planted"], *question["control"])}
    assert {path.name for path in (classes_run.folder / "store" / "trained").iterdir()} == keys
    assert len(keys) == 2 * 2 * 3
    work = {"detectors": 12, "cells": 12 + 4, "trained": 12, "measured": 12 + 4, "failed": 0}
    assert config["work"] == work, "and the controls' networks before training"
    drawn = [question["heat"] for question in config["questions"]]
    assert drawn == [*(f"heat-{place}.npz" for place in range(6)), None, None], "as many as have pictures"
    assert {path.name for path in classes_run.folder.glob("heat-*")} == set(drawn) - {None}


def test_an_audit_of_one_class_is_what_it_is_among_several(classes_run, classes_config, work_of, tmp_path):
    """And it has no means."""
    config = classes_config.having(nominal_class="cat", out=tmp_path, store=classes_run.folder / "store")
    result = run_audit(config)
    work = work_of(result.folder)
    assert (work["detectors"], work["trained"], work["measured"]) == (6, 0, 0)
    several, alone = read_table(classes_run.folder), read_table(result.folder)
    pd.testing.assert_frame_equal(several[several["nominal_class"] == "cat"].reset_index(drop=True), alone)
    assert result.as_json()["means"] == []


class Stop(Exception):  # noqa: N818  (stands for Ctrl-C)
    pass


def stopping_after(count, monkeypatch):
    """Make an audit stop once it has trained so many detectors."""
    left = iter(range(count))

    def train_or_stop(stack, setup, device, on_step):
        if next(left, None) is None:
            raise Stop
        return train_stack(stack, setup, device, on_step)

    monkeypatch.setattr("fcdd_audit.experiment.trainings.train_stack", train_or_stop)


def test_an_audit_stopped_in_its_second_class_goes_on_to_the_same_files(
    classes_run, classes_config, work_of, tmp_path, monkeypatch
):
    config = classes_config.having(out=tmp_path)
    folder = tmp_path / classes_run.folder.name
    stopping_after(8, monkeypatch)
    with pytest.raises(Stop):
        run_audit(config)
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == ["store"]
    assert len(list(folder.glob("store/trained/*"))) == 8
    monkeypatch.undo()
    run_audit(config)
    work = work_of(folder)
    assert (work["detectors"], work["trained"], work["failed"]) == (12, 4, 0)
    for name in ("results.csv", "findings.json"):
        assert (folder / name).read_bytes() == (classes_run.folder / name).read_bytes()


def test_another_class_in_the_same_folder_replaces_everything_or_nothing(
    classes_run, classes_config, tmp_path, monkeypatch
):
    folder = tmp_path / classes_run.folder.name
    shutil.copytree(classes_run.folder, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    other = classes_config.having(out=tmp_path, nominal_class="cat", seeds=2)
    stopping_after(1, monkeypatch)
    with pytest.raises(Stop):
        run_audit(other)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert render_report(folder).read_bytes() == before["report.html"]
    monkeypatch.undo()
    run_audit(other)
    assert set(read_table(folder)["nominal_class"]) == {"cat"}
    assert "cat" in RunFolder(folder).read_arrays("examples-0.npz")["name"][0]
    assert "nominal class <b>cat</b>" in (folder / "report.html").read_text()


def test_a_class_that_cannot_be_audited_is_said_before_another_is_trained(classes_config, tmp_path):
    with pytest.raises(InputError, match=r"3 images of dog; at least 10 are needed"):
        run_audit(classes_config.having(nominal_class="airplane,dog", out=tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_estimate_is_over_all_classes(classes_run, classes_config, left_of):
    whole = estimate(classes_config.having(seeds=2))
    assert left_of(whole) == {"detectors": 24, "to_train": 12, "cells": 28, "to_measure": 12}
    assert whole.images["test_anomalous"] == 6 + 7
    assert whole.seconds > 0


def test_outliers_may_be_left_out_where_none_are_learnt_from(classes_config, tmp_path):
    config = classes_config.having(oe="none", detectors=("ae",), prevalence=(1.0,), out=tmp_path)
    assert len(run_audit(config).as_json()["means"]) == 1
    with pytest.raises(InputError, match="fcdd learns from training anomalies and 'cifar10-oe' has none"):
        run_audit(config.having(detectors=("fcdd",)))


def test_every_class_is_explained_by_more(classes_run, tmp_path, work_of, without_page, monkeypatch):
    run = shutil.copytree(classes_run.folder, tmp_path / classes_run.folder.name)
    monkeypatch.setattr(
        "fcdd_audit.experiment.trainings.train_stack", lambda *_: pytest.fail("a detector was trained")
    )
    result = explain_run(run, ("edges",), explained=1)
    assert len(result.findings) == 8
    assert {one.explainer for finding in result.findings for one in finding.explainers} == {"native", "edges"}
    assert work_of(run) == {"detectors": 12, "cells": 16, "trained": 0, "measured": 12, "failed": 0}


def test_a_class_of_which_nothing_could_be_trained_has_no_numbers(classes_config, tmp_path, monkeypatch):
    """The other class has; a mean over it alone is none."""

    def train_or_fail(stack, setup, *arguments):
        if setup.data.nominal_class == "cat":
            return [(None, DivergedError("ae diverged in epoch 1"))]
        return train_stack(stack, setup, *arguments)

    monkeypatch.setattr("fcdd_audit.experiment.trainings.train_stack", train_or_fail)
    result = run_audit(classes_config.having(oe="none", detectors=("ae",), prevalence=(1.0,), out=tmp_path))
    airplane, cat = result.findings
    assert (airplane.seeds, airplane.failed, cat.seeds, len(cat.failed)) == (1, (), 0, 2)
    found = json.loads((result.folder / "findings.json").read_text())
    assert found == json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert found["means"][0]["reliance"] is None
    assert set(read_table(result.folder)["nominal_class"]) == {"airplane"}
    config = json.loads((result.folder / "config.json").read_text())
    assert [question["heat"] for question in config["questions"]] == ["heat-0.npz", None]
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    assert "Why: 0 of 1 pairs are left" in words
    assert (config["work"]["detectors"], config["work"]["failed"]) == (4, 2)
