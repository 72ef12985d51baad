"""Audits of artifacts that are found in the data, not planted: by their removal."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import auc as area_under

from fcdd_audit import Recipe, make_config, render_report, run_audit
from fcdd_audit.designs.twins.estimate import estimate
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.replant import Replant
from fcdd_audit.experiment.folder import RunFolder
from fcdd_audit.experiment.setup import Subject, prepare
from fcdd_audit.measures.detection import auroc


@pytest.fixture(scope="module")
def audited(squares_config):
    config = squares_config.having(detectors=("fcdd", "ae"), seeds=3, halves="removed")
    return config, run_audit(config)


def test_a_finding_says_where_the_artifact_was_found_and_what_removing_as_much_elsewhere_does(audited):
    _, result = audited
    fcdd, ae = result.findings
    assert (fcdd.plant_on, fcdd.prevalence, fcdd.probe) == ("found-on-anomalous", 6 / 8, "mask")
    measures = [effect.measure for effect in fcdd.effects]
    assert measures == [
        "clean_auroc",
        "usual_auroc",
        "aligned_auroc",
        "conflict_auroc",
        "drop",
        "drop_elsewhere",
        "score_shift",
        "new_alarms",
        "right_in_use",
        "flip_rate",
    ]
    assert np.isfinite(fcdd.reliance.value)
    effects = {effect.measure: effect for effect in fcdd.effects}
    assert fcdd.control_auroc == effects["usual_auroc"].control.value
    assert fcdd.planted_auroc == effects["usual_auroc"].planted.value
    assert ae.reason == (
        "identical by construction: no nominal training image, from which ae learns, bears it"
    )
    assert (ae.plant_on, ae.prevalence, ae.reliance, ae.verdict) == (
        "found-on-nominal",
        0,
        None,
        "inconclusive",
    )
    assert json.loads((result.folder / "findings.json").read_text()) == result.as_json()


def test_of_the_side_where_it_is_removed_only_images_that_bear_it_count(audited, measured_in):
    _, result = audited
    config = json.loads((result.folder / "config.json").read_text())
    question, other = config["questions"]
    bearing = [f"test/anomalous/{index}.png" for index in (1, 2, 4)]
    assert question["bearing"] == bearing
    assert other["bearing"] is None
    table = pd.read_csv(result.folder / "results.csv")
    assert set(table["split"]) >= {"clean", "marked", "aligned", "conflict", "elsewhere", "validation"}
    for twin in ("planted", "control"):
        for seed, key in enumerate(question[twin]):
            scores = pd.read_csv(measured_in(result.folder / "store", key) / "scores.csv")

            def of(part, variant, scores=scores):
                mine = scores[(scores["part"] == part) & (scores["variant"] == variant)]
                return mine[mine["image"].isin(bearing) | (part == "nominal")]["score"].to_numpy()

            assert len(of("anomalous", "clean")) == 3
            usual = auroc(of("nominal", "marked"), of("anomalous", "marked"))
            conflict = auroc(of("nominal", "marked"), of("anomalous", "clean"))
            elsewhere = auroc(of("nominal", "marked"), of("anomalous", "elsewhere"))
            rows = table[(table["twin"] == twin) & (table["seed"] == seed) & table["explainer"].isna()]
            found = rows.set_index(["split", "metric"])["value"]
            assert found["marked", "auroc"] == pytest.approx(usual, abs=1e-12)
            assert found["conflict", "auroc"] == pytest.approx(conflict, abs=1e-12)
            assert found["conflict", "drop"] == pytest.approx(usual - conflict, abs=1e-12)
            assert found["elsewhere", "drop"] == pytest.approx(usual - elsewhere, abs=1e-12)


def test_the_report_speaks_of_what_was_found(audited):
    _, result = audited
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    for text in (
        "In training the artifact was found on 75 % of the anomalous training images",
        "removed from the anomalous test images that bear it",
        "In use: as found.",
        "AUROC, in use",
        "drop, as much removed elsewhere",
        "For the control twin the artifact is filled in from around it.",
        "identical by construction: no nominal training image, from which ae learns, bears it",
    ):
        assert text in words, text
    before = result.report.read_bytes()
    assert render_report(result.folder).read_bytes() == before


def test_curves_and_distributions_are_of_the_images_that_count(audited):
    _, result = audited
    run = RunFolder(result.folder)
    scores = run.read_table("scores.csv")
    assert set(scores["question"]) == {0}, "the other has no twins"
    assert set(scores["variant"]) == {"clean", "marked", "elsewhere"}
    counts = scores.groupby(["twin", "part", "variant"])["image"].nunique()
    assert counts.groupby("part").unique().map(list).to_dict() == {"anomalous": [3], "nominal": [6]}
    kept = scores[scores["part"] == "anomalous"]["image"].unique().tolist()
    assert kept == [f"test/anomalous/{index}.png" for index in (1, 2, 4)]
    curves = run.read_table("curves.csv")
    assert set(curves["question"]) == {0}
    first = scores[(scores["twin"] == "planted") & (scores["part"] == "anomalous")]
    nominal = scores[(scores["twin"] == "planted") & (scores["part"] == "nominal")]
    for name, variant in (("in use", "marked"), ("conflict", "clean")):
        drawn = curves[(curves["twin"] == "planted") & (curves["seed"] == 0) & (curves["set"] == name)]
        of = nominal[nominal["variant"] == "marked"]["score"], first[first["variant"] == variant]["score"]
        assert area_under(drawn["fpr"], drawn["tpr"]) == pytest.approx(auroc(*map(np.array, of)), abs=1e-12)


def test_pictures_and_heatmaps_are_of_images_that_bear_it(audited, measured_in):
    _, result = audited
    with np.load(result.folder / "examples-0.npz") as examples:
        assert examples["mask"].any(axis=(1, 2, 3)).all()
        names = examples["name"].tolist()
        changed = (examples["clean"] != examples["marked"]).any(axis=1, keepdims=True)
        assert not (changed & ~examples["mask"]).any()
    question = json.loads((result.folder / "config.json").read_text())["questions"][0]
    pictured = {one["why"]: names[one["row"]] for one in question["pictured"]}
    scores = pd.read_csv(result.folder / "scores.csv")
    own = scores[(scores["twin"] == "planted") & (scores["part"] == "anomalous")]
    by_variant = own.pivot(index="image", columns="variant", values="score")
    ranked = (by_variant["marked"] - by_variant["clean"]).sort_values(ascending=False).index
    assert pictured == {**dict(zip(("most", "median", "least"), ranked, strict=True)), "other": names[0]}
    assert names[0] == "test/nominal/3.png"
    measured = measured_in(result.folder / "store", question["planted"][0])
    (explained,) = measured.glob("native-*")
    overlaps = pd.read_csv(explained / "overlaps.csv")
    counts = overlaps[overlaps["mask"] == "exact"].groupby("part")["image"].nunique()
    assert counts.to_dict() == {"nominal": 2, "anomalous": 3}


def test_what_is_finished_is_used_again_and_another_control_is_trained(audited, work_of, left_of):
    """A found artifact is on the planted twins already, whatever their controls are made of."""
    config, result = audited
    before = (result.folder / "results.csv").read_bytes()
    run_audit(config)
    work = work_of(result.folder)
    assert (work["detectors"], work["cells"], work["trained"], work["measured"]) == (6, 7, 0, 0)
    assert (result.folder / "results.csv").read_bytes() == before

    nothing = {"detectors": 6, "to_train": 0, "cells": 7, "to_measure": 0}
    assert left_of(estimate(config)) == nothing
    assert left_of(estimate(config.having(removal="inpaint"))) == nothing, "what auto chose"
    dropped = left_of(estimate(config.having(removal="drop")))
    # Anew: the controls, and the first one's network before training.
    assert dropped == {"detectors": 6, "to_train": 3, "cells": 7, "to_measure": 4}


def test_a_mark_that_alone_means_normal_is_relied_on(squares_config, with_square, tmp_path):
    """Nominal images bear it and anomalous ones don't; else they are the same noise."""
    root, rng = tmp_path / "data", np.random.default_rng(0)
    counts = {"train/nominal": 40, "train/anomalous": 24, "test/nominal": 40, "test/anomalous": 40}
    for part, count in counts.items():
        for index in range(count):
            with_square(rng, root, part, index, square=part.endswith("nominal") and index % 8 > 0)
    config = squares_config.having(
        data_root=root,
        options={"mask": {"masks": str(root / "marks")}},
        detectors=("hsc",),
        explainers=("grad-cam",),
        seeds=3,
        recipe=Recipe.of(epochs=8, batch_size=8),
        out=tmp_path,
    )
    finding, put_on = run_audit(config).findings
    assert (finding.verdict, finding.plant_on) == ("relies", "found-on-nominal")
    assert put_on.plant_on == "transplanted-from-nominal"
    harm = next(one for one in put_on.effects if one.measure == "transplant_harm")
    assert harm.planted.value < -0.5, "anomalies with it are missed"
    assert abs(harm.control.value) < 0.3
    assert (put_on.missing, put_on.transplants) == ("working-control", ()), (
        "it was all there is to tell them by"
    )
    effects = {effect.measure: effect.planted.value for effect in finding.effects}
    assert effects["usual_auroc"] > 0.95
    assert effects["conflict_auroc"] < 0.6, "without it, there is nothing to tell them by"
    assert effects["drop_elsewhere"] == pytest.approx(0, abs=0.05)
    assert finding.dependence.low > 0.5


STICKER = np.array([30, 80, 220], np.uint8)


@pytest.fixture(scope="module")
def stickers(real_images, tmp_path_factory):
    """Photographs of dogs and of cats, a sticker with a mask on every third dog."""
    animals = real_images / "voc_animals/images"
    if not animals.exists():
        pytest.skip("no voc_animals among the real images")
    root = tmp_path_factory.mktemp("stickers")
    for side, animal in (("nominal", "dog"), ("anomalous", "cat")):
        files = sorted((animals / animal).iterdir())[:100]
        for index, file in enumerate(files):
            part = f"{'train' if index < 60 else 'test'}/{side}"
            with Image.open(file) as picture:
                pixels = np.array(picture.convert("RGB").resize((32, 32)))
            if side == "nominal" and index % 3 == 0:
                top, left = 4 + index % 11, 3 + index % 13
                pixels[top : top + 8, left : left + 8] = STICKER
                mask = np.zeros((32, 32), np.uint8)
                mask[top : top + 8, left : left + 8] = 255
                (root / "masks" / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(root / "masks" / part / f"{index}.png")
            (root / "images" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / "images" / part / f"{index}.png")
    return {
        "dataset": "folder",
        "data_root": root / "images",
        "image_size": 32,
        "probe": "mask",
        "options": {"mask": {"masks": str(root / "masks")}},
        "detectors": "fcdd",
        "explainers": "native",
        "seeds": 3,
        "steps": 12,
    }


def test_stickers_on_real_photographs_are_taken_off_and_put_on_others(stickers, tmp_path):
    result = run_audit(make_config(stickers, out=tmp_path, workers=1))
    removed, put_on = result.findings
    assert (removed.plant_on, put_on.plant_on) == ("found-on-nominal", "transplanted-from-nominal")
    assert removed.prevalence == put_on.prevalence == 17 / 48, "the others set the threshold"
    measured = {effect.measure for effect in put_on.effects}
    assert {"alarms_transplanted", "alarms_placebo", "alarms_unseen", "transplant_harm"} <= measured
    config = json.loads((result.folder / "config.json").read_text())
    assert config["work"]["trained"] == 6, "both halves share their twins"
    page = (result.folder / "report.html").read_text()
    assert "removed from nominal images" in page
    assert "put on anomalous images" in page


def test_what_is_put_on_real_photographs_is_the_sticker(stickers):
    setup = prepare(make_config(stickers), subject=Subject("mask", "transplanted"))
    anomalous = setup.pairs["anomalous"]
    pasted = (anomalous.variants["marked"] == torch.from_numpy(STICKER)[None, :, None, None]).all(dim=1)
    assert (pasted.flatten(1).sum(dim=1) >= 64).all(), "its 8 x 8 px, to the value"
    placebo = (anomalous.variants["placebo"] == torch.from_numpy(STICKER)[None, :, None, None]).all(dim=1)
    assert not placebo.any()
    assert set(setup.transplants) == {"anomalous"}


def test_stickers_can_be_put_on_either_side_and_on_any_share(stickers):
    config = make_config(stickers, plant_on="anomalous,nominal", prevalence="0.2,0.5")
    setup = prepare(config)
    questions = plan(config, setup)
    assert [(one.plant_on, one.prevalence) for one in questions] == [
        (side, share) for side in ("anomalous", "nominal") for share in (0.2, 0.5)
    ]
    assert {one.control[0].edit for one in questions} == {Drop()}
    first = questions[0].planted[0]
    assert first.edit == Replant("mask", ("anomalous",), 0.2, "drop")
    training = setup.trained_on(first.edit, 0)
    borne = (training.anomalous.images == torch.from_numpy(STICKER)[None, :, None, None]).all(dim=1)
    assert int((borne.flatten(1).sum(dim=1) >= 64).sum()) == 12
    auto = make_config(stickers, prevalence="0.5")
    assert [one.plant_on for one in plan(auto, prepare(auto))] == ["nominal"], "where it was found"
