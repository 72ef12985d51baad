"""End to end on real photographs."""

import json
import os
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

from fcdd_audit import DETECTORS, InputError, Recipe, make_config, run_audit
from fcdd_audit.config.parts import RunSettings
from fcdd_audit.designs.twins.estimate import estimate
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.experiment.finishing import engaged
from fcdd_audit.experiment.identity import scored_place, trained_place
from fcdd_audit.experiment.kept import read_frame, read_scores
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Work, explained_record
from fcdd_audit.measures.effects import score_numbers
from fcdd_audit.verdict.evidence import Evidence
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.looks import single_look
from fcdd_audit.verdict.thresholds import Thresholds

QUICK = Recipe.of(epochs=1)
SMALL = make_config(image_size=32, seeds=1, recipe=QUICK, detectors=("fcdd",), explainers=("native",))


def column(table: pd.DataFrame, **wanted: object) -> pd.Series:
    chosen = np.logical_and.reduce([table[key] == value for key, value in wanted.items()])
    return table[chosen]["value"]


def test_fcdd_controls_work_on_the_default_data(default_table):
    controls = column(default_table, twin="control", split="clean", metric="auroc")
    assert len(controls) == 3
    assert controls.min() >= 0.9


def test_fcdd_planted_on_every_oe_image_relies_on_the_watermark(default_run):
    (finding,) = default_run.findings
    assert (finding.detector, finding.plant_on, finding.prevalence) == ("fcdd", "anomalous", 1.0)
    assert finding.verdict == "relies"
    assert finding.dependence.low > 0.5
    assert (finding.harm, finding.seeds, finding.looks) == ("alarms", 3, (3,))
    assert finding.pairs_relying == finding.pairs_harmed == 3
    assert finding.reliance.value > 0.05
    native = finding.explainers[0]
    assert native.explainer == "native"
    assert native.excess_pixel_auroc.value > 0


def test_reference_maps_have_no_excess(default_run):
    random = next(e for e in default_run.findings[0].explainers if e.explainer == "random")
    assert random.reference
    assert random.excess_pixel_auroc.value == 0
    assert (random.reveals, random.quadrant) == ("inconclusive", "undecided")
    for overlap in random.overlaps:
        if overlap.measure == "pixel_auroc":  # smooth noise: chance, give or take few blobs
            assert overlap.planted.value == pytest.approx(0.5, abs=0.1)


def test_two_clean_twins_of_unrelated_seeds_give_no_verdict_of_reliance(default_run, default_config):
    """A null: the twins differ in everything but the artifact."""
    setup = prepare(default_config)
    (question,) = plan(default_config, setup)
    store = Store(default_run.folder / "store")
    strangers = [replace(cell, seed=cell.seed + 100) for cell in question.control]
    with store.opened(), engaged(RunSettings(workers=2), store) as finisher:
        assert finisher.finish_works([Work(cell) for cell in strangers], setup) == {}
    controls, others = (
        [read_scores(store.read(scored_place(cell, setup)).files["scores.csv"]) for cell in cells]
        for cells in (question.control, strangers)
    )
    for planted, control in ((others, controls), (controls, others)):
        null = Evidence(
            *("retina", "retina", "fcdd", "watermark", "anomalous", 1.0, 400),
            scores=score_numbers(planted, control, "anomalous", 0.95),
            turns=(0, 1, 2),
            looks=single_look(3),
        )
        assert judge([null], Thresholds())[0].verdict != "relies"


def test_numbers_of_the_report_are_those_of_the_table(default_run, default_table):
    (finding,) = default_run.findings
    per_seed = column(default_table, twin="planted-control", metric="reliance")
    assert finding.reliance.value == pytest.approx(per_seed.mean(), abs=1e-12)
    for explainer in finding.explainers:
        excess = column(
            default_table,
            metric="excess_pixel_auroc",
            explainer=explainer.explainer,
            split=f"marked-{explainer.side}",
        )
        assert explainer.excess_pixel_auroc.value == pytest.approx(excess.mean(), abs=1e-12)
    for name in ("dependence", "excess_alarms"):
        shown = {"dependence": finding.dependence, "excess_alarms": finding.alarms}[name]
        own = column(default_table, twin="planted-control", metric=name)
        assert shown.value == pytest.approx(own.mean(), abs=1e-12)
    auroc = {
        (twin, split): column(default_table, twin=twin, split=split, metric="auroc").to_numpy()
        for twin in ("planted", "control")
        for split in ("clean", "conflict")
    }
    drops = {twin: auroc[twin, "clean"] - auroc[twin, "conflict"] for twin in ("planted", "control")}
    np.testing.assert_allclose(per_seed, drops["planted"] - drops["control"], atol=1e-12)


def test_heat_share_of_a_stored_example_matches_the_table(default_run, default_config):
    setup = prepare(default_config)
    (question,) = plan(default_config, setup)
    store = Store(default_run.folder / "store")
    with np.load(default_run.folder / "heat-0.npz") as stored:
        kept = dict(stored)
    pictured = json.loads((default_run.folder / "config.json").read_text())["questions"][0]["pictured"]
    with np.load(default_run.folder / "examples-0.npz") as examples:
        row = pictured[0]["row"]  # of the image that is affected most
        name, mask = str(examples["name"][row]), examples["mask"][row, 0]
    for twin, cell in (("planted", question.planted[0]), ("control", question.control[0])):
        heat = kept[f"maps.{twin}.native"][0].astype(np.float32) * kept[f"scale.{twin}.native"]
        rows = read_frame(
            explained_record(store, Work(cell, explained=16), setup, "native").files["overlaps.csv"]
        )
        exact = rows[(rows["part"] == "nominal") & (rows["mask"] == "exact")].set_index("image")
        mass = exact["relevance_mass"][name]
        assert heat[mask].sum() / heat.sum() == pytest.approx(mass, rel=5e-3)


def test_a_stored_detector_gives_its_stored_scores(default_run, default_config):
    from fcdd_audit.detectors import build

    setup = prepare(default_config)
    cell = plan(default_config, setup)[0].planted[0]
    store = Store(default_run.folder / "store")
    detector = build("fcdd", setup.data.train_nominal.images, 99)
    detector.load_state_dict(load_file(store.path / trained_place(cell, setup)[0] / "detector.safetensors"))
    with torch.no_grad():
        scores = detector.eval().score(setup.pairs["nominal"].variants["clean"].float() / 255)
    stored = read_scores(store.read(scored_place(cell, setup)).files["scores.csv"])
    np.testing.assert_allclose(scores, stored.of["nominal", "clean"], rtol=1e-4)


def test_the_same_command_again_uses_all_records_and_changes_nothing(
    default_run, default_config, in_store, work_of
):
    store, table = default_run.folder / "store", (default_run.folder / "results.csv").read_bytes()
    before = in_store(store)
    run_audit(default_config)
    assert in_store(store) == before
    assert (default_run.folder / "results.csv").read_bytes() == table
    work = {"detectors": 6, "cells": 6 + 1, "trained": 0, "measured": 0, "failed": 0}
    assert work_of(default_run.folder) == work, "and the first control's network before training"


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
    trained = list((result.folder / "store" / "trained").iterdir())
    assert len(trained) == 3, "one control serves both prevalences"
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
    assert not (result.folder / "store").exists()
    assert "identical by construction" in result.report.read_text()


def test_a_killed_audit_resumes_to_the_same_table(in_store, work_of, tmp_path):
    """kill -9 in the middle, then to the end: byte for byte what an undisturbed run gives."""
    settings = {"image_size": 32, "epochs": 2, "detector": "fcdd", "explainer": "native", "seeds": 2}
    command = [sys.executable, "-m", "fcdd_audit", "run", "--workers", "2", "--quiet"]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    store = tmp_path / "killed" / "retina-watermark" / "store"

    def trained() -> set[str]:
        return {path.name for path in store.glob("trained/*")}

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
        wait_for(lambda: trained() or process.poll() is not None)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL, "the audit ended before it could be killed"
    wait_for(group_is_gone)  # its workers end with it
    survived, written = trained(), in_store(store)
    assert 1 <= len(survived) < 4
    for out, workers in (("killed", 2), ("whole", 1)):
        run_audit(make_config(settings, {"workers": workers, "out": tmp_path / out}))
    assert survived < trained()
    assert len(trained()) == 4
    assert written.items() <= in_store(store).items(), "no record is made twice"
    assert work_of(store.parent)["trained"] == 4 - len(survived)
    assert not list(tmp_path.rglob(".[rt][mu][np]-*"))
    for name in ("results.csv", "findings.json"):
        killed, whole = (
            (tmp_path / out / "retina-watermark" / name).read_bytes() for out in ("killed", "whole")
        )
        assert killed == whole


def test_the_estimate_counts_cells_and_writes_nothing(left_of, tmp_path):
    plan = estimate(SMALL.having(seeds=2, prevalence=(0.5, 1.0), out=tmp_path / "reports"))
    assert left_of(plan) == {"detectors": 6, "to_train": 6, "cells": 7, "to_measure": 7}
    assert plan.why == {}
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
