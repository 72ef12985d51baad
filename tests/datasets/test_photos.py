import numpy as np
import pytest
import skimage.data._fetchers as fetchers
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.datasets.photos import COLOUR, GREY, MIN_STD, photo, photo_crops, sample_crops

ALL = GREY + COLOUR + ("grass", "gravel", "brick")


def coordinates(height, width):
    """A photo whose every pixel tells its row and column: (H, W, 2)."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns], axis=2).astype(np.float32)


@pytest.mark.parametrize("name", ALL)
def test_every_photo_comes_with_scikit_image_itself(name, monkeypatch, tmp_path):
    monkeypatch.setattr(fetchers, "_image_fetcher", None)  # what would download
    monkeypatch.setattr(fetchers, "data_dir", str(tmp_path / "data"))  # what was downloaded
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # scikit-image skips tests of what it can't download
    pixels = photo.__wrapped__(name, 1)
    assert pixels.dtype == np.float32
    assert pixels.ndim == 3
    assert pixels.shape[2] == 1
    assert 0 <= pixels.min() < pixels.max() <= 1


@pytest.mark.parametrize("name", COLOUR)
def test_colour_photos_have_colour(name):
    pixels = photo(name, 3)
    assert pixels.shape[2] == 3
    assert 0 <= pixels.min() < pixels.max() <= 1
    assert np.ptp(pixels, axis=2).mean() > 0.02


def test_a_colour_photo_made_grey_weighs_its_channels():
    weighed = photo("coffee", 3) @ np.array([0.2125, 0.7154, 0.0721], np.float32)
    np.testing.assert_allclose(photo("coffee", 1)[..., 0], weighed, atol=1e-5)


def test_crops_are_windows_of_the_photo():
    crops = sample_crops(coordinates(40, 50), 8, 30, np.random.default_rng(0))
    assert crops.shape == (30, 8, 8, 2)
    corners = crops[:, :1, :1]
    assert (crops - corners == coordinates(8, 8)).all()
    assert len(np.unique(corners.reshape(30, 2), axis=0)) > 20
    assert corners[..., 0].max() <= 32
    assert corners[..., 1].max() <= 42


def test_zoomed_crops_show_up_to_twice_as_much():
    crops = sample_crops(coordinates(100, 100), 20, 40, np.random.default_rng(0), zoom=2)
    seen = np.ptp(crops[..., 0], axis=(1, 2)) + 1
    assert crops.shape == (40, 20, 20, 2)
    assert seen.min() < 24
    assert 34 < seen.max() <= 40


def test_a_photo_smaller_than_the_crop_is_enlarged():
    crops = sample_crops(coordinates(10, 30), 16, 5, np.random.default_rng(0), zoom=2)
    assert crops.shape == (5, 16, 16, 2)
    assert crops[..., 0].max() <= 9


def test_flat_crops_are_drawn_again():
    image = np.zeros((64, 64, 1), np.float32)
    image[:, 32:] = np.random.default_rng(0).random((64, 32, 1))
    assert (sample_crops(image, 8, 50, np.random.default_rng(1)).std(axis=(1, 2, 3)) >= MIN_STD).all()


def test_a_photo_without_contrast_is_refused():
    with pytest.raises(ValueError, match="contrast"):
        sample_crops(np.full((64, 64, 1), 0.5, np.float32), 8, 1, np.random.default_rng(0))


def test_the_same_stream_draws_the_same_crops_and_another_draws_others():
    def draw(seed):
        return photo_crops(1, 16, 20, np.random.default_rng(seed))[0]

    assert (draw(0) == draw(0)).all()
    assert (draw(0) != draw(1)).any()


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 40), size=st.integers(8, 48), channels=st.sampled_from([1, 3]))
def test_crops_are_spread_evenly_over_the_photos_of_their_kind(count, size, channels):
    crops, names = photo_crops(channels, size, count, np.random.default_rng(0))
    photos = COLOUR if channels == 3 else GREY + COLOUR
    shares = [sum(name.rsplit("-", 1)[0] == photo for name in names) for photo in photos]
    assert crops.shape == (count, size, size, channels)
    assert crops.dtype == np.float32
    assert 0 <= crops.min() <= crops.max() <= 1
    assert sum(shares) == len(set(names)) == count
    assert max(shares) - min(shares) <= 1


def test_photos_can_be_left_out():
    _, names = photo_crops(1, 16, 26, np.random.default_rng(0), without=("retina", "moon"))
    assert {name.rsplit("-", 1)[0] for name in names} == set(GREY + COLOUR) - {"retina", "moon"}
