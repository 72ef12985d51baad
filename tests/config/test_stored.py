"""The audit that a run was asked for, from its config.json."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit import DETECTORS, EXPLAINERS, Recipe, make_config
from fcdd_audit.config.parts import PARTS
from fcdd_audit.config.stored import stored_config
from fcdd_audit.verdict.thresholds import Thresholds

AUDITS = {
    "the default": {},
    "classes of a data set": {
        "dataset": "cifar10-oe",
        "data_root": "images",
        "nominal_class": "airplane,cat",
        "oe": "photos",
        "oe_limit": 16,
        "download": True,
    },
    "all classes by the paper": {
        "dataset": "fmnist-oe",
        "data_root": "images",
        "nominal_class": "all",
        "preset": "paper",
    },
    "defects with masks": {"dataset": "mvtec", "data_root": "images", "masks_per_defect": 2},
    "masks of a found artifact": {
        "dataset": "folder",
        "data_root": "images",
        "bit_depth": 12,
        "strict": True,
        "probe": "mask",
        "removal": "drop",
        "options": {"mask": {"masks": "marks.json"}},
    },
    "a candidate": {
        "dataset": "folder",
        "data_root": "images",
        "candidate": f"{Path(__file__).parent / 'candidates.json'}#1",
    },
    "a region": {
        "probe": "region",
        "halves": "removed",
        "options": {"region": {"width": 0.5, "height": 0.25}},
    },
    "a chain with options": {
        "probe": "frame+jpeg",
        "plant_on": "oe",
        "prevalence": (0.1, 1 / 3),
        "options": {"jpeg": {"quality": 30}, "fcdd": {"supervision": "pixel"}, "occlusion": {"window": 0.5}},
    },
    "several artifacts on both sides": {"probe": "frame,logo+jpeg", "plant_on": "nominal,anomalous"},
    "several artifacts at once": {
        "probe": "frame,jpeg",
        "together": True,
        "options": {"jpeg": {"quality": 30}},
    },
    "every explainer": {"explainers": "all"},
    "some of every explainer's images": {"explainers": "all", "explained": 3, "sanity": 2, "quantile": 0.5},
    "every detector": {"detectors": tuple(DETECTORS), "explainers": ("gradient", "random")},
    "its own recipe": {
        "recipe": Recipe.of(steps=7, batch_size=8, milestones=(1 / 3,), noise=0, decay=1),
        "network": "cnn32",
    },
    "no milestones": {"recipe": {"milestones": "none"}, "epochs": 2},
    "its own thresholds": {"thresholds": Thresholds(reliance=0.1, room=0.3, confidence=0.9)},
    "a finished detector": {
        "weights": "detector.safetensors",
        "detectors": "ae",
        "placebos": 199,
        "threshold": -0.1,
        "dose": True,
    },
    "a model": {"model": "mine.pt2", "mean": (0.485, 0.456, 0.406), "std": 0.25, "trust_model": True},
    "a store and a name": {
        "store": "shared",
        "out": "~/reports",
        "name": "mine",
        "workers": 2,
        "engine": "ray",
        "address": "auto",
        "device": "cpu",
    },
    "pairs until a time": {"max_seeds": 8, "budget": "3m"},
    "remedies": {"remedies": "balance,drop", "export": "mended", "outside.strength": 3},
    "its own explainers": {"explainers": "auto,lrp", "explained": 0},
    "a calibration": {"calibration": "calibration.json", "seeds": 7, "cache": "cache", "skip_corrupt": True},
}


def written(config):
    """What config.json says of it, as it is read."""
    return {"schema": 5, "config": json.loads(json.dumps(config.as_json(), indent=1))}


@pytest.mark.parametrize("audit", AUDITS)
def test_an_audit_comes_back_as_it_was_asked_for(audit):
    config = make_config(AUDITS[audit])
    found = stored_config(written(config))
    assert found == config
    assert written(found) == written(config)


def test_every_setting_has_been_another_than_its_default():
    """Else the test above says nothing of it."""
    default = make_config()
    changed = {
        name
        for changes in AUDITS.values()
        for config in [make_config(changes)]
        for part in PARTS
        for name, value in getattr(config, part)
        if value != getattr(getattr(default, part), name)
    }
    settings = {name for kind in PARTS.values() for name in kind.model_fields}
    assert settings - changed == set()


@given(
    name=st.sampled_from(sorted(AUDITS)),
    explainers=st.lists(st.sampled_from(sorted(EXPLAINERS)), min_size=1, max_size=4, unique=True),
    explained=st.integers(0, 1000),
    sanity=st.integers(0, 20),
    reliance=st.floats(0.001, 0.9),
    room=st.floats(0, 1),
    lr=st.floats(1e-9, 10),
)
@settings(max_examples=20)
def test_so_does_every_number_to_the_last_bit(name, explainers, explained, sanity, reliance, room, lr):
    config = make_config(
        {**AUDITS[name], "explainers": tuple(explainers), "explained": explained, "sanity": sanity, "lr": lr},
        thresholds=Thresholds(reliance=reliance, room=room),
    )
    found = stored_config(written(config))
    assert found == config
    assert found.detector.recipe.optimisation.lr == lr


def test_what_a_preset_says_later_makes_no_difference(monkeypatch):
    """A newer release may train otherwise by default: a run stays what it was."""
    config = make_config(dataset="cifar10-oe", data_root="images")
    content = written(config)
    monkeypatch.setattr(
        "fcdd_audit.config.audit.preset_settings",
        lambda *_: {"epochs": 99, "image_size": 16, "quantile": 0.1},
    )
    assert make_config(dataset="cifar10-oe", data_root="images").detector.recipe.optimisation.epochs == 99
    assert stored_config(content) == config


@pytest.mark.parametrize(
    ("audit", "halves"),
    [
        ("the default", ("removed", "transplanted")),
        ("a region", ("removed",)),
        ("a candidate", ("removed", "transplanted")),
    ],
)
def test_a_run_of_before_there_were_several_artifacts_is_read_as_it_was(audit, halves):
    """What was found was taken off only; what is planted, or a candidate, has no halves to choose."""
    content = written(make_config(AUDITS[audit]))
    artifact = content["config"]["artifact"]
    (probe,), (side,) = artifact.pop("probes"), artifact.pop("plant_on")
    del artifact["halves"], artifact["together"]
    artifact |= {"probe": probe, "plant_on": side}
    found = stored_config(content).artifact
    assert (found.probes, found.plant_on, found.together) == ((probe,), (side,), False)
    assert found.halves == halves


def without(content, *path):
    """The same without the value at that path."""
    first, *rest = path
    if not rest:
        return {name: value for name, value in content.items() if name != first}
    return {**content, first: without(content[first], *rest)}


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda content: without(content, "config"),
        lambda content: {**content, "config": None},
        lambda content: {**content, "config": [1, 2]},
        lambda content: without(content, "config", "data"),
        lambda content: without(content, "config", "options"),
        lambda content: without(content, "config", "design", "thresholds"),
        lambda content: {**content, "config": {**content["config"], "data": "textures"}},
        lambda content: {
            **content,
            "config": {**content["config"], "design": {"thresholds": {"unheard": 0.5}}},
        },
    ],
)
def test_what_is_not_whole_is_refused_in_one_line(refused, spoiled):
    with refused("the run's config.json isn't whole", "run the audit again"):
        stored_config(spoiled(written(make_config())))


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        ("detector", "detectors", ["fccd"], "did you mean 'fcdd'"),
        ("explanation", "explainers", ["unheard"], "unknown explainer 'unheard'"),
        ("data", "unheard", 1, "unheard"),
        ("design", "seeds", 0, "seeds is 0"),
        ("design", "budget", 0, "budget is 0"),
    ],
)
def test_what_this_release_does_not_know_is_refused_in_one_line(refused, part, name, value, said):
    content = written(make_config())
    content["config"][part][name] = value
    with refused(said):
        stored_config(content)


def test_it_looks_at_none_of_the_runs_files():
    """Whether the folders are there is said when they are used."""
    config = make_config(dataset="folder", data_root="/nowhere", cache="/nowhere", out="/nowhere")
    assert stored_config(written(config)) == config
