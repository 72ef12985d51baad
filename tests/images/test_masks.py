import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.decode import Origin
from fcdd_audit.images.masks import mask_notes, read_mask, shrunk, turned_along


def saved(folder, name, pixels, **options):
    """`pixels`, an array or a picture, as the file `name`."""
    path = folder / name
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)
    return path


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def decode_mask(path, size):
    return shrunk(read_mask(path), size)


def marked(folder, shape, where, size, **options):
    pixels = np.zeros(shape, np.uint8)
    pixels[where] = 255
    mask = decode_mask(saved(folder, "mask.png", pixels, **options), size)
    assert mask.dtype == torch.bool
    assert mask.shape == (1, size, size)
    return mask[0]


def test_a_mask_marks_what_is_not_black(tmp_path):
    pixels = np.array([[0, 1], [128, 255]], np.uint8)
    expected = [[[False, True], [True, True]]]
    assert decode_mask(saved(tmp_path, "a.png", pixels), 2).tolist() == expected
    assert decode_mask(saved(tmp_path, "b.png", pixels > 0), 2).tolist() == expected
    assert decode_mask(saved(tmp_path, "c.png", np.stack([pixels] * 3, axis=2)), 2).tolist() == expected


def test_a_mask_of_16_bit_labels_marks_the_label_1(tmp_path):
    labels = np.array([[0, 1], [2, 65535]], np.uint16)
    assert decode_mask(saved(tmp_path, "a.png", labels), 2).tolist() == [[[False, True], [True, True]]]


def test_the_transparent_part_of_a_mask_is_not_marked(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[1, 2] = 255, 0, 0, 255
    assert decode_mask(saved(tmp_path, "a.png", pixels), 4)[0].nonzero().tolist() == [[1, 2]]


@settings(max_examples=30, deadline=None)
@given(side=st.integers(64, 700), size=st.integers(16, 64), data=st.data())
def test_a_line_of_one_pixel_survives_shrinking(tmp_path_factory, side, size, data):
    position = data.draw(st.integers(0, side - 1))
    mask = marked(
        tmp_path_factory.getbasetemp(), (side, side), (slice(None), position), size, compress_level=1
    )
    assert mask.any(dim=1).all(), "the line is whole"
    columns = mask.any(dim=0).nonzero().flatten().tolist()
    exact = position * size / side
    assert min(columns) >= int(exact) - 1
    assert max(columns) <= exact + 1 + size / side


@pytest.mark.parametrize(("side", "size"), [(64, 64), (512, 64), (1024, 64), (2048, 64), (1200, 32)])
def test_a_single_marked_pixel_survives_shrinking(tmp_path, side, size):
    mask = marked(tmp_path, (side, side), (side // 2, side // 4), size)
    assert mask.nonzero().tolist() == [[size // 2, size // 4]]


def test_a_shrunk_mask_marks_every_cell_it_touches(tmp_path):
    mask = marked(tmp_path, (40, 80), (slice(9, 21), slice(0, 11)), 8)  # cells of 5 x 10 pixels
    assert mask.nonzero().tolist() == [[row, column] for row in range(1, 5) for column in range(2)]


@pytest.mark.parametrize("colour", [(0, 0, 1), (1, 0, 0), (0, 255, 0)])
def test_any_channel_marks(tmp_path, colour):
    pixels = np.array([[(0, 0, 0), colour]], np.uint8)
    assert read_mask(saved(tmp_path, "a.png", pixels)).tolist() == [[False, True]]
    assert read_mask(saved(tmp_path, "b.png", Image.fromarray(pixels).quantize(2))).tolist() == [
        [False, True]
    ]


def test_labels_below_zero_and_in_floats_mark_and_no_number_does_not(tmp_path):
    labels = Image.fromarray(np.array([[0, -1, 2]], np.int32))
    assert read_mask(saved(tmp_path, "a.tif", labels)).tolist() == [[False, True, True]]
    shares = Image.fromarray(np.array([[0, np.nan, 0.01]], np.float32))
    assert read_mask(saved(tmp_path, "b.tif", shares)).tolist() == [[False, False, True]]


def test_a_transparent_palette_entry_is_not_marked(tmp_path):
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 0])
    picture.putdata([0, 1, 2])
    path = saved(tmp_path, "a.png", picture, transparency=0)
    assert read_mask(path).tolist() == [[False, True, False]]


def test_a_mask_is_turned_upright(tmp_path):
    pixels = np.array([[0, 1, 0], [0, 0, 255]], np.uint8)
    for name, values in (("a.png", pixels), ("b.png", pixels.astype(np.uint16))):
        path = saved(tmp_path, name, values, exif=oriented(6))
        assert read_mask(path).tolist() == np.rot90(pixels > 0, -1).tolist()


def test_a_mask_that_cannot_be_decoded_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as error:
        read_mask(tmp_path / "a.png")
    assert str(error.value) == (
        f"mask '{tmp_path / 'a.png'}' can't be decoded (UnidentifiedImageError); repair or remove it"
    )


# JPEG


def labelled(*values):
    """Areas of 32 x 32 px of each value, side by side; they begin and end within blocks of 8 x 8 px."""
    pixels = np.zeros((48, 8 + 40 * len(values)), np.uint8)
    for i, value in enumerate(values):
        pixels[5:37, 5 + 40 * i : 37 + 40 * i] = value
    return pixels


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [30, 48, 60, 75, 90, 100])
def test_a_black_and_white_jpeg_is_marked_where_it_is_brighter_than_127(tmp_path, quality, mode):
    pixels = labelled(255)
    path = saved(tmp_path, "a.jpg", Image.fromarray(pixels).convert(mode), quality=quality)
    stored = np.asarray(Image.open(path).convert("L"))
    assert quality == 100 or stored[pixels == 0].max() > 2, "it rings"
    assert np.array_equal(read_mask(path), stored > 127)
    assert (read_mask(path) != (pixels > 0)).mean() < 0.01


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("values", [(1,), (1, 2, 3), (3, 1), (10,), (20, 60), (10, 200), (50, 100, 255)])
def test_labels_in_a_jpeg_are_marked_from_the_darkest_on(tmp_path, values, mode):
    pixels = labelled(*values)
    path = saved(tmp_path, "a.jpg", Image.fromarray(pixels).convert(mode), quality=95)
    marked = read_mask(path)
    inside = np.zeros(pixels.shape, bool)
    for i in range(len(values)):
        inside[8:32, 8 + 40 * i : 32 + 40 * i] = True
    assert marked[inside].all()
    assert (marked != (pixels > 0)).mean() < (0.06 if max(values) > 3 * min(values) else 0.02)


def test_a_thin_mark_in_a_jpeg_fills_no_block(tmp_path):
    pixels = np.zeros((64, 64), np.uint8)
    pixels[30] = 255
    marked = read_mask(saved(tmp_path, "a.jpg", pixels, quality=90))
    assert np.array_equal(marked, pixels > 0)


def test_rings_that_fill_a_block_are_no_label(tmp_path):
    pixels = labelled(255)
    pixels[40:48, 0:8] = 2
    path = saved(tmp_path, "a.jpg", pixels, quality=95)
    assert not read_mask(path)[40:48, 0:8].any(), "64 px, of more than 1,024"


@pytest.mark.parametrize("quality", [10, 40, 48, 75, 95])
def test_a_black_jpeg_marks_nothing(tmp_path, quality):
    path = saved(tmp_path, "a.jpg", np.zeros((40, 40), np.uint8), quality=quality)
    assert not read_mask(path).any()


def test_what_a_file_is_decides_and_not_its_name(tmp_path):
    path = saved(tmp_path, "a.png", labelled(255), format="JPEG", quality=60)
    assert np.array_equal(read_mask(path), np.asarray(Image.open(path)) > 127)


# Photos that lie on their side

LYING = Origin("JPEG", 2, 3, "RGB", 90, 6)  # stored 3 px wide and 2 high
STORED = np.array([[True, False, False], [False, False, True]])
SEEN = np.array([[False, True], [False, False], [True, False]])


def test_a_mask_of_the_stored_size_is_turned_along():
    assert turned_along(STORED, LYING).tolist() == SEEN.tolist()
    assert turned_along(STORED, Origin("JPEG", 2, 3, "RGB", 90, 8)).tolist() == SEEN[::-1, ::-1].tolist()


@pytest.mark.parametrize(
    ("mask", "origin"),
    [
        (SEEN, LYING),
        (STORED, None),
        (STORED, Origin("JPEG", 3, 2, "RGB", 90, 3)),
        (np.eye(2, dtype=bool), Origin("JPEG", 2, 2, "RGB", 90, 6)),
        (np.ones((4, 7), bool), LYING),
    ],
)
def test_other_masks_stay_as_they_are(mask, origin):
    assert turned_along(mask, origin) is mask


def test_a_square_made_of_a_mask_is_turned_as_the_mask_would_be():
    square = np.array([[True, False], [False, False]])
    assert turned_along(square, LYING, (2, 3)).tolist() == [[False, True], [False, False]]
    assert turned_along(square, LYING, (3, 2)) is square


# What is said


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_in_a_mask_in_which_0_is_white_the_largest_value_is_background(tmp_path, kind):
    black = np.iinfo(kind).max
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 7, black]], kind), photometric="miniswhite")
    assert read_mask(tmp_path / "a.tif").tolist() == [[True, True, False]]


def test_masks_that_mark_nothing_or_nearly_everything_are_named():
    assert mask_notes({}) == mask_notes({"a.png": 0.3}) == mask_notes({"a.png": 0.95}) == []
    shares = {"full.png": 0.96, "some.png": 0.1} | {f"{i}.png": 0.0 for i in range(7)}
    assert mask_notes(shares) == [
        "7 of 9 masks mark nothing and are not used: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more.",
        "1 of 9 masks mark more than 95% of their image: full.png.",
    ]
