import numpy as np
import pytest
import torch
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.handed import image_sets
from fcdd_audit.images.reading import Reading


@pytest.fixture
def reading(tmp_path):
    return Reading(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    for place in range(3):
        Image.fromarray(np.full((20, 30), 40 * place, np.uint8)).save(root / f"{place}.png")
    return root


def of(given, reading, size=None):
    return image_sets({"test_nominal": given}, size, reading, [])["test_nominal"]


def test_floats_are_rounded_to_bytes(reading):
    found = of(np.array([[[[0.0, 0.5], [1.0, 0.2]]]]), reading)
    assert found.images.tolist() == [[[[0, 128], [255, 51]]]]
    assert found.names == ("test_nominal 0",)


def test_bytes_stay_as_they_are(reading):
    given = torch.randint(0, 256, (4, 3, 6, 5), dtype=torch.uint8)
    assert torch.equal(of(given, reading).images, given)
    assert torch.equal(of(given.permute(0, 2, 3, 1), reading).images, given)


def test_pictures_and_tuples_with_labels_are_images(reading):
    picture = Image.fromarray(np.full((6, 5, 3), 7, np.uint8))
    found = of([(picture, 1), (picture.convert("L"), 0)], reading)
    assert found.images.shape == (2, 3, 6, 5)
    assert set(found.images.flatten().tolist()) == {7}


def test_a_folder_is_decoded(reading, folder):
    found = of(folder, reading)
    assert found.images.shape == (3, 1, 64, 64)
    assert found.images[:, 0, 0, 0].tolist() == [0, 40, 80]
    assert found.names == ("0.png", "1.png", "2.png")


def test_paths_keep_their_order(reading, folder):
    found = of([folder / "2.png", str(folder / "0.png")], reading, 16)
    assert found.images[:, 0, 0, 0].tolist() == [80, 0]
    assert found.images.shape[2:] == (16, 16)


def test_files_become_as_large_as_what_is_in_memory(reading, folder):
    parts = {"test_nominal": folder, "test_anomalous": torch.zeros(2, 3, 24, 24)}
    found = image_sets(parts, None, reading, [])
    assert [one.images.shape for one in found.values()] == [(3, 3, 24, 24), (2, 3, 24, 24)]


def test_images_of_several_sizes_are_resized(reading):
    given = [torch.zeros(1, 8, 9), torch.ones(1, 5, 4)]
    assert of(given, reading, 6).images[:, 0, 0, 0].tolist() == [0, 255]
    with pytest.raises(InputError, match="image_size=64"):
        of(given, reading)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (5, "holds no images"),
        ([], "there are no images"),
        ([3.0], "is no image"),
        (np.zeros((2, 4)), "holds no images"),
        (np.zeros((0, 1, 4, 4)), "holds no images"),
        (np.zeros((2, 4, 8, 8)), "neither 1 nor 3 channels"),
        (np.zeros((2, 1, 8, 8), np.int64), "int64"),
        (np.full((2, 1, 8, 8), None), "an array of object holds no images"),
        (np.full((2, 1, 8, 8), "a"), "holds no images"),
        ([np.full((1, 8, 8), None)], "an array of object holds no images"),
        (np.full((2, 1, 8, 8), np.nan), "in [0, 1]"),
        (np.full((2, 1, 8, 8), 1.5), "without normalisation"),
        (["nowhere.png"], "no file 'nowhere.png'"),
    ],
)
def test_what_holds_no_images_is_refused(reading, given, said):
    with pytest.raises(InputError) as refused:
        of(given, reading)
    assert str(refused.value).startswith("test_nominal: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("turned", [lambda a: a[..., ::-1], lambda a: a[::-1], lambda a: a[:, :, ::-2, ::-1]])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_arrays_may_run_backwards(reading, turned, kind):
    values = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 5)).astype(np.uint8)
    given = values if kind is np.uint8 else (values / 255).astype(kind)
    found = of(turned(given), reading)
    np.testing.assert_array_equal(found.images, turned(values))
    np.testing.assert_array_equal(of(list(turned(given)), reading).images, turned(values))


@pytest.mark.parametrize("make", [np.zeros, torch.zeros])
def test_an_array_that_may_be_one_image_is_refused(reading, refused, make):
    for channels in (1, 3):
        with refused(
            f"of shape ({channels}, 8, 8) may be one image, or {channels} grey ones", "(N, C, H, W)"
        ):
            of(make((channels, 8, 8)), reading)
    assert of(make((2, 8, 8)), reading).images.shape == (2, 1, 8, 8)
    assert of([make((3, 8, 8))], reading).images.shape == (1, 3, 8, 8)


def test_a_folder_without_images_is_refused(reading, tmp_path):
    with pytest.raises(InputError, match="there are no images in"):
        of(tmp_path, reading)
