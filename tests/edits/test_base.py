"""What holds for every edit."""

import json
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import ClassVar

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.as_is import AsIs
from fcdd_audit.edits.balance import Balance
from fcdd_audit.edits.base import EDITS, described, edit_from, in_words, removals
from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.inpaint import Inpaint
from fcdd_audit.edits.mended import Mended
from fcdd_audit.edits.placebo import Placebo
from fcdd_audit.edits.plant import Plant
from fcdd_audit.edits.randomise import Randomise
from fcdd_audit.edits.replant import Replant
from fcdd_audit.edits.together import Together

ONE_OF_EACH = {
    "as-is": AsIs(),
    "plant": Plant("dot", SIDES, 0.5),
    "together": Together((("dot", SIDES, 0.5),)),
    "drop": Drop(),
    "inpaint": Inpaint(),
    "replant": Replant("dot", ("anomalous",), 0.5, "drop"),
    "balance": Balance(),
    "randomise": Randomise(),
    "placebo": Placebo(),
    "mended": Mended(Plant("dot", ("anomalous",), 0.5), "dot", Balance()),
}
SAME_FOR_ALL = ("as-is", "drop", "inpaint")  # seeds


def test_every_edit_is_tested_here():
    assert list(EDITS) == list(ONE_OF_EACH)


@pytest.mark.parametrize("name", EDITS)
def test_the_given_set_stays_as_it_is(name, training, dot):
    given = training(nominal=[0, 3], anomalous=[1])
    images = {side: given.of(side).images.clone() for side in SIDES}
    bearing = {side: given.bearing[side].clone() for side in SIDES}
    ONE_OF_EACH[name].apply(given, {"dot": dot}, 0)
    for side in SIDES:
        assert torch.equal(given.of(side).images, images[side])
        assert torch.equal(given.bearing[side], bearing[side])


@pytest.mark.parametrize("name", EDITS)
def test_there_are_as_many_images_of_the_same_shape_with_a_name_and_mask_each(name, training, dot):
    given = training(nominal=[0, 3], anomalous=[1])
    changed = ONE_OF_EACH[name].apply(given, {"dot": dot}, 0)
    for side in SIDES:
        before, after = given.of(side), changed.of(side)
        assert (after.images.shape, after.images.dtype) == (before.images.shape, torch.uint8)
        assert len(after.names) == len(before)
        assert (after.masks is None) == (before.masks is None)
        assert after.masks is None or after.masks.shape == before.masks.shape
    assert (changed.content() == given.content()) == (name == "as-is")


@pytest.mark.parametrize("name", EDITS)
def test_the_same_seed_makes_the_same_change_and_another_another_where_it_draws(name, training, dot):
    given = training(nominal=[0, 3], anomalous=[1])
    edit = ONE_OF_EACH[name]
    first, again, other = (edit.apply(given, {"dot": dot}, seed).content() for seed in (1, 1, 2))
    assert first == again
    assert (first != other) == (name not in SAME_FOR_ALL)


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_comes_back_from_json(name):
    edit = ONE_OF_EACH[name]
    plain = described(edit)
    assert plain["edit"] == name
    assert set(plain) == {"edit", *(one.name for one in fields(edit))}
    back = edit_from(json.loads(json.dumps(plain)))
    assert back == edit
    assert hash(back) == hash(edit), "cells are looked up by it"


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_cannot_be_changed(name):
    with pytest.raises(FrozenInstanceError):
        ONE_OF_EACH[name].other = 1


def test_what_is_described_by_hand():
    assert described(AsIs()) == {"edit": "as-is"}
    assert described(Plant("watermark", ("anomalous",), 0.2)) == {
        "edit": "plant",
        "artifact": "watermark",
        "sides": ("anomalous",),
        "prevalence": 0.2,
    }
    plant = Plant("watermark", ("anomalous",), 0.2)
    assert described(Mended(plant, "watermark", Drop())) == {
        "edit": "mended",
        "first": described(plant),
        "artifact": "watermark",
        "then": {"edit": "drop"},
    }
    assert in_words(plant) == "plant watermark anomalous 0.2"
    assert (
        in_words(Mended(plant, "watermark", Drop())) == "mended plant watermark anomalous 0.2 watermark drop"
    )
    with pytest.raises(InputError, match="unknown edit 'dorp'; did you mean 'drop'"):
        edit_from({"edit": "dorp"})


def test_an_edit_that_is_not_registered_has_no_description():
    @dataclass(frozen=True)
    class Strange:
        artifacts: ClassVar[tuple[str, ...]] = ()
        removal: ClassVar[str | None] = None

    with pytest.raises(ValueError, match="not enough values"):
        described(Strange())


def test_those_that_take_a_found_artifact_off_say_how():
    assert removals() == ("drop", "inpaint")
    for name, kind in EDITS.items():
        assert (kind.removal is None) == (name not in removals())


def test_a_training_set_has_sides(training):
    given = training()
    assert given.of("nominal") is given.nominal
    assert given.of("anomalous") is given.anomalous
    other = given.nominal.take([0])
    for side, kept in (("nominal", "anomalous"), ("anomalous", "nominal")):
        changed = given.having(side, other)
        assert changed.of(side) is other
        assert changed.of(kept) is given.of(kept)
        assert changed.bearing is given.bearing
        assert changed.content() != given.content()


def test_as_is_gives_what_it_was_given(training):
    given = training(nominal=[0])
    assert AsIs().apply(given, {}, 3) is given


def test_of_a_side_that_is_left_out_there_is_nothing(training, dot):
    given = Plant("dot", SIDES, 0.5).apply(training(nominal=[0], anomalous=[5]), {"dot": dot}, 0)
    left = given.only(("nominal",))
    assert left.nominal is given.nominal
    assert left.anomalous.images.shape == (0, *given.anomalous.images.shape[1:])
    assert (left.anomalous.names, len(left.anomalous.masks)) == ((), 0)
    for where in (left.bearing, left.planted["dot"]):
        assert {side: len(masks) for side, masks in where.items()} == {"nominal": 8, "anomalous": 0}
    assert given.only(SIDES) is given
