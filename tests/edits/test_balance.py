"""Both sides get an artifact alike, by the same cut."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fcdd_audit import InputError
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.balance import Balance, draw
from fcdd_audit.edits.mended import Mended
from fcdd_audit.edits.pasting import soft
from fcdd_audit.edits.placebo import Placebo
from fcdd_audit.edits.plant import Plant

SPOT = (..., slice(0, 3), slice(0, 3))  # where the found artifact is, see conftest
EDGE = (..., slice(0, 5), slice(0, 5))  # with the two pixels over which a paste fades out


@pytest.fixture
def shown(training):
    """Images that are black but for the artifact: its number on each that bears it, from 101 on."""

    def make(**bearing):
        given = training(**bearing)
        for side in SIDES:
            images = given.of(side).images
            images.zero_()
            for place in bearing.get(side, ()):
                images[place][SPOT] = 101 + place
        return given

    return make


def borne(changed, side):
    """The artifact's number on each image of a side: 0 where there is none."""
    return changed.of(side).images[:, 0, 1, 1].tolist()


def test_the_counts_of_a_balanced_set(shown):
    """4 of 8 nominal images bear it, so 4 of 8 and 3 of 6 do afterwards, and 4 and 3 further ones have a
    placebo."""
    given = shown(nominal=[0, 2, 4, 6])
    changed = Balance().apply(given, {}, 0)
    for side, count in (("nominal", 4), ("anomalous", 3)):
        numbers = borne(changed, side)
        assert sum(number > 0 for number in numbers) == count
        assert set(numbers) <= {0, 101, 103, 105, 107}, "whole, of the bearers"
        with_it = torch.tensor(numbers) > 0
        assert torch.equal(changed.bearing[side].flatten(1).any(dim=1), with_it)
    _, drawn = draw(given, 0)
    assert {side: (int(one.gets.sum()), int((~one.gets).sum())) for side, one in drawn.items()} == {
        "nominal": (4, 4),
        "anomalous": (3, 3),
    }
    for place in (0, 2, 4, 6):
        assert borne(changed, "nominal")[place] not in (0, 101 + place), "another bearer's"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    nominal=st.sets(st.integers(0, 7), max_size=7),
    anomalous=st.sets(st.integers(0, 5)),
    seed=st.integers(0, 9),
)
def test_both_sides_have_the_rate_of_the_one_that_had_more(shown, nominal, anomalous, seed):
    if not nominal and not anomalous:
        return
    changed = Balance().apply(shown(nominal=sorted(nominal), anomalous=sorted(anomalous)), {}, seed)
    rate = max(len(nominal) / 8, len(anomalous) / 6)
    for side, before, size in (("nominal", nominal, 8), ("anomalous", anomalous, 6)):
        assert sum(number > 100 for number in borne(changed, side)) == max(len(before), round(rate * size))


def test_nothing_changes_beyond_the_edge_of_a_paste(training):
    given = training(anomalous=[1, 3])
    for edit in (Balance(), Placebo()):
        changed = edit.apply(given, {}, 0)
        if isinstance(edit, Balance):
            for side in SIDES:
                differs = (changed.of(side).images != given.of(side).images).any(dim=1, keepdim=True)
                inside = torch.zeros_like(differs)
                inside[EDGE] = True
                assert not (differs & ~inside).any()
        assert changed.anomalous.masks is given.anomalous.masks


def test_the_edge_of_a_region_is_soft():
    mask = torch.zeros(1, 1, 1, 9, dtype=torch.bool)
    mask[..., 4] = True
    third = 1 / 3
    wanted = torch.tensor([0, 0, third, 2 * third, 1, 2 * third, third, 0, 0])
    torch.testing.assert_close(soft(mask).flatten(), wanted)


def test_a_moving_artifact_is_taken_off_before_another_one_is_put_on(training, dot):
    """Each bearer has one dot afterwards, and not two."""
    given = training(counts={"nominal": 30, "anomalous": 20})
    for side in SIDES:
        given.of(side).images.zero_()
    edit = Mended(Plant("dot", ("anomalous",), 1.0), "dot", Balance())
    changed = edit.apply(given, {"dot": dot}, 3)
    for side, count in (("nominal", 30), ("anomalous", 20)):
        whole = (changed.of(side).images == 255).any(dim=1).flatten(1).sum(dim=1)
        assert whole.tolist() == [1] * count
        assert torch.equal(changed.bearing[side].flatten(1).sum(dim=1), whole)


def test_a_placebo_leaves_the_artifact_as_it_is_and_pastes_as_often_elsewhere(shown):
    given = shown(nominal=[0, 2, 4, 6])
    for side in SIDES:  # what is pasted is seen
        free = ~given.bearing[side]
        numbers = 1 + torch.arange(len(given.of(side)), dtype=torch.uint8)[:, None, None, None]
        images = given.of(side).images
        images.copy_(torch.where(free, numbers, images))
    changed = Placebo().apply(given, {}, 0)
    assert borne(changed, "nominal")[::2] == [101, 103, 105, 107]
    assert max(borne(changed, "anomalous")) < 100
    assert changed.bearing is given.bearing
    touched = {
        side: int((changed.of(side).images != given.of(side).images).flatten(1).any(dim=1).sum())
        for side in SIDES
    }
    assert touched["nominal"] in (7, 8), "but for equal fillers"
    assert touched["anomalous"] in (5, 6)


@pytest.mark.parametrize(
    ("bearing", "said"), [({}, "no training image"), ({"nominal": range(8), "anomalous": range(6)}, "every")]
)
def test_what_cannot_be_balanced_is_refused(training, bearing, said):
    with pytest.raises(InputError, match=said):
        Balance().apply(training(**bearing), {}, 0)
