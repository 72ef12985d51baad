import base64
import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from fcdd_audit.report.strips import OUTLINE, heat_tiles, heat_uri, mask_list, photo_uri, photos, scales


def pixels(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGB")).astype(int)


def test_a_grey_picture_is_enlarged_in_whole_pixels():
    image = np.array([[[0, 255], [255, 0]]], np.uint8)
    large = pixels(photo_uri(image))
    assert large.shape == (160, 160, 3)
    assert large[20, 20].max() < 10
    assert large[20, 140].min() > 245


def test_heat_is_coloured_from_0_to_1():
    heat = np.array([[0.0, 0.5], [0.25, 1.0]])
    large = pixels(heat_uri(heat, np.zeros((2, 2), bool)))
    assert large.shape == (128, 128, 3)
    for (row, column), level in (((20, 20), 0.0), ((20, 108), 0.5), ((108, 20), 0.25), ((108, 108), 1.0)):
        wanted = np.array(colormaps["viridis"](level)[:3]) * 255
        assert np.abs(large[row, column] - wanted).max() < 12


def test_the_outline_runs_around_the_mask_and_hides_nothing_of_it():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    large = pixels(heat_uri(np.zeros((4, 4)), mask))
    assert large.shape == (128, 128, 3)
    assert np.abs(large[30, 64] - OUTLINE).max() < 90  # lossy, but pink on violet
    assert np.abs(large[64, 64] - OUTLINE).max() > 150
    assert np.abs(large[36, 64] - OUTLINE).max() > 90


def test_twins_share_the_scale_of_the_reference():
    rng = np.random.default_rng(0)
    planted = rng.random((4, 32, 32)).astype(np.float32)
    examples = {
        "side": np.array(["nominal", "nominal", "anomalous", "anomalous"]),
        "name": np.array(list("abcd")),
        "mask": np.zeros((4, 1, 32, 32), bool),
        "clean": np.zeros((4, 1, 32, 32), np.uint8),
        "marked": np.zeros((4, 1, 32, 32), np.uint8),
    }
    maps = {"native": {"planted": planted, "control": planted / 8}}
    reference = {"native": np.array([0.5, 0.25, 2.0])}
    (explainer,) = scales(reference, {"native": "of the score"}, 1.0)
    ends = {"low": 0.25, "high": pytest.approx(2.0)}
    assert explainer == {"name": "native", "unit": "of the score", **ends, "signed": False}
    rows = range(4)
    assert [one["name"] for one in photos(examples, ("clean", "marked"), rows)] == list("abcd")
    for row in heat_tiles(maps, mask_list(examples, rows), reference, 1.0):
        shown = row["native"]
        assert shown["planted"]["uri"] != shown["control"]["uri"]
        assert pixels(shown["planted"]["uri"]).mean() > pixels(shown["control"]["uri"]).mean()


def test_an_artifact_without_a_place_has_pictures_and_no_share_of_heat():
    examples = {
        "side": np.array(["nominal"]),
        "name": np.array(["a"]),
        "clean": np.zeros((1, 1, 8, 8), np.uint8),
        "marked": np.zeros((1, 1, 8, 8), np.uint8),
    }
    maps = {"native": {twin: np.ones((1, 8, 8), np.float32) for twin in ("planted", "control")}}
    (photo,) = photos(examples, ("clean", "marked"), [0])
    (row,) = heat_tiles(maps, mask_list(examples, [0]), {"native": np.array([0.0, 1.0])}, 0.97)
    assert photo["area"] is None
    assert row["native"]["planted"]["share"] is None
