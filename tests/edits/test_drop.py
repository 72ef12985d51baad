"""Images that bear a found artifact give their places to others."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fcdd_audit import InputError
from fcdd_audit.cli.app import app
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.drop import Drop

SOME = st.sets(st.integers(0, 5), max_size=5)  # not all six


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nominal=SOME, anomalous=SOME)
def test_dropped_images_give_their_places_to_others_of_their_side(training, nominal, anomalous):
    before = training(nominal=nominal, anomalous=anomalous)
    changed = Drop().apply(before, {}, 0)
    for side, bears in (("nominal", nominal), ("anomalous", anomalous)):
        images, after = before.of(side), changed.of(side)
        assert len(after) == len(images)
        for index, name in enumerate(after.names):
            if index not in bears:
                assert name == images.names[index]
            origin = images.names.index(name)
            assert origin not in bears
            assert torch.equal(after.images[index], images.images[origin])
            if images.masks is not None:
                assert torch.equal(after.masks[index], images.masks[origin])
    assert changed.nominal.masks is None


def test_what_takes_the_places_is_drawn_and_the_same_every_time(training):
    before = training(nominal=range(5))
    first, again = (Drop().apply(before, {}, seed).nominal for seed in (0, 1))
    assert first.names == again.names
    assert len(set(first.names[:5])) > 1, "not one for all"
    assert first.names[5:] == tuple(f"nominal/{index}" for index in (5, 6, 7))


def test_where_one_is_left_it_takes_all_places(training):
    before = training(anomalous=[0, 1, 2, 4, 5])
    changed = Drop().apply(before, {}, 0)
    assert changed.anomalous.names == ("anomalous/3",) * 6
    assert (changed.anomalous.images == before.anomalous.images[3]).all()
    assert changed.nominal is before.nominal, "nothing was on them"


@pytest.mark.parametrize("side", SIDES)
def test_dropping_every_image_of_a_side_is_refused_with_what_helps(training, side):
    every = training(**{side: range(len(training().of(side)))})
    with pytest.raises(InputError) as error:
        Drop().apply(every, {}, 0)
    message, _, advice = str(error.value).partition("; use ")
    assert message == f"every {side} training image bears the artifact, and none would be left"
    flag, value = advice.split()
    assert value == "inpaint"
    assert flag in CliRunner().invoke(app, ["run", "--help"]).stdout


def test_there_need_be_no_anomalous_images(training):
    before = training({"nominal": 8, "anomalous": 0}, nominal=(0, 1))
    changed = Drop().apply(before, {}, 0)
    assert len(changed.anomalous) == 0
    assert set(changed.nominal.names) == {f"nominal/{index}" for index in range(2, 8)}
