"""What a record is of: all that its numbers depend on, and nothing else."""

import json
import os
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit import DETECTORS, EXPLAINERS, Recipe
from fcdd_audit.core.options import options_of
from fcdd_audit.core.recipe import recipe_options
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.base import EDITS, described, edit_from
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.inpaint import Inpaint
from fcdd_audit.edits.mended import Mended
from fcdd_audit.edits.plant import Plant
from fcdd_audit.edits.replant import Replant
from fcdd_audit.edits.together import Together
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import (
    checked,
    checked_place,
    explained,
    explained_place,
    scored,
    scored_place,
    trained,
    trained_place,
)
from fcdd_audit.experiment.records import as_json, key_of
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.probes import PROBES
from fcdd_audit.remedies import Penalty

CONTROL = Cell("fcdd", 0, AS_IS)
PLANTED = Cell("fcdd", 0, Plant("frame", ("anomalous",), 1.0))
BEFORE = replace(CONTROL, trained=False)


@pytest.fixture(scope="module")
def setup(exposed_config):
    """Of a planted frame."""
    return prepare(exposed_config)


@pytest.fixture(scope="module")
def wide(squares_config):
    """Of a found artifact, beside which another can be planted: for every edit."""
    return replace(prepare(squares_config), plantable={"frame": PROBES["frame"]()})


def key(cell, setup):
    return key_of(trained(cell, setup))


def every(cell, setup, explainer="native"):
    """The identities of all that can be kept of a cell."""
    return {
        "trained": trained(cell, setup),
        "scored": scored(cell, setup),
        "explained": explained(cell, setup, explainer),
        "checked": checked(cell, setup, explainer),
    }


def changed(before, after):
    """Which of them differ."""
    return {name for name in before if before[name] != after[name]}


# What is planned and what is recorded


@pytest.mark.parametrize("place", [trained_place, scored_place, explained_place, checked_place])
def test_what_is_read_back_from_a_record_is_what_was_planned(setup, tmp_path, place):
    more = {explained_place: ("native", 16), checked_place: ("native",)}.get(place, ())
    planned = place(PLANTED, setup, *more)
    store = Store(tmp_path)
    with store.opened():
        store.write(scored_place(PLANTED, setup), {})
        store.write(planned, {})
        assert store.read(planned).identity == planned[1]
        assert planned[1] == json.loads(as_json(planned[1]))


@pytest.mark.parametrize("edit", list(EDITS))
@pytest.mark.parametrize("detector", list(DETECTORS))
def test_a_cell_made_from_a_recorded_identity_has_that_identity(wide, detector, edit):
    """A kind of edit with fields that must be given needs an example here."""
    plant = Plant("frame", SIDES, 0.1)
    given = {
        "plant": plant,
        "together": Together((("frame", SIDES, 0.1),)),
        "mended": Mended(plant, "frame", Drop()),
        "replant": Replant("frame", SIDES, 0.1, "drop"),
    }
    made = given.get(edit) or EDITS[edit]()
    for cell in (Cell(detector, 3, made), Cell(detector, 3, made, trained=False)):
        found = trained(cell, wide)
        kept = json.loads(as_json(found))
        rebuilt = Cell(kept["detector"], kept["seed"], edit_from(kept["edit"]), kept["trained"])
        assert rebuilt == cell
        assert hash(rebuilt) == hash(cell)
        assert trained(rebuilt, wide) == found
        assert trained_place(rebuilt, wide) == trained_place(cell, wide)


@given(
    prevalence=st.floats(0, 1),
    sides=st.sampled_from([("nominal",), ("anomalous",), SIDES, SIDES[::-1]]),
    artifact=st.text(),
)
def test_an_edit_comes_back_from_json_to_the_last_bit(prevalence, sides, artifact):
    edit = Plant(artifact, sides, prevalence)
    assert edit_from(json.loads(as_json(described(edit)))) == edit


def test_a_term_of_the_loss_is_part_of_what_a_detector_is_and_absent_without_one(setup, wide):
    term, more = (Penalty("consistency", "frame", (("strength", value),)) for value in (2.0, 3.0))
    mended, stronger = (replace(PLANTED, term=one) for one in (term, more))
    assert "term" not in trained(PLANTED, setup)
    said = {"remedy": "consistency", "artifact": "frame", "options": {"strength": 2}}
    assert trained(mended, setup) == {**trained(PLANTED, setup), "term": said}
    assert len({key(cell, setup) for cell in (PLANTED, mended, stronger)}) == 3
    found = replace(CONTROL, term=replace(term, artifact="mask"))
    assert trained(found, wide)["bearing"].keys() == set(SIDES), "it depends on where the artifact is"
    assert trained(CONTROL, wide)["bearing"] == {}


def test_what_was_kept_before_there_were_remedies_is_used_again(setup, wide):
    """Of a plain cell the identity has these keys and no others: a store made before holds such records."""
    keys = {
        *("stage", "detector", "options", "recipe", "trained", "edit", "artifacts", "images", "bearing"),
        *("seed", "device", "code"),
    }
    for cell, one in ((CONTROL, setup), (PLANTED, setup), (Cell("fcdd", 0, Drop()), wide)):
        assert trained(cell, one).keys() == keys


def test_records_lie_where_their_keys_say_with_explanations_below_the_scores(setup):
    place, found = trained_place(PLANTED, setup)
    assert place == f"trained/{key_of(found)}"
    folder, found = scored_place(PLANTED, setup)
    assert folder == f"measured/{key_of(found)}"
    of_any = key_of(explained(PLANTED, setup, "native"))
    few, many = (explained_place(PLANTED, setup, "native", images) for images in (16, 32))
    assert few[0] == f"{folder}/native-{of_any}-16"
    assert many[0] == f"{folder}/native-{of_any}-32", "the key is the same for all numbers of images"
    assert few[1] == {**explained(PLANTED, setup, "native"), "images": 16} != many[1]
    place, found = checked_place(PLANTED, setup, "native")
    assert place == f"{folder}/native-checks-{key_of(found)}"


# What counts in training


@pytest.mark.parametrize("changes", [{"probe": "bars"}, {"prevalence": (0.5,)}, {"plant_on": "nominal"}])
def test_a_control_knows_nothing_of_the_probe(exposed_config, setup, changes):
    other = prepare(exposed_config.having(**changes))
    for cell in (CONTROL, BEFORE, Cell("ae", 0, AS_IS)):
        assert trained(cell, other) == trained(cell, setup)
        assert "frame" not in as_json(trained(cell, setup))


def test_controls_are_shared_also_where_another_threshold_is_set_and_their_scores_are_not(exposed_config):
    oe, others = (prepare(exposed_config.having(plant_on=one)) for one in ("oe", "all-but-oe"))
    assert changed(every(CONTROL, oe), every(CONTROL, others)) == {"scored", "explained", "checked"}


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"detector": "hsc"},
        {"trained": False},
        {"edit": Plant("frame", ("anomalous",), 0.5)},
        {"edit": Plant("frame", ("nominal",), 1.0)},
        {"edit": Plant("frame", SIDES, 1.0)},
        {"edit": AS_IS},
        {"edit": Drop()},
    ],
)
def test_another_cell_is_another_record(wide, changes):
    assert key(replace(PLANTED, **changes), wide) != key(PLANTED, wide)


def test_what_is_planted_counts_and_what_could_be_does_not(setup):
    more = replace(setup, plantable={**setup.plantable, "bars": PROBES["bars"]()})
    assert trained(PLANTED, more) == trained(PLANTED, setup)
    wider = replace(setup, plantable={"frame": PROBES["frame"](width=0.2)})
    assert key(PLANTED, wider) != key(PLANTED, setup)
    assert trained(CONTROL, wider) == trained(CONTROL, setup)


def test_a_logo_whose_picture_is_replaced_is_another_artifact(exposed_config, tmp_path):
    """Under the same name, as large, and as old."""
    file = tmp_path / "logo.bmp"
    Image.new("RGB", (16, 16)).save(file)
    config = exposed_config.having(probe="logo", options={"logo": {"file": str(file)}})
    cell = replace(PLANTED, edit=Plant("logo", ("anomalous",), 1.0))
    found, sizes = [], set()
    for colour in ("red", "red", "blue"):
        Image.new("RGB", (16, 16), colour).save(file)
        os.utime(file, (10**9, 10**9))
        sizes.add(file.stat().st_size)
        found.append(every(cell, prepare(config)) | {"control": trained(CONTROL, prepare(config))})
    first, again, other = found
    assert len(sizes) == 1
    assert changed(first, again) == set()
    assert changed(first, other) == {"trained", "scored", "explained", "checked"}


OTHER_RECIPE = {
    "epochs": 2,
    "steps": 3,
    "batch_size": 4,
    "optimizer": "sgd",
    "lr": 0.01,
    "weight_decay": 0.1,
    "decay": 0.5,
    "milestones": (0.5,),
    "repeats": 2,
    "oe_probability": 0.25,
    "shift": 0.0,
    "border": "black",
    "flip": 0.5,
    "jitter": 0.1,
    "jitter_share": 0.5,
    "noise": 0.1,
    "relative_noise": 0.1,
    "noise_share": 0.5,
    "network": "cnn32",
    "normalise": "imagenet",
}


@pytest.mark.parametrize("name", [name for name in recipe_options() if name != "precision"])
def test_every_setting_of_the_recipe_counts_and_before_training_only_the_networks(setup, name):
    other = replace(setup, recipe=setup.recipe.changed(**{name: OTHER_RECIPE[name]}))
    assert key(CONTROL, other) != key(CONTROL, setup)
    assert (key(BEFORE, other) != key(BEFORE, setup)) == (name in ("network", "normalise"))


def test_epochs_do_not_count_where_steps_are_given(setup):
    few, many = (replace(setup, recipe=Recipe.of(steps=3, epochs=epochs)) for epochs in (1, 9))
    assert key(CONTROL, few) == key(CONTROL, many)
    assert "epochs" not in trained(CONTROL, few)["recipe"]
    assert "steps" not in trained(CONTROL, setup)["recipe"]


def test_the_precision_that_training_comes_to_counts_and_not_how_it_was_asked_for(setup):
    def asked(precision):
        return replace(setup, recipe=setup.recipe.changed(precision=precision))

    auto = asked("auto").training_device["precision"]
    other = {"float32": "bfloat16", "bfloat16": "float32"}[auto]
    assert key(CONTROL, asked(auto)) == key(CONTROL, asked("auto")) != key(CONTROL, asked(other))


def test_only_images_that_a_detector_learns_from_count_and_not_their_names(setup):
    as_is = setup.training[AS_IS]
    renamed = replace(as_is.nominal, names=tuple(f"other {name}" for name in as_is.nominal.names))
    brighter = replace(as_is.anomalous, images=as_is.anomalous.images // 2 + 99, digest=None)
    darker = replace(as_is.nominal, images=as_is.nominal.images // 2, digest=None)
    masked = replace(as_is.anomalous, masks=torch.ones(len(as_is.anomalous), 1, 32, 32, dtype=torch.bool))

    def counts(cell, **changes):
        return key(cell, replace(setup, training={AS_IS: replace(as_is, **changes)})) != key(cell, setup)

    autoencoder = Cell("ae", 0, AS_IS)
    for cell in (CONTROL, autoencoder, BEFORE):
        assert not counts(cell, nominal=renamed)
        assert counts(cell, nominal=darker)
        assert counts(cell, anomalous=brighter) == counts(cell, anomalous=masked) == (cell is CONTROL)


def test_where_a_found_artifact_is_counts_for_edits_that_remove_it_only(wide):
    as_is = wide.training[AS_IS]
    bearing = {**as_is.bearing, "anomalous": as_is.bearing["anomalous"].flip(0)}
    other = replace(wide, training={AS_IS: replace(as_is, bearing=bearing)})
    assert key(CONTROL, other) == key(CONTROL, wide)
    assert key(PLANTED, other) == key(PLANTED, wide)
    assert key(replace(CONTROL, edit=Drop()), other) != key(replace(CONTROL, edit=Drop()), wide)
    for first, counts in ((PLANTED.edit, False), (Replant("frame", ("anomalous",), 1.0, "drop"), True)):
        mended = replace(CONTROL, edit=Mended(first, "frame", Inpaint()))
        assert (key(mended, other) != key(mended, wide)) == counts


@pytest.mark.parametrize("name", list(DETECTORS))
def test_a_detectors_default_options_are_the_same_given_or_not_and_others_count_for_it_only(setup, name):
    cell, other = Cell(name, 0, AS_IS), CONTROL if name != "fcdd" else Cell("ae", 0, AS_IS)
    given_all = replace(setup, options={name: asdict(DETECTORS[name].Options())})
    assert trained(cell, given_all) == trained(cell, replace(setup, options={}))
    changes = {"fcdd": {"sigma": 2.0}}.get(name, {"dimensions": 8})
    if set(changes) <= set(options_of(DETECTORS[name])):
        options = replace(setup, options={name: changes})
        assert key(cell, options) != key(cell, given_all)
        assert trained(other, options) == trained(other, given_all)


# What counts in measuring


def test_where_detectors_are_measured_counts_and_where_they_were_trained_is_kept(setup):
    card = {"type": "cuda", "name": "Card", "precision": "bfloat16"}
    moved = replace(setup, trained_on_device=card)
    assert trained(CONTROL, moved)["device"] == {**card, "stack": 1}
    assert scored(CONTROL, moved)["device"] == setup.measuring_device
    assert scored(CONTROL, moved)["of"] == key(CONTROL, moved) != key(CONTROL, setup)


def test_names_of_scored_images_count(setup):
    """They stand in the record."""
    renamed = replace(setup.validation, names=tuple(f"other {name}" for name in setup.validation.names))
    found = changed(every(CONTROL, setup), every(CONTROL, replace(setup, validation=renamed)))
    assert found == {"scored", "explained", "checked"}


def test_how_much_is_explained_and_what_it_is_judged_by_does_not_count(exposed_config, setup):
    asked = exposed_config.having(explained=3, quantile=0.5, explainers=("native", "gradient"))
    assert changed(every(PLANTED, setup), every(PLANTED, prepare(asked))) == set()
    assert changed(every(PLANTED, setup), every(PLANTED, replace(setup, sanity=4))) == {"checked"}


def test_an_explainer_is_apart_from_the_others(setup):
    names = ("native", "smooth-grad", "occlusion")
    found = {name: every(CONTROL, setup, name) for name in names}
    other = replace(setup, options={"smooth-grad": {"samples": 3}}, explainers=names)
    for name in names:
        expected = {"explained", "checked"} if name == "smooth-grad" else set()
        assert changed(found[name], every(CONTROL, other, name)) == expected
    assert len({key_of(one["explained"]) for one in found.values()}) == 3


@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_an_explainers_default_options_are_the_same_given_or_not(setup, name):
    defaults = {key: option.default for key, option in options_of(EXPLAINERS[name]).items()}
    given_all = replace(setup, options={name: defaults})
    assert changed(every(CONTROL, setup, name), every(CONTROL, given_all, name)) == set()


def test_an_option_that_is_a_float_is_the_same_written_as_a_whole_number(setup):
    """TOML has `window = 1` and `window = 1.0`."""
    for name, option in (("occlusion", "window"), ("fcdd", "sigma")):
        whole, point = (replace(setup, options={name: {option: one}}) for one in (1, 1.0))
        places = [explained_place(CONTROL, one, "occlusion", 16) for one in (whole, point)]
        assert places[0] == places[1]
