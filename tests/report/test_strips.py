import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

from fcdd_audit.report.strips import OUTLINE, heat_uri, photo_uri, shared_top


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


def test_heat_is_coloured_from_0_to_the_shared_top_and_clipped_there():
    heat = np.array([[0.0, 1.0], [2.0, 4.0]])
    large = pixels(heat_uri(heat, 2.0, np.zeros((2, 2), bool)))
    for (row, column), level in (((20, 20), 0.0), ((20, 140), 0.5), ((140, 20), 1.0), ((140, 140), 1.0)):
        wanted = np.array(colormaps["viridis"](level)[:3]) * 255
        assert np.abs(large[row, column] - wanted).max() < 12


def test_the_outline_runs_along_the_masks_edge():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    large = pixels(heat_uri(np.zeros((4, 4)), 1.0, mask))
    assert large.shape == (160, 160, 3)
    assert np.abs(large[40, 80] - OUTLINE).max() < 90  # lossy, but pink on violet
    assert np.abs(large[80, 80] - OUTLINE).max() > 150


def test_the_shared_top_covers_both_twins_and_is_never_0():
    assert shared_top(np.zeros((1, 3, 3)), np.full((1, 3, 3), 2.0)) == 2.0
    assert shared_top(np.zeros((2, 3, 3))) == 1.0
