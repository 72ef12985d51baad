import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit.images.decode import Origin, decode, decode_mask, find_images, jpeg_quality

GREY = np.array([[0, 40, 80], [120, 160, 255]], np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
DEEP = np.array([[0, 257, 65535], [128, 129, 32896]], np.uint16)  # 0, 1, 255, 128/257, 129/257, 128
DEEP_AS_8_BIT = [[0, 1, 255], [0, 1, 128]]
ORIENTED = {  # how a picture looks upright that was stored with this EXIF orientation
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def saved(folder, name, pixels, **options):
    """`pixels`, an array or a picture, as the file `name`."""
    path = folder / name
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)
    return path


def tiff(folder, pixels, **options):
    tifffile.imwrite(folder / "deep.tif", pixels, **options)
    return folder / "deep.tif"


def decoded(path):
    picture = decode(path).picture
    return picture.mode, np.asarray(picture).tolist()


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def palette_picture():
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 200])
    picture.putdata([0, 1, 2])
    return picture


# Decoding


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.tiff", "a.PNG"])
def test_grey_pictures_keep_their_values(tmp_path, name):
    assert decoded(saved(tmp_path, name, GREY)) == ("L", GREY.tolist())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True}),
    ],
)
def test_colour_pictures_keep_their_values(tmp_path, name, options):
    assert decoded(saved(tmp_path, name, RGB, **options)) == ("RGB", RGB.tolist())


@pytest.mark.parametrize(("pixel", "mode"), [(100, "L"), ((200, 30, 90), "RGB")])
def test_a_flat_jpeg_keeps_its_value(tmp_path, pixel, mode):
    got, values = decoded(saved(tmp_path, "a.jpg", Image.new(mode, (16, 16), pixel), quality=100))
    assert got == mode
    np.testing.assert_allclose(values, np.broadcast_to(pixel, np.shape(values)), atol=2)


def test_one_bit_pictures_become_black_and_white(tmp_path):
    assert decoded(saved(tmp_path, "a.png", np.array([[True, False]]))) == ("L", [[255, 0]])


def test_palettes_become_colours(tmp_path):
    expected = [[[255, 0, 0], [0, 255, 0], [0, 0, 200]]]
    assert decoded(saved(tmp_path, "a.png", palette_picture())) == ("RGB", expected)


def test_transparent_palette_entries_are_laid_on_white(tmp_path):
    path = saved(tmp_path, "a.png", palette_picture(), transparency=bytes([255, 51, 0]))
    assert decoded(path) == ("RGB", [[[255, 0, 0], [204, 255, 204], [255, 255, 255]]])


def test_grey_with_alpha_is_laid_on_white_and_stays_grey(tmp_path):
    pixels = Image.new("LA", (3, 1))
    pixels.putdata([(100, 255), (100, 51), (100, 0)])
    assert decoded(saved(tmp_path, "a.png", pixels)) == ("L", [[100, 224, 255]])  # 0.2 * 100 + 0.8 * 255


def test_a_grey_key_colour_is_transparent_too(tmp_path):
    assert decoded(saved(tmp_path, "a.png", GREY, transparency=40))[1] == [[0, 255, 80], [120, 160, 255]]


def test_rgba_is_laid_on_white(tmp_path):
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 51], [9, 9, 9, 0]]], np.uint8)
    expected = [[[255, 0, 0], [255, 204, 204], [255, 255, 255]]]
    assert decoded(saved(tmp_path, "a.png", pixels)) == ("RGB", expected)


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
@pytest.mark.parametrize(
    ("ink", "colour"),
    [((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0)), ((0, 0, 0, 0), (255,) * 3)],
)
def test_inks_become_colours(tmp_path, name, ink, colour):
    path = saved(tmp_path, name, Image.new("CMYK", (16, 16), ink))
    mode, values = decoded(path)
    assert mode == "RGB"
    np.testing.assert_allclose(values[8][8], colour, atol=2)


def test_16_bit_grey_is_scaled_to_8_bits(tmp_path):
    assert decoded(saved(tmp_path, "a.png", DEEP)) == ("L", DEEP_AS_8_BIT)
    assert decoded(tiff(tmp_path, DEEP)) == ("L", DEEP_AS_8_BIT)
    assert decoded(tiff(tmp_path, DEEP.astype(">u2"), byteorder=">")) == ("L", DEEP_AS_8_BIT)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_colour_is_scaled_to_8_bits(tmp_path, compression):
    pixels = np.stack([DEEP, DEEP[::-1], DEEP], axis=2)
    expected = np.stack([DEEP_AS_8_BIT, DEEP_AS_8_BIT[::-1], DEEP_AS_8_BIT], axis=2)
    mode, values = decoded(tiff(tmp_path, pixels, photometric="rgb", compression=compression))
    assert mode == "RGB"
    np.testing.assert_allclose(values, expected, atol=1)  # Pillow cuts 129/257 off, we round it


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_floats_between_0_and_1_are_scaled_to_8_bits(tmp_path, kind):
    pixels = np.array([[0, 0.2, 1]], kind)
    assert decoded(tiff(tmp_path, pixels)) == ("L", [[0, 51, 255]])
    colour = np.stack([pixels, pixels[:, ::-1], pixels], axis=2)
    expected = [[[0, 255, 0], [51, 51, 51], [255, 0, 255]]]
    assert decoded(tiff(tmp_path, colour, photometric="rgb")) == ("RGB", expected)


@pytest.mark.parametrize("bad", [-0.5, 1.5, np.nan, np.inf])
def test_floats_that_are_no_share_of_white_are_refused(tmp_path, bad):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        decode(tiff(tmp_path, np.array([[0, bad, 1]], np.float32)))


@pytest.mark.parametrize("pixels", [np.array([[-1, 500]], np.int16), np.array([[70_000, 5]], np.int32)])
def test_integers_beyond_16_bits_are_refused(tmp_path, pixels):
    with pytest.raises(ValueError, match="16 bits"):
        decode(tiff(tmp_path, pixels))


def test_8_bit_values_in_a_wide_type_keep_their_brightness(tmp_path):
    assert decoded(tiff(tmp_path, np.array([[0, 127, 255]], np.int32))) == ("L", [[0, 127, 255]])


def test_the_first_frame_of_several_counts(tmp_path):
    frames = np.stack([np.full((4, 4), 257 * k, np.uint16) for k in (7, 9)])
    assert decoded(tiff(tmp_path, frames, photometric="minisblack")) == ("L", [[7] * 4] * 4)
    path = saved(
        tmp_path, "a.webp", RGB, lossless=True, save_all=True, append_images=[Image.new("RGB", (3, 2))]
    )
    assert decoded(path) == ("RGB", RGB.tolist())


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "colour"])
def test_rotated_pictures_are_put_upright(tmp_path, orientation, pixels):
    path = saved(tmp_path, "a.png", pixels, exif=oriented(orientation))
    assert decoded(path)[1] == ORIENTED[orientation](pixels).tolist()


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "colour"])
def test_rotated_scans_are_put_upright(tmp_path, pixels):
    path = saved(tmp_path, "a.tif", pixels, exif=oriented(6))
    assert decoded(path)[1] == np.rot90(pixels, -1).tolist()


def test_rotated_photos_are_put_upright(tmp_path):
    left_is_black = np.repeat(np.array([[0] * 16 + [255] * 16], np.uint8), 16, axis=0)
    path = saved(tmp_path, "a.jpg", left_is_black, exif=oriented(6))  # rotate clockwise: black on top
    picture = decode(path).picture
    assert picture.size == (16, 32)
    assert picture.getpixel((8, 4)) < 5 < 250 < picture.getpixel((8, 28))


# Where pictures come from


@pytest.mark.parametrize("quality", [1, 2, 10, 25, 49, 50, 51, 60, 75, 80, 85, 90, 95, 99, 100])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True, "optimize": True}])
def test_the_quality_of_a_jpeg_file_is_what_it_was_saved_with(tmp_path, quality, options):
    for pixels in (GREY, RGB):
        path = saved(tmp_path, "a.jpg", pixels, quality=quality, **options)
        assert decode(path).origin.jpeg_quality == pytest.approx(quality, abs=1)


def test_the_quality_of_a_table_of_another_encoder_is_that_of_the_nearest_one(tmp_path):
    assert jpeg_quality((1,) * 64) == 100
    assert jpeg_quality((255,) * 64) == 1
    path = saved(tmp_path, "a.jpg", GREY, quality=80)
    table = np.array(Image.open(path).quantization[0])
    assert jpeg_quality(tuple(table + np.arange(64) % 2)) in (78, 79, 80)


@pytest.mark.parametrize(
    ("name", "pixels", "options", "expected"),
    [
        ("a.png", GREY, {}, Origin("PNG", 3, 2, "L")),
        ("a.png", RGB, {}, Origin("PNG", 3, 2, "RGB")),
        ("a.png", Image.fromarray(RGB).quantize(), {}, Origin("PNG", 3, 2, "P")),
        ("a.png", Image.fromarray(RGB).convert("RGBA"), {}, Origin("PNG", 3, 2, "RGBA")),
        ("a.jpg", Image.fromarray(RGB).convert("CMYK"), {"quality": 70}, Origin("JPEG", 3, 2, "CMYK", 70)),
        ("a.jpg", RGB, {"quality": 70, "exif": oriented(6)}, Origin("JPEG", 2, 3, "RGB", 70)),
        ("jpeg.png", RGB, {"format": "JPEG", "quality": 70}, Origin("JPEG", 3, 2, "RGB", 70)),
        ("a.bmp", RGB, {}, Origin("BMP", 3, 2, "RGB")),
        ("a.webp", RGB, {}, Origin("WEBP", 3, 2, "RGB")),
        ("a.tif", DEEP, {}, Origin("TIFF", 3, 2, "I;16")),
    ],
)
def test_the_origin_says_how_a_file_was_made(tmp_path, name, pixels, options, expected):
    assert decode(saved(tmp_path, name, pixels, **options)).origin == expected


def test_files_that_only_tifffile_reads_have_an_origin_too(tmp_path):
    deep = np.stack([DEEP] * 3, axis=2)
    assert decode(tiff(tmp_path, deep, photometric="rgb")).origin == Origin("TIFF", 3, 2, "RGB")


# Finding, and what can't be decoded


def test_images_are_found_below_the_folder_by_suffix_in_path_order(tmp_path):
    for name in ("b/2.PNG", "b/1.jpeg", "a/x.tif", "z.webp", "notes.txt", "a/x.gif", "c.png/inside.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["a/x.tif", "b/1.jpeg", "b/2.PNG", "c.png/inside.bmp", "z.webp"]


def test_linked_folders_and_files_count_once(tmp_path):
    saved(tmp_path, "elsewhere.png", GREY)
    (tmp_path / "far").mkdir()
    saved(tmp_path / "far", "1.png", GREY)
    here = tmp_path / "here"
    here.mkdir()
    (here / "folder").symlink_to(tmp_path / "far", target_is_directory=True)
    (here / "loop").symlink_to(here, target_is_directory=True)
    (here / "file.png").symlink_to(tmp_path / "elsewhere.png")
    (here / "broken.png").symlink_to(tmp_path / "gone.png")
    assert find_images(here) == [here / "file.png", here / "folder/1.png"]
    (tmp_path / "linked").symlink_to(here, target_is_directory=True)
    assert find_images(tmp_path / "linked")[0] == tmp_path / "linked/file.png"
    assert find_images(tmp_path / "gone") == find_images(tmp_path / "elsewhere.png") == []


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"no picture", lambda b: b[: len(b) // 2]])
def test_a_damaged_file_is_refused(tmp_path, suffix, damage):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    bad = saved(tmp_path, f"bad.{suffix}", noise)
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(Exception):  # noqa: B017, PT011  (whatever the decoder raises: the cache catches all)
        decode(bad)


def test_a_tiff_of_more_channels_than_a_picture_has_is_refused(tmp_path):
    pixels = np.zeros((6, 4, 5), np.uint16)
    path = tiff(tmp_path, pixels, photometric="minisblack", planarconfig="contig")
    with pytest.raises(Exception):  # noqa: B017, PT011
        decode(path)


@pytest.mark.parametrize(
    ("tag", "byte", "value"), [("ImageWidth", 0, 1), ("ImageWidth", 4, 0), ("BitsPerSample", 4, 0)]
)
def test_a_tiff_with_a_wrong_byte_in_its_header_is_refused(tmp_path, tag, byte, value):
    path = tiff(tmp_path, np.zeros((6, 4, 3), np.uint16), photometric="rgb")
    with tifffile.TiffFile(path) as file:
        entry = file.pages[0].tags[tag].offset  # code, type and count of 2, 2 and 4 bytes, value
    data = bytearray(path.read_bytes())
    data[entry + byte] = value
    path.write_bytes(data)
    with pytest.raises(Exception):  # noqa: B017, PT011
        decode(path)


# Masks


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
