"""Artifacts that tell sources of images apart: planted on outlier exposure only, or on all else."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fcdd_audit.experiment.planning import plan, prepare
from PIL import Image

from fcdd_audit import AuditConfig, InputError, Recipe, run_audit
from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.experiment.cells import cell_key, train_cell
from fcdd_audit.measures.detection import threshold


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Grey noise, anomalous images with a bright square, and none of these to train on."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for part, count in (("train/nominal", 20), ("test/nominal", 5), ("test/anomalous", 4)):
        (root / part).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(90, 130, (32, 32), np.uint8)
            if part == "test/anomalous":
                pixels[12:20, 12:20] = 250
            Image.fromarray(pixels).save(root / part / f"{index}.png")
    return root


@pytest.fixture
def config(folder, tmp_path):
    return AuditConfig(
        dataset="folder",
        data_root=folder,
        image_size=32,
        oe="photos",
        oe_limit=10,
        probe="frame",
        detectors=("fcdd",),
        explainers=("native",),
        seeds=1,
        workers=1,
        recipe=Recipe(epochs=1, batch_size=8),
        out=tmp_path,
    )


def trained_on(config, monkeypatch):
    """By twin, the nominal and the anomalous images that `fit` is given; and the setup."""
    given, setup = {}, prepare(config)

    def spy(detector, nominal, anomalous, *_, **__):
        given[cell.twin] = nominal, anomalous
        raise StopIteration

    monkeypatch.setattr("fcdd_audit.experiment.cells.fit", spy)
    for question in plan(config, setup):
        for cell in (*question.control, *question.planted):
            with pytest.raises(StopIteration):
                train_cell(cell, setup, torch.device("cpu"))
    return given, setup


def bearing_frame(images, originals):
    """How many bear the frame."""
    changed = (images != originals).any(dim=1)
    assert not changed[:, 8:-8, 8:-8].any(), "a frame"
    return int(changed.flatten(1).any(dim=1).sum())


@pytest.mark.parametrize(
    ("plant_on", "counts"),
    [("oe", (0, 5)), ("all-but-oe", (8, 0)), ("anomalous", (0, 5)), ("nominal", (8, 0))],
)
def test_half_of_one_side_is_planted_and_nothing_of_the_other(config, plant_on, counts, monkeypatch):
    given, setup = trained_on(replace(config, plant_on=plant_on, prevalence=(0.5,)), monkeypatch)
    originals = setup.data.train_nominal.images, setup.data.train_anomalous.images
    assert [len(part) for part in originals] == [16, 10]
    for twin, expected in (("planted", counts), ("control", (0, 0))):
        assert tuple(map(bearing_frame, given[twin], originals)) == expected


@pytest.mark.parametrize(("one", "other"), [("oe", "anomalous"), ("all-but-oe", "nominal")])
def test_where_all_training_anomalies_are_outlier_exposure_training_is_that_of_the_side(
    config, one, other, monkeypatch
):
    first, second = (
        trained_on(replace(config, plant_on=plant_on, prevalence=(0.5,)), monkeypatch)[0]["planted"]
        for plant_on in (one, other)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_validation_images_are_marked_where_images_in_use_are(config):
    setups = {plant_on: prepare(replace(config, plant_on=plant_on)) for plant_on in ("oe", "all-but-oe")}
    clean, with_it = (setup.data.validation for setup in setups.values())
    assert torch.equal(prepare(config).data.validation.images, clean.images)
    assert bearing_frame(with_it.images, clean.images) == len(clean) == 4
    assert with_it.names == clean.names
    assert with_it.content() != clean.content()
    for part in ("train_nominal", "train_anomalous", "test_nominal", "test_anomalous"):
        assert setups["oe"].data.parts()[part].content() == setups["all-but-oe"].data.parts()[part].content()
    for name in ("nominal_marked", "anomalous_marked"):
        assert torch.equal(*(getattr(setup, name) for setup in setups.values()))
    controls = {
        plan(replace(config, plant_on=plant_on), setup)[0].control[0] for plant_on, setup in setups.items()
    }
    (control,) = controls
    keys = {cell_key(control, setup) for setup in setups.values()}
    assert len(keys) == 2, "another threshold is another cell"


@pytest.mark.parametrize("plant_on", ["oe", "all-but-oe"])
@pytest.mark.parametrize("without", ["labelled", "none"])
def test_without_outlier_exposure_it_is_refused(config, folder, tmp_path, plant_on, without):
    if without == "labelled":
        root = tmp_path / "labelled"
        root.mkdir()
        for part in ("train/nominal", "test"):
            (root / part).parent.mkdir(exist_ok=True)
            (root / part).symlink_to(folder / part)
        (root / "train/anomalous").symlink_to(folder / "test/anomalous")
        asked = replace(config, data_root=root, oe=None, oe_limit=None)
    else:
        asked = replace(config, oe="none", oe_limit=None, detectors=("ae",))
    with pytest.raises(InputError) as error:
        prepare(replace(asked, plant_on=plant_on))
    assert str(error.value) == (
        f"--plant-on {plant_on} tells outlier exposure from a data set's own images, and 'folder' is trained "
        "without any here; use --plant-on anomalous or nominal"
    )
    prepare(replace(asked, plant_on="nominal"))


def test_what_never_sees_outlier_exposure_cannot_learn_a_cue_from_it(config):
    asked = replace(config, detectors=("ae", "fcdd"), plant_on="oe", prevalence=(0.5, 1.0))
    questions = plan(asked, prepare(asked))
    reasons = [question.identical for question in questions]
    because = (
        "identical by construction: ae never sees anomalous images in training, so the twins can't differ; "
        "plant on the nominal side"
    )
    assert reasons[:2] == [because, because]
    assert reasons[2:] == [None, None]
    assert [question.plant_on for question in questions] == ["oe"] * 4
    asked = replace(asked, plant_on="all-but-oe")
    assert all(question.identical is None for question in plan(asked, prepare(asked)))


WORDS = {
    "oe": (
        "In training it was planted on 100 % of the outlier exposure and nowhere else",
        "put on the nominal test images",
    ),
    "all-but-oe": (
        "In training it was planted on 100 % of all training images but the outlier exposure",
        "taken off the nominal test images",
        "AUROC, in use",
    ),
}


@pytest.mark.parametrize("plant_on", WORDS)
def test_an_audit_of_one_source_says_what_was_marked(config, plant_on):
    result = run_audit(replace(config, plant_on=plant_on))
    (finding,) = result.findings
    assert (finding.plant_on, finding.prevalence) == (plant_on, 1.0)
    measures = [effect.measure for effect in finding.effects]
    assert ("usual_auroc" in measures) == (plant_on == "all-but-oe")
    assert "drop_elsewhere" not in measures, "nothing is removed elsewhere"
    words = " ".join(result.report.read_text(encoding="utf-8").split())
    for text in WORDS[plant_on]:
        assert text in words, text
    judged = "is not judged: the artifact lowers the score"
    assert (judged in words) == (DIRECTIONS[plant_on].side == "nominal")

    table = pd.read_csv(result.folder / "results.csv", keep_default_na=False)
    assert "elsewhere" not in set(table["split"])
    planted = table[(table["twin"] == "planted") & (table["explainer"] == "")].set_index(["split", "metric"])
    auroc = {split: planted["value"][split, "auroc"] for split in ("clean", "marked", "conflict")}
    usual = auroc["marked" if plant_on == "all-but-oe" else "clean"]
    assert planted["value"]["conflict", "drop"] == pytest.approx(usual - auroc["conflict"], abs=1e-12)
    assert finding.planted_auroc == pytest.approx(usual, abs=1e-12)
    (question,) = json.loads((result.folder / "config.json").read_text())["questions"]
    assert question["bearing"] is None
    scores = pd.read_csv(result.folder / "cells" / question["planted"][0] / "scores.csv")
    limit = threshold(scores[scores["part"] == "validation"]["score"].to_numpy(), 0.95)
    assert planted["value"]["validation", "threshold"] == pytest.approx(limit)
