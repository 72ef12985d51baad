import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fcdd_audit.images import opening
from fcdd_audit.images.gallery import of_files
from fcdd_audit.images.listing import NAMED
from fcdd_audit.images.masks import read_mask
from fcdd_audit.images.parts import _identities, decoded, decoded_parts
from fcdd_audit.images.reading import Reading


def part(folder, what, *pictures):
    """Files of these arrays, or of damaged bytes."""
    paths = []
    for i, pixels in enumerate(pictures):
        path = folder / what / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(pixels, bytes):
            path.write_bytes(pixels)
        else:
            Image.fromarray(pixels).save(path)
        paths.append(path)
    return of_files(paths, folder, what)


def deep(*values):
    return np.array([values] * 2, np.uint16).repeat(2 // len(values), axis=1)


def grey(value):
    return np.full((2, 2), value, np.uint8)


BAD = b"no picture"
COLOUR = np.full((2, 2, 3), (9, 0, 0), np.uint8)


def load(parts, notes=None, beside=(), **options):
    channels = options.pop("channels", None)
    reading = Reading(**options)
    return decoded_parts(parts, 2, reading, [] if notes is None else notes, channels, beside=beside)


def values(found):
    return {name: images.images[:, 0, 0].tolist() for name, images in found.items()}


# Depth


def test_all_parts_have_one_depth_and_it_is_said(tmp_path):
    parts = {
        "train": part(tmp_path, "train", deep(1000, 2000)),
        "test": part(tmp_path, "test", deep(4095, 0), grey(77)),
    }
    notes = []
    found = load(parts, notes)
    # 1000 and 2000 times 255 / 4095: 62.3 and 124.5
    assert values(found) == {"train": [[62, 125]], "test": [[255, 0], [77, 77]]}
    assert notes == [
        "The largest value of image files of more than 8 bits a channel is 4095 (of 'test/0.png'); they are "
        "read with a depth of 12 bits (another is given with --bit-depth): 4095 is white."
    ]


def test_the_depth_of_what_is_not_wanted_counts_too(tmp_path):
    parts = {"test": part(tmp_path, "test", deep(1000, 2000))}
    beside = part(tmp_path, "train", deep(4095))
    assert values(load(parts, beside=[beside])) == {"test": [[62, 125]]}
    assert values(load(parts)) == {"test": [[125, 249]]}, "1000 and 2000 of 2047"


def test_a_bit_depth_is_taken_if_it_is_asked_for(tmp_path):
    parts = {"train": part(tmp_path, "train", deep(1000, 2000))}
    notes = []
    assert values(load(parts, notes, bit_depth=12)) == {"train": [[62, 125]]}
    assert "12 bits, as asked" in notes[0]
    assert values(load(parts, bit_depth=16)) == {"train": [[4, 8]]}


@pytest.mark.parametrize("skip", [True, False])
def test_a_file_beyond_the_bit_depth_is_refused_by_name(tmp_path, refused, skip):
    parts = {"a": part(tmp_path, "a", deep(1000)), "b": part(tmp_path, "b", deep(1023), deep(1024))}
    with refused("bit depth 10 allows values up to 1023", "'b/1.png' reach 1024", "--bit-depth to 11"):
        load(parts, bit_depth=10, skip_corrupt=skip)


def test_a_bit_depth_of_a_data_set_of_8_bits_is_refused(tmp_path, refused):
    with refused("bit depth 10 is given", "no image file", "drop --bit-depth"):
        load({"a": part(tmp_path, "a", grey(1))}, bit_depth=10)


def test_files_of_8_bits_are_decoded_once_and_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "open_image", lambda path: pytest.fail(f"{path} is opened for its depth"))
    notes = []
    found = load({"a": part(tmp_path, "a", grey(1), grey(200))}, notes)
    assert values(found) == {"a": [[1, 1], [200, 200]]}
    assert notes == []


def test_floats_have_a_range(tmp_path):
    def floats(what, *pixels):
        paths = []
        for i, row in enumerate(pixels):
            paths.append(tmp_path / what / f"{i}.tif")
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.array([row] * 2, np.float32)).save(paths[-1])
        return of_files(paths, tmp_path, what)

    assert values(load({"a": floats("shares", (0.2, 0.8), (1, 0))})) == {"a": [[51, 204], [255, 0]]}
    notes = []
    counts = {"a": floats("few", (0.5, 1)), "b": floats("more", (255, 51))}
    assert values(load(counts, notes)) == {"a": [[0, 1]], "b": [[255, 51]]}
    assert "is 255 (of 'more/0.tif'); they are read with a depth of 8 bits" in notes[0]


def test_floats_that_go_a_bit_beyond_1_are_shares_of_white(tmp_path, refused):
    def floats(*row):
        path = tmp_path / "a.tif"
        Image.fromarray(np.array([row] * 2, np.float32)).save(path)
        return {"": of_files([path], tmp_path, "files")}

    notes = []
    assert values(load(floats(0.2, 1.25), notes)) == {"": [[51, 255]]}
    assert notes == [
        "The largest value of image files of floats is 1.25 (of 'a.tif'); they are read as 0 to 1, and what "
        "is above 1 is white."
    ]
    assert values(load(floats(51, 1.25), bit_depth=8)) == {"": [[51, 1]]}, "as asked"
    with refused(
        "'a.tif' are floats up to 7.5", "0 to 1, or to 0 to 2^n - 1 with n from 8 to 16", "--bit-depth"
    ):
        load(floats(0.2, 7.5))
    assert values(load(floats(0.2, 7.5), bit_depth=8)) == {"": [[0, 8]]}


def test_negative_and_infinite_values_are_refused_by_name(tmp_path, refused):
    for name, value in (("a", -0.5), ("b", np.inf), ("c", np.nan)):
        path = tmp_path / f"{name}.tif"
        Image.fromarray(np.array([[0.5, value]], np.float32)).save(path)
        with refused(f"1 of 1 files images can't be decoded: {name}.tif: some of its values are"):
            load({"": of_files([path], tmp_path, "files")})


# Colour


def test_the_first_part_decides_on_colour(tmp_path):
    one, two = part(tmp_path, "grey", grey(9)), part(tmp_path, "colour", COLOUR)
    assert {images.images.shape[1] for images in load({"a": one, "b": two}).values()} == {1}
    assert {images.images.shape[1] for images in load({"b": two, "a": one}).values()} == {3}
    assert {images.images.shape[1] for images in load({"b": two, "a": one}, channels=1).values()} == {1}


# Damaged files


def test_damaged_files_are_counted_over_all_parts_and_named_part_by_part(tmp_path, refused):
    one = part(tmp_path, "train", *[grey(i) for i in range(9)], BAD)
    kept, held = one.take(range(7)), one.take(range(7, 10))
    parts = {
        "train": kept,
        "validation": held,
        "test": part(tmp_path, "test", BAD, grey(1), BAD),
        "more": part(tmp_path, "more", grey(1)),
    }
    with refused(
        "3 of 14 images can't be decoded (1 of 10 train, 2 of 3 test): train/9.png: no picture; "
        "test/0.png: no picture; test/2.png: no picture - repair or remove them, or pass --skip-corrupt"
    ):
        load(parts)
    notes = []
    found = load(parts, notes, skip_corrupt=True)
    assert {name: len(images) for name, images in found.items()} == {
        "train": 7,
        "validation": 2,
        "test": 1,
        "more": 1,
    }
    assert notes == [
        "1 corrupt train image skipped: train/9.png: no picture",
        "2 corrupt test images skipped: test/0.png: no picture, test/2.png: no picture",
    ]


def test_of_many_damaged_files_some_are_named(tmp_path, refused):
    gallery = part(tmp_path, "train", *[BAD] * (NAMED + 2))
    with refused(f"{NAMED + 2} of {NAMED + 2} train images", "train/4.png: no picture and 2 more - "):
        decoded(gallery, 2, Reading(), [])


def test_what_could_be_decoded_is_not_decoded_again(tmp_path, refused, monkeypatch):
    parts = {"a": part(tmp_path, "a", grey(1), grey(2)), "b": part(tmp_path, "b", BAD)}
    with refused("can't be decoded"):
        load(parts)
    monkeypatch.setattr(
        "fcdd_audit.images.cache._decode_all", lambda gallery, *_: pytest.fail(f"{gallery.what} is decoded")
    )
    assert values(load({"a": parts["a"]})) == {"a": [[1, 1], [2, 2]]}


# Files that can't be read


def test_files_that_cannot_be_read_are_refused_or_said_for_all_parts_together(tmp_path, refused, caplog):
    one = part(tmp_path, "train", grey(1), grey(2), grey(3))
    two = part(tmp_path, "test", grey(4), grey(5))
    aside = part(tmp_path, "aside", deep(4095))
    for name in ("train/1.png", "test/0.png", "aside/0.png"):
        (tmp_path / name).unlink()
    (tmp_path / "test/0.png").symlink_to("gone")
    (tmp_path / "aside/0.png").mkdir()
    parts = {"train": one, "validation": one.take([1, 2]), "test": two}
    line = (
        "3 files or folders of train and test and aside can't be read: train/1.png: No such file or "
        "directory; test/0.png: a link whose target isn't there; aside/0.png: Is a directory"
    )
    with refused(f"{line} - get their data"):
        load(parts, beside=[aside])
    notes = []
    found = load(parts, notes, beside=[aside], skip_corrupt=True)
    assert values(found) == {
        "train": [[1, 1], [3, 3]],
        "validation": [[3, 3]],
        "test": [[5, 5]],
    }
    assert notes == [f"Left out: {line}."]
    assert caplog.messages == [f"{line} - left out"]


def test_a_file_that_can_be_read_again_is_used_again(tmp_path):
    gallery = part(tmp_path, "train", grey(1), grey(2))
    (tmp_path / "train/1.png").rename(tmp_path / "away")
    assert values(load({"": gallery}, skip_corrupt=True)) == {"": [[1, 1]]}
    (tmp_path / "away").rename(tmp_path / "train/1.png")
    assert values(load({"": gallery}, skip_corrupt=True)) == {"": [[1, 1], [2, 2]]}


def test_skipped_damaged_files_are_logged_too(tmp_path, caplog):
    load({"": part(tmp_path, "train", grey(1), BAD)}, skip_corrupt=True)
    assert caplog.messages == ["1 corrupt train image skipped: train/1.png: no picture"]


@pytest.mark.parametrize("terminal", [True, False])
def test_there_is_a_bar_while_files_are_checked(tmp_path, capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    load({"": part(tmp_path, "train", grey(1))}, progress=True)
    assert ("check train" in capsys.readouterr().err) == terminal


def test_files_are_read_in_parallel_to_identify_them(tmp_path):
    both_at_once = threading.Barrier(2, timeout=60)
    gallery = part(tmp_path, "train", grey(0), grey(1))
    assert (
        len(_identities(replace(gallery, identity=lambda _: str(both_at_once.wait())), progress=False)) == 2
    )


@pytest.mark.parametrize(
    "pointer",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
        b"/annex/objects/SHA256E-s12--ab.png\n",
    ],
)
def test_a_pointer_in_a_pictures_place_is_called_so(tmp_path, refused, pointer):
    with refused("train/0.png: a pointer of Git LFS or git-annex in its place: get its data - repair"):
        load({"": part(tmp_path, "train", pointer)})
    with refused("0.png' can't be decoded (a pointer of Git LFS or git-annex in its place: get its data)"):
        read_mask(tmp_path / "train/0.png")
