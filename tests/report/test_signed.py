"""Two colours with one meaning each."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from fcdd_audit.core.colours import LOWERS, NEITHER, RAISES
from fcdd_audit.report.page import template_folder
from fcdd_audit.report.signed import signed_limit, signed_maps, signed_scale, signed_tiles, signed_uri


def pixels(uri):
    body = uri.partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGB")).astype(int)


def heat_file(raises, lowers, levels=(0.0, 1.0), lowering_levels=(0.0, 2.0)):
    found = {}
    for twin in ("planted", "control"):
        found |= {f"maps.{twin}.lrp": np.float16(raises), f"scale.{twin}.lrp": np.float32(2)}
        found |= {f"lowers.{twin}.lrp": np.float16(lowers), f"lowers-scale.{twin}.lrp": np.float32(4)}
        found |= {
            f"levels.{twin}.lrp": np.array(levels),
            f"lowers-levels.{twin}.lrp": np.array(lowering_levels),
        }
    return found


def test_both_halves_make_one_map_on_one_scale():
    heat = heat_file([[[0.5, 0.0]]], [[[0.0, 0.25]]])
    maps = signed_maps(heat, "lrp")
    assert maps["planted"].tolist() == maps["control"].tolist() == [[[1.0, -1.0]]]
    assert signed_limit(heat, "lrp", 1.0) == 2, "the greater of both halves"
    assert signed_maps(heat, "native") == {}


def test_zero_is_dark_and_each_way_has_its_colour():
    shown = pixels(signed_uri(np.array([[2.0, -2.0], [0.0, -9.0]]), 2.0))
    for (row, column), colour in (((20, 20), RAISES), ((20, 108), LOWERS), ((108, 20), NEITHER)):
        assert np.abs(shown[row, column] - colour).max() < 30
    assert np.abs(shown[108, 108] - LOWERS).max() < 30, "what is beyond the scale has the full colour"
    assert (np.abs(pixels(signed_uri(np.zeros((2, 2)), 0.0)) - NEITHER) < 8).all()


def test_the_share_is_of_what_lowers_the_score():
    mask = np.array([[True, False], [False, False]])
    one = np.array([[-3.0, -1.0], [50.0, 0.0]])
    (tile,) = signed_tiles(one[None], [mask], 2.0)
    assert tile["share"] == 0.75
    (none,) = signed_tiles(np.abs(one)[None], [mask], 2.0)
    assert none["share"] is None, "nothing lowers it"
    assert signed_tiles(one[None], [None], 2.0)[0]["share"] is None


def test_a_scale_says_that_it_has_two_ends():
    assert signed_scale("lrp", "of the score", 2.0) == {
        "name": "lrp",
        "unit": "of the score",
        "low": -2.0,
        "high": 2.0,
        "signed": True,
    }


def test_the_pages_bar_has_the_maps_colours():
    css = (template_folder() / "report.css").read_text(encoding="utf-8")
    (bar,) = re.findall(r"\.bar\.signed \{ background: linear-gradient\(90deg, (.*)\); \}", css)
    assert re.findall(r"rgb\((\d+) (\d+) (\d+)\)", bar) == [
        tuple(map(str, colour)) for colour in (LOWERS, NEITHER, RAISES)
    ]


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("colour", [RAISES, LOWERS])
def test_colours_stand_out_from_what_does_nothing(colour):
    assert (luminance(colour) + 0.05) / (luminance(NEITHER) + 0.05) > 5


def test_those_who_see_no_red_or_no_green_see_two_colours():
    """They tell blue from yellow: red and green look like one mixture of both."""
    for weights in ((0.3, 0.7), (0.6, 0.4)):
        yellow = [np.dot(weights, colour[:2]) - colour[2] for colour in (RAISES, LOWERS)]
        assert yellow[0] > 100 > -100 > yellow[1]
