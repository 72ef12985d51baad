"""End to end on real photographs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fcdd_audit import (
    DETECTORS,
    InputError,
    Recipe,
    make_config,
    render_report,
    run_audit,
)
from fcdd_audit.designs.twins.estimate import estimate
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.experiment import engines
from fcdd_audit.experiment.cells import cell_key, run_cell
from fcdd_audit.experiment.engines import run_cells
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.experiment.store import RunStore
from fcdd_audit.verdict.findings import Evidence
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.thresholds import Thresholds

QUICK = Recipe.of(epochs=1)
SMALL = make_config(image_size=32, seeds=1, recipe=QUICK, detectors=("fcdd",), explainers=("native",))


def column(table: pd.DataFrame, **wanted: object) -> pd.Series:
    chosen = np.logical_and.reduce([table[key] == value for key, value in wanted.items()])
    return table[chosen]["value"]


def test_fcdd_controls_work_on_clean_textures(textures_table):
    controls = column(textures_table, twin="control", split="clean", metric="auroc")
    assert len(controls) == 5
    assert controls.min() >= 0.97


def test_fcdd_planted_on_every_oe_image_relies_on_the_watermark(textures_run):
    (finding,) = textures_run.findings
    assert (finding.detector, finding.plant_on, finding.prevalence) == ("fcdd", "anomalous", 1.0)
    assert finding.verdict == "relies"
    assert finding.reliance.low > 0.05
    native = finding.explainers[0]
    assert native.explainer == "native"
    assert native.excess_pixel_auroc.low > 0


def test_reference_maps_have_no_excess(textures_run):
    random = next(e for e in textures_run.findings[0].explainers if e.explainer == "random")
    assert random.reference
    assert random.excess_pixel_auroc.value == 0
    assert (random.reveals, random.quadrant) == ("inconclusive", "undecided")
    overlap = random.overlaps[0].planted
    assert overlap.value == pytest.approx(0.5, abs=0.06)  # smooth noise: chance, give or take few blobs


def test_two_clean_twins_of_unrelated_seeds_give_no_verdict_of_reliance(textures_run, textures_config):
    """A null: the twins differ in everything but the artifact."""
    setup = prepare(textures_config)
    (question,) = plan(textures_config, setup)
    unexplained = replace(setup, explainers=())
    run = RunStore(textures_run.folder)
    strangers = [replace(cell, seed=cell.seed + 100) for cell in question.control]
    run_cells(strangers, unexplained, run, workers=2)
    controls, others = (
        [run.read_cell(cell_key(cell, own)).scores for cell in cells]
        for cells, own in ((question.control, setup), (strangers, unexplained))
    )
    for planted, control in ((others, controls), (controls, others)):
        null = Evidence(
            "textures", "grass", "fcdd", "watermark", "anomalous", 1.0, 180, planted, control, {}, {}
        )
        assert judge([null], Thresholds())[0].verdict != "relies"


def test_numbers_of_the_report_are_those_of_the_table(textures_run, textures_table):
    (finding,) = textures_run.findings
    per_seed = column(textures_table, twin="planted-control", metric="reliance")
    assert finding.reliance.value == pytest.approx(per_seed.mean(), abs=1e-12)
    for explainer in finding.explainers:
        excess = column(textures_table, metric="excess_pixel_auroc", explainer=explainer.explainer)
        assert explainer.excess_pixel_auroc.value == pytest.approx(excess.mean(), abs=1e-12)
    auroc = {
        (twin, split): column(textures_table, twin=twin, split=split, metric="auroc").to_numpy()
        for twin in ("planted", "control")
        for split in ("clean", "conflict")
    }
    drops = {twin: auroc[twin, "clean"] - auroc[twin, "conflict"] for twin in ("planted", "control")}
    np.testing.assert_allclose(per_seed, drops["planted"] - drops["control"], atol=1e-12)


def test_heat_share_of_a_stored_example_matches_the_table(textures_run, textures_config):
    setup = prepare(textures_config)
    (question,) = plan(textures_config, setup)
    key = cell_key(question.planted[0], setup)
    run = RunStore(textures_run.folder)
    heat = run.read_heatmaps(key)["native"][0]
    mask = setup.pairs["nominal"].mask[0, 0].numpy()
    rows = run.read_cell(key).localization
    first = rows[(rows["explainer"] == "native") & (rows["part"] == "nominal") & (rows["mask"] == "exact")]
    assert heat[mask].sum() / heat.sum() == pytest.approx(first["relevance_mass"].iloc[0], rel=5e-3)


def test_a_stored_detector_gives_its_stored_scores(textures_run, textures_config):
    from fcdd_audit.detectors import build

    setup = prepare(textures_config)
    cell = plan(textures_config, setup)[0].planted[0]
    run = RunStore(textures_run.folder)
    detector = build("fcdd", setup.data.train_nominal.images, 99)
    detector.load_state_dict(load_file(run.cells / cell_key(cell, setup) / "detector.safetensors"))
    with torch.no_grad():
        scores = detector.eval().score(setup.pairs["nominal"].variants["clean"].float() / 255)
    np.testing.assert_allclose(
        scores, run.read_cell(cell_key(cell, setup)).scores.of["nominal", "clean"], rtol=1e-4
    )


def test_the_same_command_again_reuses_every_cell_and_changes_nothing(textures_run, textures_config):
    def stamps() -> dict[str, int]:
        return {p.name: p.stat().st_mtime_ns for p in (textures_run.folder / "cells").iterdir()}

    cells, table = stamps(), (textures_run.folder / "results.csv").read_bytes()
    run_audit(textures_config)
    assert stamps() == cells
    assert (textures_run.folder / "results.csv").read_bytes() == table


@pytest.mark.parametrize("detector", list(DETECTORS))
def test_every_detector_goes_through_an_audit_with_every_explainer(detector, tmp_path):
    config = SMALL.having(
        detectors=(detector,),
        explainers=("all",),
        explained=2,
        sanity=1,
        out=tmp_path,
        workers=1,
        prevalence=(0.5, 1.0),
    )
    result = run_audit(config)
    assert len(result.findings) == 2
    for finding in result.findings:
        assert finding.verdict == "inconclusive"
        assert "at least 3" in finding.reason
        assert np.isnan(finding.reliance.low)
    stored = json.loads((result.folder / "findings.json").read_text())
    assert stored == result.as_json()
    table = pd.read_csv(result.folder / "results.csv", keep_default_na=False)
    assert set(table["twin"]) == {"control", "planted", "planted-control"}
    undefined = table["metric"].isin(["rank_correlation", "structural_similarity"])  # of flat maps
    assert (table.loc[~undefined, "value"] != "").all()
    assert {"untrained", "cascade-1", "noise", "twins", "deletion"} <= set(table["split"])
    assert (result.folder / "comparison.html").is_file()
    assert len(list((result.folder / "cells").iterdir())) == 3  # one control serves both prevalences
    assert result.report.read_text().startswith("<!doctype html>")


def test_a_prevalence_of_0_gets_words_instead_of_a_number(tmp_path):
    (finding,) = run_audit(SMALL.having(prevalence=(0.0,), out=tmp_path, workers=1)).findings
    assert finding.reason == "identical by construction: at prevalence 0 nothing is planted"
    assert finding.reliance is None


def test_the_number_of_workers_does_not_change_a_number(tmp_path):
    tables = [
        (run_audit(SMALL.having(out=tmp_path / str(n), workers=n)).folder / "results.csv").read_bytes()
        for n in (1, 2)
    ]
    assert tables[0] == tables[1]


def test_a_side_the_detector_cannot_learn_from_gets_words_and_no_number(tmp_path):
    result = run_audit(SMALL.having(detectors=("ae",), plant_on="anomalous", out=tmp_path, workers=1))
    (finding,) = result.findings
    assert finding.reason.startswith("identical by construction")
    assert finding.reliance is None
    assert finding.verdict == "inconclusive"
    assert not list((result.folder / "cells").iterdir())
    assert "identical by construction" in result.report.read_text()


def test_a_killed_audit_resumes_to_the_same_table(tmp_path):
    """kill -9 in the middle, then to the end: byte for byte what an undisturbed run gives."""
    settings = {"image_size": 32, "epochs": 2, "detector": "fcdd", "explainer": "native", "seeds": 2}
    command = [sys.executable, "-m", "fcdd_audit", "run", "--workers", "2", "--quiet"]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    cells = tmp_path / "killed" / "textures-watermark" / "cells"

    def wait_for(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert condition()

    def group_is_gone() -> bool:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    process = subprocess.Popen([*command, "--out", tmp_path / "killed"], start_new_session=True)
    try:
        wait_for(lambda: list(cells.glob("[!.]*")) or process.poll() is not None)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL, "the audit ended before it could be killed"
    wait_for(group_is_gone)  # its workers end with it
    survived = set(cells.glob("[!.]*"))
    assert 1 <= len(survived) < 4
    for out, workers in (("killed", 2), ("whole", 1)):
        run_audit(make_config(settings, {"workers": workers, "out": tmp_path / out}))
    assert survived < set(cells.iterdir())
    assert len(list(cells.iterdir())) == 4
    assert not list(tmp_path.rglob(".tmp-*"))
    for name in ("results.csv", "findings.json"):
        killed, whole = (
            (tmp_path / out / "textures-watermark" / name).read_bytes() for out in ("killed", "whole")
        )
        assert killed == whole


def test_a_damaged_cell_is_run_again(tmp_path):
    config = SMALL.having(out=tmp_path, workers=1)
    result = run_audit(config)
    before = (result.folder / "results.csv").read_bytes()
    victim = next((result.folder / "cells").iterdir())
    (victim / "scores.csv").unlink()
    run_audit(config)
    assert (victim / "scores.csv").is_file()
    assert (result.folder / "results.csv").read_bytes() == before


def test_the_estimate_counts_cells_and_writes_nothing(tmp_path):
    plan = estimate(SMALL.having(seeds=2, prevalence=(0.5, 1.0), out=tmp_path / "reports"))
    assert (plan.cells, plan.finished) == (6, 0)
    assert plan.seconds > 0
    assert not (tmp_path / "reports").exists()


def test_what_cannot_run_is_said_before_anything_is_trained(tmp_path):
    with pytest.raises(InputError, match="plants the artifact on none"):
        run_audit(SMALL.having(prevalence=(1e-5,), out=tmp_path))
    with pytest.raises(InputError, match="none of the explainers native works on hsc"):
        run_audit(SMALL.having(detectors=("hsc",), out=tmp_path))
    with pytest.raises(InputError, match="doesn't fit"):
        run_audit(
            SMALL.having(image_size=16, options={"watermark": {"text": "much too long a text"}}, out=tmp_path)
        )


def test_masks_of_true_defects_are_measured_on_clean_images(tmp_path):
    """A folder of photo crops with a bright square as the defect, and its mask."""
    rng = np.random.default_rng(0)
    for part, count in (("train/nominal", 24), ("test/nominal", 4), ("test/anomalous", 4)):
        (tmp_path / "data" / part).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(90, 130, (40, 40), dtype=np.uint8)
            if part == "test/anomalous":
                pixels[10:20, 20:30] = 255
            Image.fromarray(pixels).save(tmp_path / "data" / part / f"{i}.png")
    (tmp_path / "data" / "masks").mkdir()
    square = np.zeros((40, 40), np.uint8)
    square[10:20, 20:30] = 255
    for i in range(3):  # one image has none
        Image.fromarray(square).save(tmp_path / "data" / "masks" / f"{i}.png")
    config = make_config(
        dataset="folder",
        data_root=tmp_path / "data",
        image_size=32,
        detectors=("ae",),
        seeds=1,
        explainers=("native", "edges"),
        recipe=Recipe.of(epochs=2, batch_size=8),
        out=tmp_path,
        workers=1,
    )
    result = run_audit(config)
    table = pd.read_csv(result.folder / "results.csv")
    assert column(
        table, split="defect", metric="area", explainer="native", twin="control"
    ).item() == pytest.approx(64 / 1024, abs=0.02)
    assert (
        column(table, split="defect", metric="pixel_auroc", explainer="native", twin="control").item() > 0.9
    )


# Several nominal classes


def read_table(folder):
    return pd.read_csv(folder / "results.csv", keep_default_na=False, na_values={"value": [""]})


def test_each_nominal_class_is_audited_and_the_means_are_over_them(classes_run):
    found = json.loads((classes_run.folder / "findings.json").read_text())
    assert found == classes_run.as_json()
    assert found["schema"] == 4
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
        shown = RunStore(classes_run.folder).read_arrays(question["examples"])
        assert len(shown["clean"]) == 4
        assert all(question["nominal_class"] in name for name in shown["name"][:2])
    cells = {key for question in config["questions"] for key in (*question["planted"], *question["control"])}
    assert {path.name for path in (classes_run.folder / "cells").iterdir()} == cells
    assert len(cells) == 2 * 2 * 3


def test_an_audit_of_one_class_is_what_it_is_among_several(classes_run, classes_config, tmp_path):
    """And it has no means."""
    shutil.copytree(classes_run.folder / "cells", tmp_path / classes_run.folder.name / "cells")
    result = run_audit(classes_config.having(nominal_class="cat", out=tmp_path))
    assert json.loads((result.folder / "config.json").read_text())["cells_reused"] == 6
    several, alone = read_table(classes_run.folder), read_table(result.folder)
    pd.testing.assert_frame_equal(several[several["nominal_class"] == "cat"].reset_index(drop=True), alone)
    assert result.as_json()["means"] == []


class Stop(Exception):  # noqa: N818  (stands for Ctrl-C)
    pass


def stopping_after(count, monkeypatch):
    """Make the engine stop once it has run so many cells."""
    left = iter(range(count))

    def run_or_stop(cell, setup, on_step):
        if next(left, None) is None:
            raise Stop
        return run_cell(cell, setup, on_step)

    monkeypatch.setattr(engines, "run_cell", run_or_stop)


def test_an_audit_stopped_in_its_second_class_goes_on_to_the_same_files(
    classes_run, classes_config, tmp_path, monkeypatch
):
    config = classes_config.having(out=tmp_path)
    folder = tmp_path / classes_run.folder.name
    stopping_after(8, monkeypatch)
    with pytest.raises(Stop):
        run_audit(config)
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == ["cells"]
    assert len(list((folder / "cells").iterdir())) == 8
    monkeypatch.undo()
    run_audit(config)
    assert json.loads((folder / "config.json").read_text())["cells_reused"] == 8
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
    assert "cat" in RunStore(folder).read_arrays("examples-0.npz")["name"][0]
    assert "nominal class <b>cat</b>" in (folder / "report.html").read_text()


def test_a_class_that_cannot_be_audited_is_said_before_another_is_trained(classes_config, tmp_path):
    with pytest.raises(InputError, match=r"3 images of dog; at least 10 are needed"):
        run_audit(classes_config.having(nominal_class="airplane,dog", out=tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_estimate_is_over_all_classes(classes_run, classes_config):
    whole = estimate(classes_config.having(seeds=2))
    assert (whole.cells, whole.finished) == (24, 12)
    assert whole.images["test_anomalous"] == 6 + 7
    assert whole.seconds > 0


def test_outliers_may_be_left_out_where_none_are_learnt_from(classes_config, tmp_path):
    config = classes_config.having(oe="none", detectors=("ae",), prevalence=(1.0,), out=tmp_path)
    assert len(run_audit(config).as_json()["means"]) == 1
    with pytest.raises(InputError, match="fcdd learns from training anomalies and 'cifar10-oe' has none"):
        run_audit(config.having(detectors=("fcdd",)))
