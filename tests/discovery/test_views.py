"""Views in which repeated content is sought."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.views import ANCHORS, corner_views, image_view, reduced
from fcdd_audit.images.depth import Depth
from fcdd_audit.images.gallery import of_arrays, of_files

SIZES = [(40, 50), (33, 41), (16, 16), (15, 60), (60, 15), (17, 16)]  # height, width
KEPT = [0, 1, 2, 5]


def written(folder, arrays):
    paths = []
    for place, array in enumerate(arrays):
        paths.append(folder / f"{place}.png")
        Image.fromarray(array).save(paths[-1])
    return of_files(paths, folder, "test")


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


def test_corners_by_hand(tmp_path, arrays):
    found = corner_views(written(tmp_path, arrays), 16)
    assert [view.name for view in found.views] == ["lower-left", "upper-left", "left", "bottom", "top"]
    assert found.places.tolist() == KEPT
    assert found.left_out.tolist() == [3, 4]
    assert found.sizes.tolist() == [list(SIZES[place]) for place in KEPT]
    views = {view.name: view for view in found.views}
    for number, place in enumerate(KEPT):
        pixels, (height, width) = arrays[place], SIZES[place]
        middle, centre = (height - 16) // 2, (width - 16) // 2
        expected = {
            "lower-left": (pixels[-16:, :16], pixels[-16:, -16:]),
            "upper-left": (pixels[:16, :16], pixels[:16, -16:]),
            "left": (pixels[middle : middle + 16, :16], pixels[middle : middle + 16, -16:]),
            "bottom": (pixels[-16:, centre : centre + 16],) * 2,
            "top": (pixels[:16, centre : centre + 16],) * 2,
        }
        for name, (own, opposite) in expected.items():
            view = views[name]
            assert view.images.dtype == view.mirrored.dtype == torch.uint8
            assert np.array_equal(view.images[number].permute(1, 2, 0), own)
            assert np.array_equal(view.mirrored[number].permute(1, 2, 0), opposite[:, ::-1])


def test_mirroring_the_files_exchanges_images_and_mirrored(tmp_path):
    rng = np.random.default_rng(1)
    arrays = [rng.integers(0, 256, (30, 40, 3), np.uint8) for _ in range(4)]
    gallery = of_arrays(np.stack(arrays), [""] * 4, "test", "")
    mirrored = of_arrays(np.stack(arrays)[:, :, ::-1].copy(), [""] * 4, "test", "")
    for one, other in zip(corner_views(gallery, 16).views, corner_views(mirrored, 16).views, strict=True):
        assert torch.equal(one.images, other.mirrored)
        assert torch.equal(one.mirrored, other.images)


def test_pictures_are_upright(tmp_path):
    pixels = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    picture = Image.fromarray(pixels)
    picture.getexif()[0x0112] = 6  # a quarter turn clockwise makes it upright
    path = tmp_path / "lying.png"
    picture.save(path, exif=picture.getexif())
    found = corner_views(of_files([path], tmp_path, "test"), 16)
    assert found.sizes.tolist() == [[30, 20]]
    assert np.array_equal(found.views[1].images[0, 0], np.rot90(pixels, -1)[:16, :16])


def test_colour_of_any_makes_three_channels(tmp_path):
    rng = np.random.default_rng(2)
    grey = rng.integers(0, 256, (20, 20), np.uint8)
    looks_grey = np.repeat(rng.integers(0, 256, (20, 20, 1), np.uint8), 3, 2)
    coloured = rng.integers(0, 256, (20, 20, 3), np.uint8)
    plain = corner_views(written(tmp_path, [grey, looks_grey]), 16).views[0]
    assert plain.images.shape == plain.mirrored.shape == (2, 1, 16, 16)
    assert np.array_equal(plain.images[1, 0], looks_grey[-16:, :16, 0])
    mixed = corner_views(written(tmp_path, [grey, coloured]), 16).views[0]
    assert mixed.images.shape == (2, 3, 16, 16)
    assert np.array_equal(mixed.images[0, 2], grey[-16:, :16])


def test_depth_is_that_of_the_data_set(tmp_path):
    values = np.full((20, 20), 2047, np.uint16)
    gallery = written(tmp_path, [values])
    assert corner_views(gallery, 16, depth=Depth(12)).views[0].images.unique().tolist() == [127]


def test_all_too_small_and_none_at_all(tmp_path, arrays):
    for gallery, count in ((written(tmp_path, arrays), len(arrays)), (of_files([], tmp_path, "test"), 0)):
        found = corner_views(gallery, 64)
        assert found.views[0].images.shape == (0, 1, 64, 64)
        assert found.places.dtype == found.left_out.dtype == np.int64
        assert found.left_out.tolist() == [*range(count)]
        assert found.sizes.shape == (0, 2)


def test_each_is_decoded_once_and_told_of(tmp_path, arrays):
    gallery, read, told = written(tmp_path, arrays), [], []

    def counted(index, depth):
        read.append(index)
        return gallery.read(index, depth)

    found = corner_views(dataclasses.replace(gallery, read=counted), 16, advance=told.append)
    again = corner_views(gallery, 16)
    assert sorted(read) == [*range(len(arrays))]
    assert sum(told) == len(arrays)
    for one, other in zip(found.views, again.views, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.mirrored, other.mirrored)


def test_bad_files_and_crops(tmp_path, arrays):
    gallery = written(tmp_path, arrays[:1])
    with pytest.raises(ValueError, match="at least 8 px, not 7"):
        corner_views(gallery, 7)
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"can't decode test image 0\.png: ") as caught:
        corner_views(gallery, 16)
    assert "\n" not in str(caught.value)


@given(
    height=st.integers(16, 50),
    width=st.integers(16, 50),
    anchor=st.integers(0, len(ANCHORS) - 1),
    mirrored=st.booleans(),
)
def test_a_view_shows_the_part_of_the_file_that_its_frame_says(height, width, anchor, mirrored):
    pixels = np.random.default_rng(3).integers(0, 256, (1, height, width), np.uint8)
    found = corner_views(of_arrays(pixels, [""], "test", ""), 16)
    view, cut = found.views[anchor], found.cuts[anchor]
    ((rows, columns, top, left),) = cut.frames(np.array([0]), mirrored)
    assert (rows, columns) == (height, width)
    shown = (view.mirrored.flip(-1) if mirrored else view.images)[0, 0]
    assert np.array_equal(shown, pixels[0, top : top + 16, left : left + 16])


def test_opposite_corners_have_their_own_names():
    cuts = corner_views(of_arrays(np.zeros((1, 20, 20), np.uint8), [""], "test", ""), 16).cuts
    assert [cut.called(False) for cut in cuts] == ["lower-left", "upper-left", "left", "bottom", "top"]
    assert [cut.called(True) for cut in cuts] == ["lower-right", "upper-right", "right", "bottom", "top"]


def test_image_view():
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    view = image_view(images)
    assert view.name == "image"
    assert torch.equal(view.images, images)
    assert torch.equal(view.mirrored, images.flip(-1))


def test_large_images_are_reduced():
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    assert reduced(images, 16) is images
    half = reduced(torch.full((2, 1, 16, 16), 7, dtype=torch.uint8), 8)
    assert half.shape == (2, 1, 8, 8)
    assert half.unique().tolist() == [7]
    assert torch.equal(reduced(images.flip(-1), 8), reduced(images, 8).flip(-1))


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((2, 16, 16), "images are uint8"),
        ((2, 4, 16, 16), "images are uint8"),
        ((2, 3, 16, 20), "images are square, not 20x16 px"),
    ],
)
def test_images_that_make_no_view(shape, reason):
    with pytest.raises(ValueError, match=reason):
        image_view(torch.zeros(shape, dtype=torch.uint8))
