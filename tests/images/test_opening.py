import numpy as np
import pytest
import tifffile
from PIL import Image

from fcdd_audit.images import opening
from fcdd_audit.images.depth import Peak
from fcdd_audit.images.opening import open_image, peak


def saved(folder, name, pixels, **options):
    Image.fromarray(pixels).save(folder / name, **options)
    return folder / name


DEEP = np.array([[3, 700], [4095, 0]], np.uint16)


def test_the_peak_of_a_deep_file(tmp_path):
    assert peak(saved(tmp_path, "a.png", DEEP)) == Peak(4095, False)
    assert peak(saved(tmp_path, "a.tif", DEEP)) == Peak(4095, False)
    tifffile.imwrite(tmp_path / "b.tif", np.stack([DEEP, DEEP, DEEP + 1], axis=2), photometric="rgb")
    assert peak(tmp_path / "b.tif") == Peak(4096, False)
    tifffile.imwrite(tmp_path / "c.tif", np.array([[0, 2.5]], np.float16))
    assert peak(tmp_path / "c.tif") == Peak(2.5, True)


def test_the_peak_of_a_file_in_which_0_is_white_is_that_of_its_stored_values(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="miniswhite")
    assert peak(tmp_path / "a.tif") == Peak(4095, False)
    assert open_image(tmp_path / "a.tif").inverted


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp"])
@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 3)])
def test_only_the_header_of_other_files_is_read(tmp_path, monkeypatch, name, shape):
    path = saved(tmp_path, name, np.zeros(shape, np.uint8))
    monkeypatch.setattr(opening, "open_image", lambda path: pytest.fail("it is decoded"))
    assert peak(path) is None


def test_what_a_file_is_decides_and_not_its_name(tmp_path):
    assert peak(saved(tmp_path, "a.jpg", DEEP, format="PNG")) == Peak(4095, False)


@pytest.mark.parametrize(
    "pixels",
    [
        np.array([[0, np.nan]], np.float32),
        np.array([[0, np.inf]], np.float32),
        np.array([[0.5, -0.1]], np.float32),
        np.array([[-1, 5]], np.int16),
        np.array([[0, 70_000]], np.int32),
    ],
)
def test_values_that_no_picture_has_are_no_peak(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    assert peak(tmp_path / "a.tif") is None


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"II*\0"])
def test_a_damaged_file_has_no_peak(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert peak(tmp_path / "a.png") is None
    half = saved(tmp_path, "half.png", np.random.default_rng(0).integers(0, 4096, (40, 40), np.uint16))
    half.write_bytes(half.read_bytes()[:200])
    assert peak(half) is None


def test_grey_with_opacity_of_8_bits_that_only_tifffile_reads_is_a_picture(tmp_path):
    pixels = np.array([[[9, 255], [200, 0]]], np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, pixels, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]
    )
    assert isinstance(open_image(path).content, Image.Image)
    assert peak(path) is None
