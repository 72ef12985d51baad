import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from fcdd_audit.images.decode import Origin, decode, jpeg_quality
from fcdd_audit.images.depth import Depth

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


def deep_png(pixels, interlaced=0, key=None):
    """A PNG file of 16 bits a channel; Pillow writes no such colours. pixels: one row of two pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = np.asarray(pixels, ">u2")
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[rows.shape[2]]
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, kind, 0, 0, interlaced)
    # Interlaced, the first pixel is in the first pass and the second in the sixth.
    parts = [rows[0, :1], rows[0, 1:]] if interlaced else [rows[0]]
    data = b"".join(b"\0" + part.tobytes() for part in parts)
    transparent = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + transparent
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


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


@pytest.mark.parametrize("bad", [-0.5, 1.6, np.nan, np.inf])
def test_floats_that_are_no_share_of_white_are_refused(tmp_path, bad):
    with pytest.raises(ValueError, match=r"negative|finite|1 is white"):
        decode(tiff(tmp_path, np.array([[0, bad, 1]], np.float32)))


@pytest.mark.parametrize("pixels", [np.array([[-1, 500]], np.int16), np.array([[70_000, 5]], np.int32)])
def test_integers_beyond_16_bits_are_refused(tmp_path, pixels):
    with pytest.raises(ValueError, match=r"negative|16 bits"):
        decode(tiff(tmp_path, pixels))


def test_a_depth_says_what_is_white(tmp_path):
    deep = np.array([[0, 2048, 4095]], np.uint16)  # 2048 / 4095 * 255 = 127.53
    for path in (saved(tmp_path, "a.png", deep), tiff(tmp_path, deep)):
        assert decode(path, Depth(integers=12)).picture.tobytes() == bytes([0, 128, 255])
    wide = tiff(tmp_path, np.array([[0, 127, 255]], np.int32))
    assert decode(wide, Depth(integers=8)).picture.tobytes() == bytes([0, 127, 255])
    floats = tiff(tmp_path, np.array([[0, 0.75, 3]], np.float32))  # 0.75 / 3 * 255 = 63.75
    assert decode(floats, Depth(floats=2)).picture.tobytes() == bytes([0, 64, 255])


def test_values_beyond_white_are_refused_and_not_cut_off(tmp_path):
    path = saved(tmp_path, "a.png", np.array([[0, 1024]], np.uint16))
    with pytest.raises(ValueError, match="reach 1024, and 1023 is white"):
        decode(path, Depth(integers=10))


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_deep_colours_and_opacity_of_png_files_keep_their_values(tmp_path, channels, interlaced):
    # Two pixels, the second half transparent if it can be: 0.5 * 255 of white show through.
    colour, opacity = [4095, 0, 2048][: channels - (channels != 3)], [] if channels == 3 else [32768]
    path = tmp_path / "a.png"
    path.write_bytes(deep_png([[[*colour, 65535][:channels], [*colour, *opacity]]], interlaced))
    opaque = [255, 0, 128][: len(colour)]
    clear = [round(v / 2 + 127.5) for v in opaque] if opacity else opaque
    picture = decode(path, Depth(integers=12)).picture
    assert picture.mode == ("L" if channels == 2 else "RGB")
    np.testing.assert_allclose(np.asarray(picture).reshape(2, -1), [opaque, clear], atol=1)


def test_a_deep_colour_that_stands_for_transparency_is_laid_on_white(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(deep_png([[[1, 2, 3], [1, 2, 4]]], key=(1, 2, 3)))
    assert np.asarray(decode(path, Depth(integers=12)).picture).tolist() == [[[255] * 3, [0] * 3]]


def test_a_deep_grey_that_stands_for_transparency_is_laid_on_white(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(deep_png([[[0], [4095 * 100 // 255]]], key=(0,)))
    assert np.asarray(decode(path, Depth(integers=12)).picture).tolist() == [[255, 100]]
    # As one of 8 bits is.
    assert decoded(saved(tmp_path, "b.png", np.array([[0, 100]], np.uint8), transparency=0))[1] == [
        [255, 100]
    ]


@pytest.mark.parametrize("byteorder", ["<", ">"], ids=["Pillow", "tifffile"])  # which of them reads it
def test_deep_scans_in_which_0_is_white_are_inverted(tmp_path, byteorder):
    white_is_0 = {"photometric": "miniswhite", "byteorder": byteorder}
    path = tiff(tmp_path, np.array([[0, 1365, 4095]], np.uint16), **white_is_0)
    # A third of 4095, and what is left of 255 is two thirds.
    assert np.asarray(decode(path, Depth(integers=12)).picture).tolist() == [[255, 170, 0]]
    path = tiff(tmp_path, np.array([[0, 0.2, 1.25]], np.float32), **white_is_0)
    assert decoded(path) == ("L", [[255, 204, 0]])
    path = tiff(tmp_path, np.array([[0, 55, 255]], np.uint8), **white_is_0)
    assert decoded(path) == ("L", [[255, 200, 0]]), "as Pillow does it"


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_deep_colours_of_tiff_files_keep_their_values(tmp_path, planar):
    pixels = np.array([[[0, 1024, 4095], [16, 2048, 8]]], np.uint16)
    stored = pixels if planar == "contig" else pixels.transpose(2, 0, 1)
    path = tiff(tmp_path, stored, photometric="rgb", planarconfig=planar)
    expected = [[[0, 64, 255], [1, 128, 0]]]  # 1024, 16, 2048, 8 times 255 / 4095: 63.8, 1.0, 127.5, 0.5
    np.testing.assert_allclose(np.asarray(decode(path, Depth(integers=12)).picture), expected, atol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_deep_scans_are_put_upright(tmp_path, channels):
    pixels = np.arange(6, dtype=np.uint16).reshape(2, 3) * 257
    stored = pixels if channels == 1 else np.stack([pixels] * 3, axis=2)
    path = tiff(
        tmp_path,
        stored,
        photometric="minisblack" if channels == 1 else "rgb",
        extratags=[(274, "H", 1, 6, True)],
    )
    found = decode(path)
    assert found.origin.orientation == 6
    assert np.asarray(found.picture.convert("L")).tolist() == np.rot90(pixels // 257, -1).tolist()


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


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path, orientation):
    path = saved(tmp_path, "a.png", GREY, exif=oriented(orientation))
    assert decoded(path)[1] == GREY.tolist()
    assert not decode(path).origin.lies


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
        ("a.jpg", RGB, {"quality": 70, "exif": oriented(6)}, Origin("JPEG", 2, 3, "RGB", 70, 6)),
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


# What can't be decoded


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
