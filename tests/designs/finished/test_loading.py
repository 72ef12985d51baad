"""From settings to a finished detector, its test images and what explains it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fcdd_audit import DETECTORS, InputError, make_config
from fcdd_audit.designs.finished.judging import LEAST_PLACEBOS
from fcdd_audit.designs.finished.loading import load
from fcdd_audit.designs.finished.measuring import MAPS
from fcdd_audit.designs.finished.tested import TRIED
from fcdd_audit.detectors import build
from fcdd_audit.models import Model
from fcdd_audit.verdict.thresholds import Thresholds

PATCH = {"probe": "patch", "options": {"patch": {"size": 0.5, "jitter": 0.0}}}


@pytest.fixture(scope="module")
def tests_only(written, tmp_path_factory):
    return written(tmp_path_factory.mktemp("tests-only"))


@pytest.fixture(scope="module")
def with_validation(written, tmp_path_factory):
    return written(tmp_path_factory.mktemp("with-validation"), validation=7)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of an FCDD and an autoencoder before training, on images of 16 px."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("fcdd", "ae"):
        detector = build(name, torch.randint(0, 256, (4, 1, 16, 16)).byte(), 0)
        state = {key: value.contiguous() for key, value in detector.state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def loaded(tests_only, models):
    def make(model="Net", root=tests_only, **settings):
        given = {"dataset": "folder", "data_root": root, "image_size": 16, **PATCH, **settings}
        if "weights" not in given:
            given["model"] = f"{models}:{model}"
        return load(make_config(given), quiet=True)

    return make


def counts(found):
    return [len(images) for images in found.data.parts().values()]


# Where the threshold is from


def test_a_given_threshold_needs_no_images(loaded):
    found = loaded(threshold=0.6)
    assert (found.threshold, counts(found)) == (0.6, [0, 0, 0, 12, 10])


@pytest.mark.parametrize("threshold", [None, 0.6])
def test_validation_images_are_used_and_all_test_images_tested(loaded, with_validation, threshold):
    found = loaded(root=with_validation, threshold=threshold)
    assert counts(found) == [0, 0, 7, 12, 10]
    assert found.held_from == "held-out nominal images"


def test_otherwise_a_third_of_the_nominal_test_images_is_held_out_and_never_tested(loaded):
    found = loaded()
    assert counts(found) == [0, 0, 4, 8, 10]
    assert found.held_from == "nominal images that were held out from the test images"
    held, tested = found.data.validation.names, found.data.test_nominal.names
    assert set(held) & set(tested) == set()
    assert sorted(held + tested) == [f"test/nominal/{index:03d}.png" for index in range(12)]
    assert held == tuple(sorted(held))
    assert held != tuple(sorted(held + tested))[:4], "not merely the first"
    assert found.tested["nominal"].pairs.names == tested
    again = loaded()
    assert again.data.fingerprint() == found.data.fingerprint()


def test_images_to_train_on_are_dropped_where_a_data_set_has_them(loaded):
    found = loaded(dataset="textures", root=None, image_size=32)
    train_nominal, train_anomalous, validation, *tested = counts(found)
    assert (train_nominal, train_anomalous) == (0, 0)
    assert validation > 50
    assert min(tested) > 200, "it holds validation images out itself"


# Which explainers


@pytest.mark.parametrize(
    ("model", "expected", "without"),
    [
        ("Net", ["gradient"], ["native"]),
        ("brightness", ["gradient"], ["native"]),
        ("Mapping", ["native", "gradient"], []),
        ("black_box", ["occlusion"], ["native", "gradient"]),
        ("detector", ["native", "grad-cam", "occlusion", "input-x-gradient"], []),
    ],
)
def test_each_kind_of_detector_has_explainers_of_its_own(loaded, model, expected, without):
    found = loaded(model)
    assert sorted(found.explainers) == sorted(expected)
    assert sorted(found.unexplained) == sorted(without)
    heat = found.explainers[expected[0]](torch.rand(3, 1, 16, 16))
    assert heat.shape == (3, 1, 16, 16)
    assert (heat >= 0).all()


@pytest.mark.parametrize("name", ["fcdd", "ae"])
def test_weights_have_those_of_their_detector(loaded, weights, name):
    found = loaded(weights=weights / f"{name}.safetensors", detectors=name)
    assert set(found.explainers) == set(DETECTORS[name].explained_by)
    assert found.unexplained == {}


def test_a_map_is_the_same_each_time(loaded):
    explain = loaded(explainers="smooth-grad").explainers["smooth-grad"]
    x = torch.rand(2, 1, 16, 16)
    assert torch.equal(explain(x), explain(x))


def test_reference_maps_and_what_does_not_work_are_left_out_with_the_reason(loaded):
    found = loaded(explainers="edges,gradient,grad-cam")
    assert list(found.explainers) == ["gradient"]
    assert found.unexplained["edges"] == "a reference map knows nothing of it"
    assert found.unexplained.keys() == {"edges", "grad-cam"}
    assert list(loaded(explainers="auto,occlusion").explainers) == ["gradient", "occlusion"]


def test_without_any_that_works_it_is_refused(loaded, refused):
    with refused("none of the explainers edges, random explains own_models.py:Net", "--explainer"):
        loaded(explainers="edges,random")


# How many placebos, and maps


@pytest.mark.parametrize(
    ("settings", "placebos", "compared", "explained"),
    [
        ({}, 39, 39, MAPS // 40),
        ({"explainers": "gradient,occlusion"}, 39, 39, MAPS // 40),
        ({"explainers": "gradient,occlusion,smooth-grad"}, 59, 39, MAPS // 60),
        ({"placebos": 60}, 60, 60, MAPS // 61),
        ({"explained": 5}, 39, 39, 5),
        ({"explained": 0}, 39, 39, TRIED),
        ({"thresholds": Thresholds(confidence=0.9)}, 39, 39, MAPS // 40),
        ({"thresholds": Thresholds(confidence=0.99)}, 199, 199, MAPS // 200),
    ],
)
def test_there_are_as_many_placebos_as_are_needed(loaded, settings, placebos, compared, explained):
    found = loaded(**settings)
    assert (found.placebos, found.compared, found.explained) == (placebos, compared, explained)
    assert [len(one.kinds) for one in found.tested.values()] == [placebos] * 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"placebos": 38}, "38 placebos can't settle both sides together (Holm); at least 39 are needed"),
        (
            {"placebos": 58, "explainers": "gradient,occlusion,smooth-grad"},
            "58 placebos can't settle 3 explanations together (Holm); at least 59 are needed, or fewer "
            "explanations (--explainer)",
        ),
    ],
)
def test_too_few_placebos_are_refused(loaded, refused, settings, said):
    with refused(said):
        loaded(**settings)
    assert LEAST_PLACEBOS == 39


# The detector


def test_a_model_is_known_by_what_it_gives_and_weights_by_their_digest(loaded, weights, models):
    model = loaded().opened
    assert isinstance(model.scorer, Model)
    assert (model.name, model.identity) == ("own_models.py:Net", None)
    assert model.about["factory"] == "own_models.py:Net"
    own = loaded(weights=weights / "fcdd.safetensors", detectors="fcdd").opened
    assert own.name == "fcdd"
    assert own.identity["weights"] == own.about["sha256"]
    assert own.about["file"] == "fcdd.safetensors"
    package = loaded("detector").opened
    assert package.about["format"] == "detector"
    assert Path(models).name in package.name


def test_mean_and_std_are_taken_off_before_the_model(loaded):
    plain, scaled = loaded(), loaded(mean=0.5, std=0.25)
    x = torch.rand(3, 1, 16, 16)
    torch.testing.assert_close(
        scaled.opened.scorer.score(x), (plain.opened.scorer.score(x) - 0.5) / 0.25, atol=1e-5, rtol=1e-5
    )


def test_a_model_without_finite_scores_is_refused(loaded):
    with pytest.raises(InputError, match="scores that aren't finite"):
        loaded("Infinite", image_size=32)


# Natural artifacts


def test_a_region_is_on_all_test_images_and_is_taken_off(loaded):
    found = loaded(probe="region", options={"region": {"width": 0.25, "height": 0.25}}, threshold=0.5)
    assert list(found.tested) == ["nominal", "anomalous"]
    for one in found.tested.values():
        assert (one.found, one.why_none, len(one.kinds)) == (True, None, 39)
        assert one.pairs.mask[0, 0].nonzero().max() == 3
    assert np.isnan(found.tested["nominal"].likeness)
