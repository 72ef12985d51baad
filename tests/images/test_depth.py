import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.depth import Depth, Largest, Peaks, bits, check_bit_depth, depth_notes, depth_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 1), (0.2, 1), (1, 1), (1.01, 2), (3, 2), (255, 8), (255.5, 9), (256, 9), (4095, 12), (65535, 16)],
)
def test_bits(value, expected):
    assert bits(value) == expected


@given(st.floats(0, 1e9))
def test_so_many_bits_and_no_fewer_hold_a_value(value):
    assert value <= 2 ** bits(value) - 1
    assert bits(value) == 1 or value > 2 ** (bits(value) - 1) - 1


def of(integers=None, floats=None):
    named = {"integers": integers, "floats": floats}
    return Peaks(**{kind: Largest(value, "a.png") for kind, value in named.items() if value is not None})


@pytest.mark.parametrize(
    ("peaks", "asked", "expected"),
    [
        (of(), None, Depth(16, 1)),
        (of(4095), None, Depth(12, 1)),
        (of(3000), None, Depth(12, 1)),
        (of(4096), None, Depth(13, 1)),
        (of(65535), None, Depth(16, 1)),
        (of(9), None, Depth(8, 1)),
        (of(3000), 14, Depth(14, 1)),
        (of(floats=1), None, Depth(16, 1)),
        (of(floats=0), None, Depth(16, 1)),
        (of(floats=1.05), None, Depth(16, 1)),
        (of(floats=1.5), None, Depth(16, 1)),
        (of(700, 1.05), None, Depth(10, 1)),
        (of(floats=1.05), 8, Depth(16, 8)),
        (of(floats=7.5), 10, Depth(16, 10)),
        (of(floats=127.5), None, Depth(16, 8)),
        (of(floats=255), None, Depth(16, 8)),
        (of(floats=4000.5), None, Depth(16, 12)),
        (of(floats=4000.5), 14, Depth(16, 14)),
        (of(700, 0.5), None, Depth(10, 1)),
        (of(700, 0.5), 12, Depth(12, 1)),
        (of(700, 900.0), 12, Depth(12, 12)),
    ],
)
def test_the_depth_of_a_data_set(peaks, asked, expected):
    assert depth_of(peaks, asked) == expected


@pytest.mark.parametrize(
    ("peaks", "asked", "words"),
    [
        (of(), 12, ("bit depth 12 is given", "no image file", "drop --bit-depth")),
        (of(floats=0.7), 12, ("no image file", "drop --bit-depth")),
        (of(5000), 12, ("12 allows values up to 4095", "'a.png' reach 5000", "raise --bit-depth to 13")),
        (of(floats=1.51), None, ("'a.png' are floats up to 1.51", "give n with --bit-depth")),
        (of(4000, 127.0), None, ("'a.png' are floats up to 127", "2^n - 1 with n from 8 to 16")),
        (of(floats=1e6), 12, ("'a.png' reach 1e+06", "; drop --bit-depth")),
    ],
)
def test_a_depth_that_cannot_be_is_refused(refused, peaks, asked, words):
    with refused(*words):
        depth_of(peaks, asked)


@pytest.mark.parametrize("asked", [7, 17, 0, -8, 12.5, "12"])
def test_a_bit_depth_that_no_file_has_is_refused(refused, asked):
    with refused(f"bit depth is {asked}", "8 to 16"):
        check_bit_depth(asked)


@pytest.mark.parametrize("asked", [None, 8, 12, 16])
def test_a_bit_depth_of_a_file_is_fine(asked):
    check_bit_depth(asked)


def test_white():
    depth = Depth(12, 2)
    assert depth.white(np.zeros(1, np.uint16)) == depth.white(np.zeros(1, np.int32)) == 4095
    assert depth.white(np.zeros(1, np.float32)) == 3


def test_the_depth_is_said():
    peaks = of(4000)
    (note,) = depth_notes(peaks, depth_of(peaks, None), None)
    assert note == (
        "The largest value of image files of more than 8 bits a channel is 4000 (of 'a.png'); they are read "
        "with a depth of 12 bits (another is given with --bit-depth): 4095 is white."
    )
    (note,) = depth_notes(peaks, depth_of(peaks, None), None, own=False)
    assert "with a depth of 12 bits: 4095 is white" in note, "--bit-depth isn't about outlier exposure"
    (note,) = depth_notes(peaks, depth_of(peaks, 14), 14)
    assert "a depth of 14 bits, as asked: 16383 is white" in note
    assert depth_notes(of(), Depth(), None) == []
    assert depth_notes(of(floats=0.5), Depth(), None) == [], "shares of white are read as they are"
    assert len(depth_notes(of(4000, 200.5), depth_of(of(4000, 200.5), None), None)) == 2


def test_a_bit_depth_is_not_offered_for_outlier_exposure():
    with pytest.raises(InputError) as error:
        depth_of(of(floats=7.5), None, own=False)
    assert str(error.value) == (
        "the values of 'a.png' are floats up to 7.5, and what is white can't be told; scale them to 0 to 1, "
        "or to 0 to 2^n - 1 with n from 8 to 16"
    )
