import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit.images.decode import Decoded, Origin
from fcdd_audit.images.depth import Depth, Peak
from fcdd_audit.images.files import LeftOut
from fcdd_audit.images.gallery import Gallery, of_arrays, of_files, of_folder


def numbered(count, classes=("",)):
    """A gallery whose picture i is one pixel of value i."""
    return Gallery(
        "numbers",
        tuple(map(str, range(count))),
        tuple(classes[i % len(classes)] for i in range(count)),
        lambda i, _: Decoded(Image.new("L", (1, 1), i), None),
        lambda i: f"identity {i}",
        lambda i: Peak(i, False),
        LeftOut(frozenset({Path(".hidden.png")})),
    )


def values(gallery):
    return [gallery.read(i, Depth()).picture.getpixel((0, 0)) for i in range(len(gallery))]


def consistent(gallery):
    """Names, pixels, identities and peaks still belong together."""
    shown = values(gallery)
    assert [gallery.peak(i).value for i in range(len(gallery))] == shown
    assert gallery.left_out.hidden == {Path(".hidden.png")}
    return [int(name) for name in gallery.names] == shown and [
        gallery.identity(i) for i in range(len(gallery))
    ] == [f"identity {value}" for value in shown]


@given(count=st.integers(1, 40), data=st.data())
def test_taking_and_taking_again_keeps_the_order_and_what_belongs_together(count, data):
    first = data.draw(st.lists(st.integers(0, count - 1), min_size=1))
    second = data.draw(st.lists(st.integers(0, len(first) - 1)))
    taken = numbered(count).take(first).take(second)
    assert values(taken) == [first[i] for i in second]
    assert consistent(taken)


@given(count=st.integers(0, 60), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_split_is_disjoint_whole_in_order_and_reproducible(count, share, seed):
    rest, held = numbered(count).split(share, np.random.default_rng(seed))
    assert sorted(values(rest) + values(held)) == list(range(count))
    assert values(rest) == sorted(values(rest))
    assert values(held) == sorted(values(held))
    assert len(held) == min(count, max(1, round(share * count)))
    assert consistent(rest)
    again, _ = numbered(count).split(share, np.random.default_rng(seed))
    assert again.names == rest.names


@given(count=st.integers(0, 60), wanted=st.one_of(st.none(), st.integers(0, 80)), seed=st.integers(0, 99))
def test_a_sample_has_so_many_different_pictures_in_order(count, wanted, seed):
    drawn = numbered(count).sample(wanted, np.random.default_rng(seed))
    assert len(drawn) == (count if wanted is None else min(wanted, count))
    assert values(drawn) == sorted(set(values(drawn)))
    assert consistent(drawn)


def test_a_sample_reaches_the_whole_list():
    drawn = [numbered(50).sample(10, np.random.default_rng(seed)) for seed in range(30)]
    assert {name for gallery in drawn for name in gallery.names} == set(map(str, range(50)))


def test_classes_are_kept_or_left_out():
    gallery = numbered(9, ("cat", "dog", ""))
    assert values(gallery.of_class("cat", "dog")) == [0, 1, 3, 4, 6, 7]
    assert values(gallery.without("cat")) == [1, 2, 4, 5, 7, 8]
    assert len(gallery.of_class()) == 0
    assert len(gallery.without()) == 9
    assert set(gallery.without("cat").classes) == {"dog", ""}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("plain.png", ""),
        ("cats/a.png", "cats"),
        ("cats/deep/a.png", "cats"),
        ("n02084071/a.png", "n02084071"),
        ("train/n02084071/images/n02084071_3.png", "n02084071"),
        ("n02084071_dog.png", "n02084071"),
        ("n020840711/a.png", "n020840711"),
    ],
)
def test_a_folder_tells_a_pictures_class(tmp_path, paint, path, expected):
    paint(tmp_path / path)
    gallery = of_folder(tmp_path, "here")
    assert gallery.names == (path,)
    assert gallery.classes == (expected,)


def test_a_files_identity_changes_with_its_content_but_not_by_reading(tmp_path, paint):
    path = paint(tmp_path / "a.png", 5)
    gallery = of_files([path], tmp_path, "here")
    before = gallery.identity(0)
    assert gallery.read(0, Depth()).picture.getpixel((0, 0)) == (5, 5, 5)
    assert gallery.identity(0) == before
    paint(path, 9, size=(40, 40))
    assert gallery.identity(0) != before


def test_other_bytes_of_the_same_size_and_time_are_another_file(tmp_path, paint):
    one, two = (paint(tmp_path / f"{value}.bmp", value) for value in (5, 6))
    os.utime(two, ns=(one.stat().st_atime_ns, one.stat().st_mtime_ns))
    gallery = of_files([one], tmp_path, "here")
    before = gallery.identity(0)
    assert one.stat().st_size == two.stat().st_size
    two.replace(one)
    assert gallery.identity(0) != before


def test_a_file_is_the_same_wherever_it_lies_and_whenever_it_was_written(tmp_path, paint):
    one, two = (paint(tmp_path / name / "a.png", 5) for name in ("one", "two"))
    os.utime(two, (1, 1))
    assert len({of_files([path], path.parent, "here").identity(0) for path in (one, two)}) == 1


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 5, 3)])
def test_arrays_become_pictures_numbered_by_class(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    gallery = of_arrays(pixels, ["cat", "dog", "cat"], "arrays", "digest")
    assert gallery.names == ("cat/00000", "dog/00000", "cat/00001")
    for i in range(3):
        assert np.array_equal(np.asarray(gallery.read(i, Depth()).picture), pixels[i])
        assert gallery.read(i, Depth()).origin is None
    assert len({gallery.identity(i) for i in range(3)}) == 3


def test_files_know_their_peak_and_arrays_have_none(tmp_path, paint):
    Image.fromarray(np.array([[7, 900]], np.uint16)).save(tmp_path / "deep.png")
    paths = [tmp_path / "deep.png", paint(tmp_path / "a.png")]
    gallery = of_files(paths, tmp_path, "here")
    assert [gallery.peak(i) for i in (0, 1)] == [Peak(900, False), None]
    assert gallery.read(0, Depth(integers=10)).picture.getpixel((1, 0)) == 224  # 900 / 1023 * 255
    arrays = of_arrays(np.zeros((1, 2, 2), np.uint8), ["cat"], "arrays", "digest")
    assert arrays.peak is arrays.take([0]).peak is None


def test_what_is_hidden_in_a_folder_is_known(tmp_path, paint):
    paint(tmp_path / "cats/a.png")
    hidden = paint(tmp_path / "cats/.ipynb_checkpoints/a-checkpoint.png")
    gallery = of_folder(tmp_path, "here")
    assert gallery.names == ("cats/a.png",)
    assert gallery.left_out.hidden == {hidden}


def test_files_say_where_they_come_from(tmp_path, paint):
    gallery = of_files([paint(tmp_path / "a.png", size=(7, 5))], tmp_path, "here")
    assert gallery.read(0, Depth()).origin == Origin("PNG", 7, 5, "RGB")
