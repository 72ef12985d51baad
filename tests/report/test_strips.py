import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

from fcdd_audit.report.strips import OUTLINE, heat_uri, photo_uri


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


def test_the_outline_runs_along_the_masks_edge():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    large = pixels(heat_uri(np.zeros((4, 4)), mask))
    assert large.shape == (128, 128, 3)
    assert np.abs(large[32, 64] - OUTLINE).max() < 90  # lossy, but pink on violet
    assert np.abs(large[64, 64] - OUTLINE).max() > 150
