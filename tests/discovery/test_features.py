"""What images tell of how they were made."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fcdd_audit.discovery.features import CATEGORIES, GROUPS, MEASURED, features
from fcdd_audit.images.decode import Origin
from fcdd_audit.images.files import find_files
from fcdd_audit.images.gallery import of_files
from fcdd_audit.images.parts import decoded
from fcdd_audit.images.reading import Reading
from fcdd_audit.images.sets import ImageSet

PHOTO = Origin("JPEG", 32, 32, "RGB", 90)


def image_set(pixels, origins=None, first="image"):
    """pixels: (N, C, H, W) or, of one grey image, (H, W)."""
    values = torch.as_tensor(np.array(pixels, np.uint8))
    values = values[None, None] if values.ndim == 2 else values
    return ImageSet(values, tuple(f"{first}-{i}" for i in range(len(values))), origins=origins)


def noise(count, seed=0, channels=3, side=16, mean=120, spread=30):
    values = np.random.default_rng(seed).normal(mean, spread, (count, channels, side, side))
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def one(name, pixels):
    """A feature of one image."""
    return features(image_set(pixels))[name].item()


# Features of the pixels


def test_sharpness_is_the_variance_of_the_laplacian():
    pixels = np.zeros((3, 4))
    pixels[1, 1] = 10  # the two inner pixels: -40 and 10, of mean -15 and variance 625
    assert one("sharpness", pixels) == pytest.approx(np.log10(626))
    ramp = np.arange(6) * np.ones((5, 1))
    assert one("sharpness", ramp) == 0


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda p: p, 0),
        (lambda p: p[0].fill(0), 25),
        (lambda p: p[[0, -1]].__setitem__(slice(None), 9), 0),  # a copy: nothing is drawn
        (lambda p: (p[:2].fill(255), p[-1:].fill(0)), 50),  # bars above and below
        (lambda p: (p[0].fill(7), p[-1].fill(7), p[:, 0].fill(7), p[:, -1].fill(7)), 100),
    ],
)
def test_the_border_counts_uniform_edge_lines(draw, expected):
    pixels = noise(1, channels=1)[0, 0]
    draw(pixels)
    assert one("border", pixels) == expected


@pytest.mark.parametrize(("spread", "expected"), [(2, 25), (3, 0)])
def test_nearly_uniform_is_up_to_two_levels(spread, expected):
    pixels = noise(1, channels=1)[0, 0]
    pixels[0] = 100 + spread * (-1) ** np.arange(16)
    assert one("border", pixels) == expected


def test_a_line_is_uniform_only_if_it_is_in_every_channel():
    pixels = noise(1)
    pixels[:, 0, 0] = 50
    assert one("border", pixels) == 0
    pixels[:, :, 0] = 50
    assert one("border", pixels) == 25


def blocks(shift=0, side=32, block=8):
    """Flat blocks of random levels."""
    levels = np.random.default_rng(0).integers(0, 256, (side // block + 1,) * 2)
    return np.kron(levels, np.ones((block, block)))[shift : side + shift, shift : side + shift]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (blocks(), 1),
        (blocks(shift=1), -1),  # all steps lie just beside where they are looked for
        (blocks(shift=4), 0),
        (np.zeros((16, 16)), 0),
        (np.arange(32) * np.ones((32, 1)), 0),
    ],
)
def test_blockiness_of_constructed_images(pixels, expected):
    assert one("blockiness", pixels) == pytest.approx(expected)


def test_blockiness_by_hand():
    pixels = np.zeros((3, 16))
    pixels[:, 7:] = 2  # a step of 2 before the border of the block,
    pixels[:, 8:] = 10  # one of 8 on it
    pixels[:, 9:] = 12  # and one of 2 after it
    assert one("blockiness", pixels) == pytest.approx((8 - 2) / (8 + 2))


def test_jpeg_coding_shows_in_blockiness_until_the_picture_is_resized(tmp_path):
    smooth = np.random.default_rng(0).normal(128, 20, (20, 8, 8)).clip(0, 255).astype(np.uint8)
    found = {}
    for quality in (30, 95):
        for index, pixels in enumerate(smooth):
            path = tmp_path / str(quality) / f"{index}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(path, quality=quality)
        gallery = of_files(find_files(tmp_path / str(quality)).paths, tmp_path, "files")
        for size in (64, 40):
            images = decoded(gallery, size, Reading(cache=tmp_path / "cache"), [])
            found[quality, size] = features(images)["blockiness"].median()
    assert found[30, 64] > found[95, 64] + 0.1
    assert abs(found[30, 40] - found[95, 40]) < 0.1


def test_noise_is_that_of_white_noise_and_not_of_slopes():
    assert one("noise", noise(1, channels=1, side=128, spread=10)[0, 0]) == pytest.approx(10, rel=0.05)
    rows, columns = np.mgrid[:16, :16]
    assert one("noise", 3 * rows + 5 * columns) == 0


def test_colours_by_hand():
    pixels = np.zeros((1, 3, 4, 4))
    pixels[0, 0] = 200  # pure red,
    pixels[0, :, :2] = 100  # but grey in the upper half
    row = features(image_set(pixels)).iloc[0]
    assert row[["mean_red", "mean_green", "mean_blue"]].tolist() == [150, 50, 50]
    assert row[["std_red", "std_green", "std_blue"]].tolist() == [50, 50, 50]
    assert row["saturation"] == 50
    assert row["clipped_low"] == pytest.approx(100 / 3)
    assert row["clipped_high"] == 0


def test_grey_images_have_the_features_of_grey():
    pixels = np.full((4, 4), 255)
    pixels[0, 0] = 0
    found = features(image_set(pixels))
    assert "saturation" not in found
    assert "mean_red" not in found
    assert found["mean_grey"].item() == pytest.approx(255 * 15 / 16)
    assert found["clipped_low"].item() == 100 / 16
    assert found["clipped_high"].item() == 100 * 15 / 16


def test_many_large_images_are_the_same_as_few(monkeypatch):
    images = image_set(noise(7))
    whole = features(images)
    monkeypatch.setattr("fcdd_audit.discovery.features.BATCH_VALUES", 1000)
    pd.testing.assert_frame_equal(whole, features(images), check_exact=True)


def test_too_small_images_are_refused():
    with pytest.raises(ValueError, match="3 px"):
        features(image_set(np.zeros((2, 9))))


# Features of the files


def test_facts_about_the_files():
    origins = (Origin("JPEG", 400, 300, "RGB", 85), Origin("PNG", 50, 100, "P"))
    found = features(image_set(noise(2), origins))
    assert found["format"].tolist() == ["JPEG", "PNG"]
    assert found["mode"].tolist() == ["RGB", "P"]
    assert found["width"].tolist() == [400, 50]
    assert found["height"].tolist() == [300, 100]
    assert found["aspect"].tolist() == pytest.approx([4 / 3, 0.5])
    assert found["jpeg_quality"].iloc[0] == 85
    assert np.isnan(found["jpeg_quality"].iloc[1])
    assert set(features(image_set(noise(2)))) == set(found) - {*CATEGORIES, "width", "height", "aspect"} - {
        "jpeg_quality"
    }


def test_every_feature_is_described():
    colour, grey = features(image_set(noise(1), (PHOTO,))), features(image_set(noise(1, channels=1)))
    assert {*colour, *grey} == {*CATEGORIES, *MEASURED}
    assert {feature.group for feature in (*CATEGORIES.values(), *MEASURED.values())} == set(GROUPS)
