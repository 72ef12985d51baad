"""Where an artifact is in training, and the test sets that follow from it."""

import pytest

from fcdd_audit.core.directions import (
    AUTO,
    CLEAN,
    DIRECTIONS,
    MARKED,
    ON_ANOMALOUS,
    ON_NOMINAL,
    plantable,
)
from fcdd_audit.core.sides import SIDES

# By hand: the side that bears it in training; the sets in use, in conflict and aligned; and the side that
# differs between the first two.
BY_HAND = {
    "anomalous": ("anomalous", CLEAN, ON_NOMINAL, ON_ANOMALOUS, "nominal"),
    "nominal": ("nominal", CLEAN, ON_ANOMALOUS, ON_NOMINAL, "anomalous"),
    "oe": ("anomalous", CLEAN, ON_NOMINAL, ON_ANOMALOUS, "nominal"),
    "all-but-oe": ("nominal", MARKED, ON_ANOMALOUS, ON_NOMINAL, "nominal"),
    "found-on-anomalous": ("anomalous", MARKED, ON_NOMINAL, ON_ANOMALOUS, "anomalous"),
    "found-on-nominal": ("nominal", MARKED, ON_ANOMALOUS, ON_NOMINAL, "nominal"),
    "transplanted-from-anomalous": ("anomalous", CLEAN, ON_NOMINAL, ON_ANOMALOUS, "nominal"),
    "transplanted-from-nominal": ("nominal", CLEAN, ON_ANOMALOUS, ON_NOMINAL, "anomalous"),
}
WORDS = {
    "anomalous": "planted on a share of the anomalous training images; for the test put on the nominal test "
    "images.",
    "nominal": "planted on a share of the nominal training images; for the test put on the anomalous test "
    "images.",
    "oe": "planted on a share of the outlier exposure and nowhere else; for the test put on the nominal test "
    "images.",
    "all-but-oe": "planted on a share of all training images but the outlier exposure; for the test taken "
    "off the nominal test images.",
    "found-on-anomalous": "found on a share of the anomalous training images; for the test removed from the "
    "anomalous test images that bear it.",
    "found-on-nominal": "found on a share of the nominal training images; for the test removed from the "
    "nominal test images that bear it.",
    "transplanted-from-anomalous": "found on a share of the anomalous training images; for the test put on "
    "the nominal test images that aren't known to bear it.",
    "transplanted-from-nominal": "found on a share of the nominal training images; for the test put on the "
    "anomalous test images that aren't known to bear it.",
}


def test_every_direction_is_written_out_here():
    assert list(DIRECTIONS) == list(BY_HAND) == list(WORDS)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_sides_and_sets_are_those_by_hand(name):
    entry = DIRECTIONS[name]
    assert (entry.side, entry.usual, entry.conflict, entry.aligned, entry.changed) == BY_HAND[name]


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_conflict_set_differs_from_the_one_in_use_on_one_side_only(name):
    entry = DIRECTIONS[name]
    different = [side for side, a, b in zip(SIDES, entry.usual, entry.conflict, strict=True) if a != b]
    assert different == [entry.changed]


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_line_for_lists_says_both(name):
    assert DIRECTIONS[name].summary == DIRECTIONS.summary(name) == WORDS[name]


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_share_can_be_filled_in(name):
    words = DIRECTIONS[name].trained.format(share="20 %")
    assert words.startswith(("planted on 20 % of ", "found on 20 % of "))


def test_what_is_found_cannot_be_planted():
    assert plantable() == ("anomalous", "nominal", "oe", "all-but-oe")
    assert [name for name in DIRECTIONS if DIRECTIONS[name].found] == [
        "found-on-anomalous",
        "found-on-nominal",
        "transplanted-from-anomalous",
        "transplanted-from-nominal",
    ]
    assert [name for name in DIRECTIONS if DIRECTIONS[name].removed] == [
        "found-on-anomalous",
        "found-on-nominal",
    ]
    assert [name for name in DIRECTIONS if DIRECTIONS[name].by_source] == ["oe", "all-but-oe"]
    assert AUTO not in DIRECTIONS
