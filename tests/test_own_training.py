"""Twins of one's own training code, end to end."""

import json
import time
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.svm import OneClassSVM
from torch import nn

from fcdd_audit import DETECTORS, Recipe, build, make_config, run_audit
from fcdd_audit import fit as train_detector
from fcdd_audit.designs.twins.estimate import estimate
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import trained
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.models.own import own_training

CALLED = Mock()  # with the seed, whenever twins are trained


def nearest_mean(nominal, anomalous, seed):
    """Sees the mark, since it looks at all pixels."""
    CALLED(seed)
    normal, odd = ((images.float() / 255).mean(dim=0) for images in (nominal, anomalous))

    def score(x):
        return (x - normal).square().mean(dim=(1, 2, 3)) - (x - odd).square().mean(dim=(1, 2, 3))

    return score


def brightest(nominal, anomalous, seed):
    """Never looks at the border, where the mark is."""
    return lambda x: x[..., 4:-4, 4:-4].unfold(2, 8, 4).unfold(3, 8, 4).mean(dim=(4, 5)).amax(dim=(1, 2, 3))


def small_network(nominal, anomalous, seed):
    """A few steps of a convolutional network; draws from the global stream only."""
    network = nn.Sequential(nn.Conv2d(nominal.shape[1], 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    network = nn.Sequential(network, nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.05)
    x = torch.cat([nominal, anomalous]).float() / 255
    label = torch.arange(len(x)) >= len(nominal)
    for _ in range(20):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(network(x), label.float()).backward()
        optimiser.step()
    return network


def svm(nominal, anomalous, seed):
    return OneClassSVM().fit(nominal.flatten(1).numpy() / 255)


def fcdd_of_its_own(nominal, anomalous, seed):
    detector = build("fcdd", nominal, seed)
    train_detector(detector, nominal, anomalous, Recipe.of(epochs=1, batch_size=8), seed, torch.device("cpu"))
    return detector


def failing_at_1(nominal, anomalous, seed):
    if seed == 1:
        raise ValueError("the data isn't\nsuited")
    return brightest(nominal, anomalous, seed)


def failing(nominal, anomalous, seed):
    raise ValueError("the data isn't suited")


def returning_nothing(nominal, anomalous, seed):
    return None


@pytest.fixture(scope="module")
def audit(patches_config, tmp_path_factory):
    """Audits twins of a training function, on grey noise with a brighter square, and a frame as the mark."""

    def run(fit, out=None, **changed):
        with own_training(fit) as name:
            known = patches_config.as_json()
            settings = {
                "dataset": "folder",
                "data_root": known["data"]["data_root"],
                "image_size": 32,
                "probe": "frame",
                "detectors": (name,),
                "explained": 16,
                "seeds": 1,
                "out": out or tmp_path_factory.mktemp("own-reports"),
                **changed,
            }
            return run_audit(make_config(**settings))

    return run


@pytest.fixture(scope="module")
def relying(audit):
    return audit(nearest_mean, seeds=4)


def content(result, name):
    return json.loads((result.folder / name).read_text())


def names(result):
    return [one.explainer for one in result.findings[0].explainers]


def test_code_that_learns_the_mark_relies_on_it(relying):
    (finding,) = relying.findings
    assert (finding.verdict, finding.plant_on, finding.detector) == ("relies", "anomalous", "nearest_mean")
    assert finding.seeds == finding.pairs_relying == 4
    assert names(relying) == ["gradient", "random", "edges"]
    assert finding.explainers[0].reveals == "yes"


def test_code_that_never_looks_at_the_mark_does_not(audit, without_page):
    (finding,) = audit(brightest, seeds=6).findings
    assert finding.verdict == "does-not-rely"


def test_the_page_and_the_files_say_whose_training_it_is(relying):
    assert content(relying, "config.json")["own_code"] == {"nearest_mean": "nearest_mean"}
    page = " ".join(relying.report.read_text(encoding="utf-8").split())
    assert "nearest_mean by the user's own code, <code>nearest_mean</code>" in page.replace("&#39;", "'")
    assert "its recipe isn't known here" in page.replace("&#39;", "'")
    splits = pd.read_csv(relying.folder / "results.csv", keep_default_na=False)["split"]
    assert not splits.str.startswith("untrained").any(), "there is no network before training"


def test_a_record_knows_the_code_and_not_the_recipe(patches_config, relying):
    def found(code, **recipe):
        with own_training(code, "mine"):
            config = patches_config.having(detectors=("mine",), recipe=Recipe.of(**recipe))
            return trained(Cell("mine", 0, AS_IS), prepare(config))

    one = found(nearest_mean)
    assert (one["recipe"], set(one["code"])) == ({"own": "nearest_mean", "values": {}}, {"nearest_mean"})
    assert found(nearest_mean, epochs=7, precision="bfloat16", network="cnn32") == one
    assert found(brightest)["code"] != one["code"]
    for file in relying.folder.glob("store/trained/*"):
        assert not (file / "detector.safetensors").exists(), "models are kept in memory only"


def test_twins_get_the_same_seed_and_a_finished_run_needs_no_model(relying, audit, without_page):
    CALLED.reset_mock()
    table = (relying.folder / "results.csv").read_bytes()
    again = audit(nearest_mean, relying.folder.parent, seeds=4)
    assert CALLED.call_count == 0
    assert (again.folder / "results.csv").read_bytes() == table
    assert content(again, "config.json")["work"]["trained"] == 0


def test_what_is_still_to_be_measured_has_its_model_trained_again(relying, audit, without_page):
    CALLED.reset_mock()
    more = audit(
        nearest_mean,
        relying.folder.parent,
        seeds=4,
        explainers=("auto", "occlusion"),
        name="more",
        store=relying.folder / "store",
    )
    assert sorted(call.args for call in CALLED.call_args_list) == [(s,) for s in (0, 0, 1, 1, 2, 2, 3, 3)]
    assert names(more) == ["gradient", "occlusion", "random", "edges"]
    assert more.findings[0].dependence == relying.findings[0].dependence


def test_a_network_that_draws_from_the_global_stream_is_the_same_again(audit, without_page):
    torch.manual_seed(0)
    tables = [(audit(small_network, workers=n).folder / "results.csv").read_bytes() for n in (1, 2)]
    assert tables[0] == tables[1]


def test_an_estimator_of_scikit_learn_is_explained_by_occlusion(audit):
    result = audit(svm, plant_on="nominal", workers=2)
    (finding,) = result.findings
    assert (finding.plant_on, finding.seeds) == ("nominal", 1)
    assert names(result) == ["occlusion", "random", "edges"]
    assert "their negative is taken" in result.report.read_text(encoding="utf-8")


def test_a_detector_of_this_package_is_used_as_it_is(audit):
    result = audit(fcdd_of_its_own)
    assert set(names(result)) == {*DETECTORS["fcdd"].explained_by, "random", "edges"}
    explained = {row["explainer"]: row for row in content(result, "config.json")["explainers"]}
    assert explained["grad-cam"]["unavailable"] is None
    assert explained["native"]["field"] > 1


def test_a_pair_whose_training_fails_has_no_numbers_and_its_reason_is_said(audit):
    result = audit(failing_at_1, seeds=4)
    (finding,) = result.findings
    assert finding.seeds == 3
    reason = "failing_at_1 fails: ValueError: the data isn't suited"
    assert {(one.seed, one.twin, one.reason) for one in finding.failed} == {
        (1, "control", reason),
        (1, "planted", reason),
    }
    assert "ValueError: the data isn" in result.report.read_text(encoding="utf-8")


def test_code_that_always_fails_judges_nothing(audit, without_page):
    result = audit(failing, seeds=3)
    assert result.nothing_judged == (
        "nothing can be judged: the control twin of seed 0 has no numbers: failing fails: ValueError: the "
        "data isn't suited; 5 more failed"
    )


def test_what_is_no_model_ends_the_audit(audit, refused):
    with refused("what returning_nothing returns can't be audited: None is no model"):
        audit(returning_nothing)


def test_checks_of_explanations_are_refused(audit, refused):
    with refused("explanations of brightest can't be checked", "leave out --sanity"):
        audit(brightest, sanity=2)


def test_without_anomalous_training_images_the_mark_is_planted_on_nominal_ones(
    audit, exposed_config, without_page
):
    result = audit(svm, data_root=exposed_config.data.data_root, oe="none")
    assert result.findings[0].plant_on == "nominal"
    assert np.isfinite(result.findings[0].reliance.value)


def test_beside_it_detectors_of_this_package_are_trained(audit, without_page, work_of):
    result = audit(
        svm, detectors=("svm", "ae"), plant_on="nominal", workers=2, epochs=1, explainers=("edges",)
    )
    assert [finding.detector for finding in result.findings] == ["svm", "ae"]
    assert work_of(result.folder) == {"detectors": 4, "cells": 4, "trained": 3, "measured": 4, "failed": 0}


def test_an_estimate_is_refused(patches_config, refused, tmp_path):
    with own_training(brightest) as name:
        config = patches_config.having(detectors=(name,), explainers=None, out=tmp_path)
        with refused("what brightest takes can't be estimated", "run the audit"):
            estimate(config)


def test_a_first_look_that_takes_longer_than_the_budget_is_said_beforehand(audit, refused):
    def slow(nominal, anomalous, seed):
        time.sleep(0.5)
        return brightest(nominal, anomalous, seed)

    with refused("take longer than --budget 2s"):
        audit(slow, seeds="auto", budget=2)
