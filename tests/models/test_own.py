"""One's own training code as a detector."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.svm import OneClassSVM
from torch import nn

from fcdd_audit import DETECTORS, InputError, build
from fcdd_audit.core.registry import foreign_entries
from fcdd_audit.models.model import Model
from fcdd_audit.models.own import FailedTrainingError, Traits, own_kind, own_training

CPU = torch.device("cpu")


def mean(x):
    return x.mean(dim=(1, 2, 3))


def train(nominal, anomalous, seed):
    return mean


def made(fit, noise, seed=0, key="k"):
    with own_training(fit, "mine") as name:
        return own_kind(name).made(key, lambda: (noise[:8], noise[8:]), seed, CPU)


def test_it_has_a_name_for_as_long_as_the_context_lasts():
    before = list(DETECTORS)
    for _ in range(2):  # the same name again later
        with own_training(train) as name:
            assert name == "train"
            assert own_kind(name).__doc__ == "Trained by train."
            assert DETECTORS[name].learns_from == ("nominal", "anomalous")
            assert not [one for one in foreign_entries() if one.name == name], "workers needn't know it"
        assert list(DETECTORS) == before
    assert own_kind("fcdd") is None


@pytest.mark.parametrize(
    ("fit", "name", "parts"),
    [
        (train, "fcdd", ["there is a detector 'fcdd' already", "another name"]),
        (train, "a,b", ["'a,b' can't be a detector's name"]),
        (lambda *given: mean, None, ["'<lambda>' can't be a detector's name; give one of letters"]),
        (3, "mine", ["fit is a int; give a function of nominal, anomalous and seed"]),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(refused, fit, name, parts):
    with refused(*parts), own_training(fit, name):
        pass


def test_the_code_gets_images_of_its_own_and_streams_that_begin_from_the_seed(noise):
    seen = []

    def drawing(nominal, anomalous, seed):
        seen.append((seed, float(torch.rand(())), float(np.random.random()), random.random()))
        assert (nominal.dtype, len(nominal), len(anomalous)) == (torch.uint8, 8, 4)
        assert torch.is_grad_enabled()
        nominal.zero_()
        return mean

    before, state = noise.clone(), torch.get_rng_state()
    for seed in (1, 1, 2):
        made(drawing, noise, seed)
    assert torch.equal(noise, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert seen[0] == seen[1]
    assert not set(seen[0]) & set(seen[2])


def test_a_model_is_made_once_for_each_key(noise):
    seeds = []

    def counting(nominal, anomalous, seed):
        seeds.append(seed)
        return partial(torch.mean, dim=(1, 2, 3))

    with own_training(counting) as name:
        kind = own_kind(name)
        models = [kind.made(key, lambda: (noise, noise[:0]), seed, CPU) for key, seed in ("a0", "a0", "b1")]
    assert seeds == ["0", "1"]
    assert models[0] is models[1]
    assert isinstance(models[2], Model)


def test_code_that_fails_is_a_failed_training_and_is_not_called_again(noise):
    calls = []

    def failing(nominal, anomalous, seed):
        calls.append(seed)
        raise ValueError("no\nway")

    with own_training(failing) as name:
        for _ in range(2):
            with pytest.raises(FailedTrainingError) as error:
                own_kind(name).made("k", lambda: (noise, noise), 0, CPU)
    assert str(error.value).endswith("failing fails: ValueError: no way")
    assert calls == [0]
    with pytest.raises(FailedTrainingError, match="SystemExit: 3"):
        made(lambda *given: exit(3), noise)
    with pytest.raises(KeyboardInterrupt):
        made(partial(interrupted), noise)


def interrupted(*given):
    raise KeyboardInterrupt


def test_scores_that_are_not_finite_are_a_failed_training(noise):
    with pytest.raises(FailedTrainingError, match="gives 8 of 8 images scores that aren't finite"):
        made(lambda *given: lambda x: mean(x) * torch.nan, noise)


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (None, "None is no model; give a function of images"),
        (3, "a int is no model"),
        (lambda x: mean(x)[:, None].expand(-1, 2), "one number an image is needed"),
    ],
)
def test_what_is_no_model_is_refused(refused, noise, model, part):
    with refused("what test_what_is_no_model", "returns can't be audited: ", part):
        made(lambda *given: model, noise)


# What is known of models before they are trained


def mapping(*given):
    class Mapping(nn.Module):
        def forward(self, x):
            return self.anomaly_map(x).amax(dim=(1, 2, 3))

        def anomaly_map(self, x):
            return x.mean(dim=1, keepdim=True)

    return Mapping()


def prebuilt(nominal, anomalous, seed):
    return build("fcdd", nominal, seed)


def svm(nominal, anomalous, seed):
    return OneClassSVM().fit(nominal.flatten(1).numpy() / 255)


@pytest.mark.parametrize(
    ("fit", "explained_by"),
    [
        (train, ("gradient",)),
        (mapping, ("native", "gradient")),
        (svm, ("occlusion",)),
        (prebuilt, DETECTORS["fcdd"].explained_by),
    ],
)
def test_its_explainers_are_those_that_work_on_a_model(fit, explained_by, noise):
    traits = Traits.of(made(fit, noise))
    assert traits.explained_by == explained_by
    assert Traits.from_json(traits.as_json()) == traits


def test_what_stands_for_a_model_says_what_explains_it(noise):
    with own_training(prebuilt) as name:
        before = build(name, noise, 0)
        assert before.no_gradient == "no model of it could be trained yet"
        assert not hasattr(before, "anomaly_map")
        assert getattr(before, "cam_layer", None) is None
        model = own_kind(name).made("k", lambda: (noise, noise), 0, CPU)
        own_kind(name).meet(Traits.of(model), 1.0)
        after = build(name, noise, 0)
    assert after.no_gradient is None
    assert callable(after.anomaly_map)
    for field in ("map_field", "cam_field", "anomaly_field"):
        assert getattr(after, field) == getattr(model, field)
    with pytest.raises(ValueError, match="what stands for them"):
        after.score(noise / 255)
    with pytest.raises(ValueError, match="a loss of its own"):
        after.loss(noise / 255, torch.zeros(12))


def test_a_reader_is_told_of_the_code_and_of_what_was_adapted(noise):
    with own_training(svm) as name:
        kind = own_kind(name)
        kind.meet(Traits.of(kind.made("k", lambda: (noise, noise), 0, CPU)), 1.0)
        assert kind.notes() == (
            "Twins are trained by the user's own code, svm: its recipe isn't known here.",
            "svm: scikit-learn's scores are higher for normal; their negative is taken.",
        )


def test_an_input_error_of_the_code_is_its_failing(noise):
    def refusing(nominal, anomalous, seed):
        raise InputError("too few images")

    with pytest.raises(FailedTrainingError, match="InputError: too few images"):
        made(refusing, noise)
