import json

import numpy as np
import pycocotools.mask
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.decode import Origin
from fcdd_audit.natural import annotations
from fcdd_audit.natural.annotations import Annotations, read_annotations


def drawn(text):
    """`..#` and so on, line by line, as a bool array."""
    return np.array([[mark == "#" for mark in line] for line in text.split()])


def filled(height, width, rows, columns):
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


def coco(folder, *found, images=None, categories=None, **more):
    """A COCO file of one image, a.png, 6 x 4 px; `found`: its annotations."""
    if images is None:
        images = [{"id": 1, "file_name": "a.png", "width": 6, "height": 4}]
    content = {"images": images, "annotations": [{"image_id": 1, **one} for one in found]}
    if categories is not None:
        content["categories"] = categories
    path = folder / "found.json"
    path.write_text(json.dumps({**content, **more}))
    return path


def voc_object(box, name="date"):
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def voc(folder, *objects, name="a", size="<size><width>6</width><height>4</height><depth>3</depth></size>"):
    """A VOC file of an image of 6 x 4 px; returns the folder."""
    path = folder / f"{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>old.jpg</filename>{size}{''.join(objects)}</annotation>")
    return folder


def saved(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **options)


def message(path, only=()):
    with pytest.raises(InputError) as error:
        read_annotations(path, only)
    assert "\n" not in str(error.value)
    return str(error.value)


# Masks


PIXELS = np.array([[0, 1, 0], [0, 0, 255]], np.uint8)


@pytest.mark.parametrize("file", ["train/good/000.png", "train/good/000.BMP", "train/good/000_mask.tiff"])
def test_a_mask_has_its_images_path_and_any_suffix(tmp_path, file):
    saved(tmp_path / file, PIXELS)
    found = read_annotations(tmp_path)
    assert found.mask("train/good/000.png").tolist() == (PIXELS > 0).tolist()
    assert found.mask("train/good/001.png") is None


def test_what_is_neither_black_nor_transparent_is_artifact(tmp_path):
    saved(tmp_path / "deep.png", np.array([[0, 1, 65535]], np.uint16))
    saved(tmp_path / "bits.png", np.array([[False, True]]))
    saved(tmp_path / "colour.png", np.array([[[0, 0, 0], [0, 200, 0]]], np.uint8))
    saved(tmp_path / "alpha.png", np.array([[[9, 9, 9, 0], [9, 9, 9, 1], [0, 0, 0, 255]]], np.uint8))
    found = read_annotations(tmp_path)
    assert found.mask("deep").tolist() == [[False, True, True]]
    assert found.mask("bits").tolist() == [[False, True]]
    assert found.mask("colour").tolist() == [[False, True]]
    assert found.mask("alpha").tolist() == [[False, True, False]]


def test_jpeg_masks_are_artifact_where_they_are_bright(tmp_path):
    pixels = np.zeros((32, 32), np.uint8)
    pixels[9:20, 5:13] = 255
    saved(tmp_path / "a.jpg", pixels, quality=60)
    assert np.asarray(Image.open(tmp_path / "a.jpg"))[pixels == 0].any(), "it rings"
    assert np.array_equal(read_annotations(tmp_path).mask("a.png"), pixels > 0)


def test_a_mask_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    saved(tmp_path / "a.png", PIXELS, exif=exif)
    assert read_annotations(tmp_path).mask("a").tolist() == np.rot90(PIXELS > 0, -1).tolist()


def test_a_black_mask_is_none(tmp_path):
    saved(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    assert read_annotations(tmp_path).mask("a.png") is None


def test_a_mask_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as error:
        read_annotations(tmp_path).mask("a.png")
    assert str(error.value) == (
        f"mask '{tmp_path / 'a.png'}' can't be decoded (UnidentifiedImageError); repair or remove it"
    )


@pytest.mark.parametrize("other", ["a.bmp", "a_mask.png"])
def test_two_masks_of_one_image_are_refused(tmp_path, other):
    for name in ("a.png", other):
        saved(tmp_path / name, PIXELS)
    one, two = sorted([tmp_path / "a.png", tmp_path / other])
    assert message(tmp_path) == f"'{tmp_path}' has two masks of one image, '{one}' and '{two}'; remove one"


def test_masks_have_no_categories(tmp_path):
    saved(tmp_path / "a.png", PIXELS)
    expected = f"'{tmp_path}' is a folder of masks, which have no categories; drop 'only'"
    assert message(tmp_path, ["date"]) == expected


# COCO


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([1, 1, 3, 2], "...... .###.. .###.. ......"),
        ([0, 0, 6, 4], "###### ###### ###### ######"),
        ([1.9, 1.0, 1.2, 0.1], "...... .###.. ...... ......"),  # x 1.9 to 3.1 touches pixels 1 to 3
        ([0.1 + 0.2, 0, 0.7, 1], "#..... ...... ...... ......"),  # ends at 1.0000000000000002 or so
        ([-0.7, 3.5, 2, 1.2], "...... ...... ...... ##...."),  # up to a pixel outside is cut off
        (["1", "1", "3", "2"], "...... .###.. .###.. ......"),
    ],
)
def test_every_pixel_that_a_coco_box_touches_is_artifact(tmp_path, box, expected):
    mask = read_annotations(coco(tmp_path, {"bbox": box})).mask("a.png")
    assert mask.tolist() == drawn(expected).tolist()


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([1, 1, 4, 1, 4, 3, 1, 3], "...... .###.. .###.. ......"),
        # x + y of the centres is at most 4: on the edge, (3.5, 0.5), is inside
        ([0, 0, 4, 0, 0, 4], "####.. ###... ##.... #....."),
        ([0, 0, 3.9, 0, 0, 3.9], "###... ##.... #..... ......"),
        ([2.1, 1.1, 2.3, 1.1, 2.3, 1.3], "...... ..#... ...... ......"),  # contains no centre
        ([6, 4, 6, 3.9, 5.9, 4], "...... ...... ...... .....#"),
    ],
)
def test_every_pixel_whose_centre_a_polygon_contains_is_artifact(tmp_path, points, expected):
    path = coco(tmp_path, {"segmentation": [points], "bbox": [0, 0, 6, 4]})
    assert read_annotations(path).mask("a.png").tolist() == drawn(expected).tolist()


@given(st.lists(st.integers(0, 20), min_size=4, max_size=4))
def test_the_polygon_of_a_box_is_the_box(tmp_path_factory, ends):
    (left, right), (top, bottom) = sorted(ends[:2]), sorted(ends[2:])
    right, bottom = right + 1, bottom + 1
    images = [{"id": 1, "file_name": "a.png", "width": 21, "height": 21}]
    corners = [left, top, right, top, right, bottom, left, bottom]
    folder = tmp_path_factory.mktemp("coco")
    outlined = read_annotations(coco(folder, {"segmentation": [corners]}, images=images)).mask("a.png")
    box = [left, top, right - left, bottom - top]
    boxed = read_annotations(coco(folder, {"bbox": box}, images=images)).mask("a.png")
    expected = filled(21, 21, slice(top, bottom), slice(left, right))
    assert np.array_equal(outlined, expected)
    assert np.array_equal(boxed, expected)


def test_run_lengths_go_down_the_columns(tmp_path):
    runs = {"size": [4, 6], "counts": [1, 3, 5, 1, 14]}
    expected = drawn("...... #.#... #..... #.....").tolist()
    assert read_annotations(coco(tmp_path, {"segmentation": runs})).mask("a.png").tolist() == expected
    # 1, 3, 5, then the difference to the last but one: 1 - 3, 14 - 5; each plus 48, or in more letters.
    packed = {"size": [4, 6], "counts": "135N9"}
    assert read_annotations(coco(tmp_path, {"segmentation": packed})).mask("a.png").tolist() == expected


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_compressed_run_lengths_are_those_of_pycocotools(tmp_path_factory, height, width, data):
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits).reshape(height, width)
    packed = pycocotools.mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs = {"size": [height, width], "counts": packed["counts"].decode()}
    images = [{"id": 1, "file_name": "a.png", "width": width, "height": height}]
    path = coco(tmp_path_factory.mktemp("coco"), {"segmentation": runs}, images=images)
    found = read_annotations(path).mask("a.png")
    assert np.array_equal(found if found is not None else np.zeros_like(mask), mask)


SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]


def test_polygons_and_boxes_that_enclose_nothing_are_left_out_and_said(tmp_path, caplog):
    path = coco(
        tmp_path,
        {"segmentation": [SQUARE, [0, 0, 5, 3], []]},
        {"segmentation": [[5, 3, 5, 3]], "bbox": [5, 3, 1, 1]},
        {"bbox": [5, 0, 0, 2]},
    )
    assert read_annotations(path).mask("a.png").tolist() == drawn("...... .##... .##... .....#").tolist()
    assert caplog.messages == [f"'{path}': 4 polygons or boxes enclose nothing and are left out, of a.png"]
    with pytest.raises(InputError, match="of at least three corners is needed"):
        read_annotations(path, strict=True)


@pytest.mark.parametrize(
    "points",
    [
        [1, 1, 2, 2, 3, 3],
        [1, 1, 1, 1, 1, 1],
        [0.1, 0.1, 0.2, 0.2, 0.3, 0.3],  # whose area isn't exactly 0 in floats
        [0, 3, 5, 3, 2, 3, 1, 3],
        [0, 0, 5, 0, 5, 3, 5, 0],  # there and back
    ],
)
def test_a_polygon_of_no_area_encloses_nothing(tmp_path, caplog, points):
    path = coco(tmp_path, {"segmentation": [points]}, {"bbox": [4, 0, 1, 1]})
    assert read_annotations(path).mask("a.png").tolist() == drawn("....#. ...... ...... ......").tolist()
    assert caplog.messages == [f"'{path}': 1 polygon or box encloses nothing and is left out, of a.png"]
    with pytest.raises(InputError, match="which encloses nothing; correct or drop it"):
        read_annotations(path, strict=True)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([0, 0, 5, 4, 5, 0, 0, 4], "#...#. ##.##. ##.##. #...#."),  # its two triangles cancel out
        ([0, 0, 6, 0, 6, 0.01], "#....# ...... ...... ......"),
    ],
)
def test_a_polygon_that_encloses_something_is_used(tmp_path, caplog, points, expected):
    path = coco(tmp_path, {"segmentation": [points]})
    assert read_annotations(path, strict=True).mask("a.png").tolist() == drawn(expected).tolist()
    assert read_annotations(path).mask("a.png").tolist() == drawn(expected).tolist()
    assert caplog.messages == []


@pytest.mark.parametrize(
    "box", [None, [4, 0, 0, 1], [4, 0, -1, 1], [4, 0, 1], ["a", 0, 1, 1], [0, 0, 1, 10**400]]
)
def test_a_box_stands_in_for_polygons_that_enclose_nothing_if_it_is_one(tmp_path, caplog, box):
    line = [1, 1, 2, 2, 3, 3]
    path = coco(tmp_path, {"segmentation": [line, line], "bbox": [4, 1, 2, 2]})
    assert read_annotations(path).mask("a.png").tolist() == drawn("...... ....## ....## ......").tolist()
    assert "2 polygons or boxes enclose nothing and are left out" in caplog.text
    path = coco(tmp_path, {"segmentation": [line], "bbox": box}, {"bbox": [0, 3, 1, 1]})
    assert read_annotations(path).mask("a.png").tolist() == drawn("...... ...... ...... #.....").tolist()


def test_a_strict_reader_refuses_a_box_without_an_area(tmp_path):
    path = coco(tmp_path, {"bbox": [0, 0, 1, 1]}, {"bbox": [1, 1, 0, 2]})
    with pytest.raises(InputError, match="0 x 2 px; a box must have an area"):
        read_annotations(path, strict=True)


def test_if_all_enclose_nothing_nothing_is_annotated(tmp_path):
    path = coco(tmp_path, {"segmentation": [[1, 1, 2, 2]]})
    assert message(path) == f"'{path}' has no box and no polygon in it; annotate at least one image"


def test_all_of_an_images_annotations_count(tmp_path):
    path = coco(tmp_path, {"bbox": [0, 0, 2, 2]}, {"segmentation": [], "bbox": [1, 1, 2, 2]})
    assert read_annotations(path).mask("a.png").tolist() == drawn("##.... ###... .##... ......").tolist()


def test_images_without_annotation_have_no_mask(tmp_path):
    images = [
        {"id": "one", "file_name": "sub\\a.png", "width": 2, "height": 1},
        {"id": 1, "file_name": "sub/b.png"},  # its size isn't needed
    ]
    path = coco(tmp_path, {"image_id": "one", "bbox": [0, 0, 1, 1]}, images=images)
    found = read_annotations(str(path))
    assert found.mask("sub/a.png").tolist() == [[True, False]]
    assert found.mask("sub/b.png") is None
    assert found.mask("c.png") is None


CATEGORIES = [{"id": 3, "name": "date"}, {"id": 5, "name": "ruler"}, {"id": 7, "name": "horse"}]


def test_only_some_coco_categories(tmp_path):
    path = coco(
        tmp_path,
        {"category_id": 3, "bbox": [0, 0, 1, 1]},
        {"category_id": 5, "bbox": [2, 0, 1, 1]},
        {"category_id": 7, "bbox": [4, 0, 1, 1]},
        categories=CATEGORIES,
    )
    row = [read_annotations(path, only).mask("a.png")[0].tolist() for only in ([], ["date", "ruler"])]
    assert row == [drawn("#.#.#.")[0].tolist(), drawn("#.#...")[0].tolist()]
    assert message(path, ["dato"]) == (
        f"'{path}' has no category 'dato'; did you mean 'date'? (known: date, horse, ruler)"
    )


def test_chosen_categories_that_nothing_is_annotated_with(tmp_path):
    path = coco(tmp_path, {"category_id": 3, "bbox": [0, 0, 1, 1]}, categories=CATEGORIES)
    assert message(path, ["ruler", "horse"]) == (
        f"'{path}' has no box and no polygon of horse, ruler in it; annotate at least one image"
    )


KINDS = "give a folder of mask images, a folder of Pascal VOC XML files, or a COCO JSON file"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("[" * 100_000, "maximum recursion depth exceeded"),
    ],
)
def test_a_file_that_is_no_json(tmp_path, text, reason):
    path = tmp_path / "found.json"
    path.write_text(text)
    assert message(path).startswith(f"annotations '{path}' are no JSON ({reason}")
    assert message(path).endswith(KINDS)


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", b'{"images": "\xff"}'])
def test_a_file_that_is_no_text(tmp_path, content):
    path = tmp_path / "found.json"
    path.write_bytes(content)
    assert message(path).startswith(f"annotations '{path}' are no JSON (")


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ([], "images"),
        ({"annotations": []}, "images"),
        ({"images": {}, "annotations": []}, "images"),
        ({"images": [1], "annotations": []}, "images"),
        ({"images": []}, "annotations"),
    ],
)
def test_json_that_is_not_cocos(tmp_path, content, missing):
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content))
    assert message(path) == f"'{path}' is no COCO JSON: it has no list of {missing}; {KINDS}"


def test_only_needs_categories(tmp_path):
    path = coco(tmp_path, {"bbox": [0, 0, 1, 1]})
    assert message(path, ["date"]) == f"'{path}' is no COCO JSON: it has no list of categories; {KINDS}"


def test_a_coco_file_without_annotations(tmp_path):
    path = coco(tmp_path)
    assert message(path) == f"'{path}' has no box and no polygon in it; annotate at least one image"


A = {"id": 1, "file_name": "a.png", "width": 6, "height": 4}


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([{**A, "id": None}], "an id is missing; a number is needed"),
        ([{**A, "id": [1]}], "an id is [1]; a number is needed"),
        ([{**A, "file_name": None}], "image 1 has no file_name; write its path there"),
        ([{**A, "file_name": "/"}], "image 1 has no file_name; write its path there"),
    ],
)
def test_images_without_id_or_name(tmp_path, images, expected):
    path = coco(tmp_path, {"bbox": [0, 0, 1, 1]}, images=images)
    assert message(path) == f"'{path}': {expected}"


@pytest.mark.parametrize("other", [{"id": 2}, {"file_name": "b.png"}])
def test_two_images_that_are_the_same(tmp_path, other):
    path = coco(tmp_path, {"bbox": [0, 0, 1, 1]}, images=[A, {**A, **other}])
    expected = f"'{path}' has two images with the same id or file_name; give each its own"
    assert message(path) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"width": None}, "the width of 'a.png' in '{path}' is missing; a number is needed"),
        ({"height": "high"}, "the height of 'a.png' in '{path}' is 'high'; a number is needed"),
        *[
            (size, f"the size of 'a.png' in '{{path}}' is {said} px; write the image's true size there")
            for size, said in [
                ({"width": 0}, "0 x 4"),
                ({"height": -4}, "6 x -4"),
                ({"height": 4.5}, "6 x 4.5"),
                ({"width": 20_000, "height": 20_000}, "20000 x 20000"),
            ]
        ],
    ],
)
def test_an_image_needs_a_size(tmp_path, size, expected):
    path = coco(tmp_path, {"bbox": [0, 0, 1, 1]}, images=[{**A, **size}])
    assert message(path) == expected.format(path=path)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ({}, "{what} has no polygon, and its bbox is missing; x, y, width and height are needed"),
        (
            {"bbox": [1, 2]},
            "{what} has no polygon, and its bbox is [1, 2]; x, y, width and height are needed",
        ),
        ({"bbox": [1, 1, None, 1]}, "a value of the bbox of {what} is missing; a number is needed"),
        ({"bbox": [1, 1, float("nan"), 1]}, "a value of the bbox of {what} is nan; a number is needed"),
        (
            {"bbox": [1, 1, 10**400, 1]},
            f"a value of the bbox of {{what}} is 1{'0' * 39}...; a number is needed",
        ),
        ({"bbox": [1, 1, 2, -1]}, "{what} is 2 x -1 px; a box must have an area"),
        *[
            (
                found,
                f"{{what}} lies outside its image: it reaches from {ends} px, and the image has 6 x 4 px; "
                "correct it, or the image's size",
            )
            for found, ends in [
                ({"bbox": [4, 0, 3.5, 1]}, "x 4, y 0 to x 7.5, y 1"),
                ({"bbox": [-1.5, 0, 3, 1]}, "x -1.5, y 0 to x 1.5, y 1"),
                ({"bbox": [1, 4, 1, 1]}, "x 1, y 4 to x 2, y 5"),
                ({"bbox": [1, -1, 1, 1]}, "x 1, y -1 to x 2, y 0"),
                ({"segmentation": [[1, 1, 2, 1, 2, 60]]}, "x 1, y 1 to x 2, y 60"),
            ]
        ],
        *[
            (
                {"segmentation": [points]},
                f"{{what}} is {said}; a list of x and y of at least three corners is needed",
            )
            for points, said in [
                ([1, 1, 2, 1, 2, 2, 3], "[1, 1, 2, 1, 2, 2, 3]"),
                (7, "7"),
            ]
        ],
        ({"segmentation": [[1, 1, 2, 1, "x", 2]]}, "a corner of {what} is 'x'; a number is needed"),
        ({"segmentation": "abc"}, "{what} has the segmentation 'abc'; a list of polygons is needed"),
        *[
            (
                {"segmentation": runs},
                "{what} has run lengths that don't add up to its 6 x 4 px; export it again",
            )
            for runs in (
                {"size": [4, 6], "counts": [1, 3]},
                {"size": [6, 4], "counts": [1, 23]},
                {"size": [4, 6], "counts": [25, -1]},
                {"size": [4, 6]},
                {"counts": [1, 23]},
                {"size": [4, 6], "counts": [True, 23]},
                {"size": [4, 6], "counts": "135N8"},  # a pixel too few
                {"size": [4, 6], "counts": "135N:"},  # a pixel too many
                {"size": [6, 4], "counts": "135N9"},
                {"size": [4, 6], "counts": ""},
                {"size": [4, 6], "counts": "zzzz"},
                {"size": [4, 6], "counts": "1\u00e9"},
                {"size": [4, 6], "counts": 7},
            )
        ],
    ],
)
def test_an_annotation_that_cannot_be_used(tmp_path, annotation, expected):
    path = coco(tmp_path, annotation)
    assert message(path) == expected.format(what=f"an annotation of 'a.png' in '{path}'")


def test_an_annotation_of_an_image_that_is_not_listed(tmp_path):
    path = coco(tmp_path, {"image_id": 9, "bbox": [0, 0, 1, 1]})
    assert message(path) == f"'{path}' has an annotation of image 9, which isn't in it; add or drop it"
    path = coco(tmp_path, {"image_id": None, "bbox": [0, 0, 1, 1]})
    assert message(path) == f"'{path}': an image_id is missing; a number is needed"


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path, folder = coco(tmp_path, {"bbox": [0, 0, 1, 1]}), voc(tmp_path / "voc", voc_object((1, 1, 2, 2)))

    def fail(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(annotations.Path, "read_bytes", fail)
    assert message(path) == f"can't read annotations '{path}': Permission denied; {KINDS}"
    assert message(folder) == f"can't read annotations '{folder / 'a.xml'}': Permission denied; {KINDS}"


# Pascal VOC


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 1, 1, 1), "#..... ...... ...... ......"),
        ((2, 2, 4, 3), "...... .###.. .###.. ......"),
        ((1, 1, 6, 4), "###### ###### ###### ######"),
        ((0, 0, 6, 4), "###### ###### ###### ######"),  # of a tool that counts from 0
        ((2.7, 2.0, 4.2, 2.0), "...... .####. ...... ......"),  # VOC2011 has such: 1.7 to 4.2 from the edge
        ((" 2 ", "4", "3", "4\n"), "...... ...... ...... .##..."),
    ],
)
def test_voc_counts_from_1_and_includes_the_last(tmp_path, box, expected):
    found = read_annotations(voc(tmp_path, voc_object(box)))
    assert found.mask("a.jpg").tolist() == drawn(expected).tolist()


def test_a_voc_file_belongs_to_the_image_of_its_own_name(tmp_path):
    voc(tmp_path, voc_object((1, 1, 1, 1)), name="horse/2007_000783")
    voc(tmp_path, name="horse/2007_000392", size="")  # no artifact: no size is needed
    found = read_annotations(tmp_path)
    assert found.mask("horse/2007_000783.jpg").sum() == 1
    assert found.mask("horse/2007_000392.jpg") is None
    assert found.mask("old.jpg") is None, "<filename> isn't looked at"


@pytest.mark.parametrize(
    "size",
    [
        "",
        "<size><width>0</width><height> 0 </height></size>",
        "<size><width/><height> </height></size>",
        "<size><width>0.0</width><height/></size>",
    ],
)
def test_a_voc_file_without_a_size_takes_the_images_own(tmp_path, size):
    found = read_annotations(voc(tmp_path, voc_object((2, 2, 4, 3)), size=size))
    mask = found.mask("a.jpg", Origin("JPEG", 6, 4, "RGB"))
    assert mask.tolist() == drawn("...... .###.. .###.. ......").tolist()
    with pytest.raises(
        InputError, match=r"'.*a\.xml' doesn't say the size of its image, and the image has no"
    ):
        found.mask("a.jpg")
    with pytest.raises(InputError, match="lies outside its image"):
        found.mask("a.jpg", Origin("JPEG", 2, 2, "RGB"))


def test_boxes_are_turned_along_with_a_photo_that_lies_on_its_side(tmp_path):
    found = read_annotations(voc(tmp_path, voc_object((1, 1, 2, 1))))  # of 6 x 4 px
    turned = found.mask("a.jpg", Origin("JPEG", 4, 6, "RGB", 90, 6))
    assert turned.tolist() == drawn("...# ...# .... .... .... ....").tolist()
    upright = found.mask("a.jpg", Origin("JPEG", 6, 4, "RGB", 90, 6))
    assert upright.tolist() == drawn("##.... ...... ...... ......").tolist()


def test_hidden_files_are_left_out_and_said(tmp_path, caplog):
    for name in (".ipynb_checkpoints/a", "._a"):
        (tmp_path / f"{name}.xml").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.xml").write_bytes(b"no XML")
        saved(tmp_path / "masks" / f"{name}.png", PIXELS)
    saved(tmp_path / "masks/a.png", PIXELS)
    voc(tmp_path, voc_object((1, 1, 1, 1)))
    assert list(read_annotations(tmp_path).areas) == ["a.xml"]
    assert list(read_annotations(tmp_path / "masks").areas) == ["a.png"]
    assert caplog.messages == [
        f"'{folder}': 2 hidden files were left out." for folder in (tmp_path, tmp_path / "masks")
    ]


@pytest.mark.parametrize(
    ("there", "lost"),
    [("a.png", "b.png"), ("a.png", "b.xml"), ("a.png", "more"), ("a.xml", "b.xml"), ("a.xml", "more")],
)
def test_annotations_that_cannot_be_read_are_refused(tmp_path, there, lost):
    if there == "a.xml":
        voc(tmp_path, voc_object((1, 1, 1, 1)))
        (tmp_path / "lost.png").symlink_to("gone")  # an image, which isn't looked at
    else:
        saved(tmp_path / there, PIXELS)
    read_annotations(tmp_path)
    (tmp_path / lost).symlink_to("gone")
    assert message(tmp_path) == (
        f"1 file or folder of annotations '{tmp_path}' can't be read: {lost}: a link whose target isn't "
        "there - get their data (git annex get, dvc pull) or see to their permissions, or remove them"
    )


def test_annotations_that_are_a_link_without_a_target_are_refused(tmp_path):
    (tmp_path / "a.json").symlink_to("gone")
    assert "don't exist" in message(tmp_path / "a.json")


def test_a_folder_with_images_and_xml_is_a_voc_folder(tmp_path):
    saved(tmp_path / "a.jpg", np.full((4, 6), 255, np.uint8))
    voc(tmp_path, voc_object((1, 1, 1, 1)))
    assert read_annotations(tmp_path).mask("a.jpg").sum() == 1


def test_only_some_voc_names_and_no_parts_of_objects(tmp_path):
    part = voc_object((1, 1, 6, 4), "head").replace("object>", "part>")
    horse = voc_object((1, 1, 1, 1), "horse").replace("</object>", f"{part}</object>")
    voc(tmp_path, horse, voc_object((3, 1, 3, 1), "date"), voc_object((5, 1, 5, 1), " ruler "))
    voc(tmp_path, voc_object((9, 9, 9, 9), "horse"), name="b", size="")  # isn't chosen: not looked at
    assert (
        read_annotations(tmp_path, ["date", "ruler"]).mask("a.jpg")[0].tolist() == drawn("..#.#.")[0].tolist()
    )
    assert message(tmp_path, ["logo"]) == f"'{tmp_path}' has no category 'logo' (known: date, horse, ruler)"


def test_voc_files_without_any_box(tmp_path):
    voc(tmp_path)
    assert message(tmp_path) == f"'{tmp_path}' has no box and no polygon in it; annotate at least one image"
    assert message(tmp_path, ["date"]) == f"'{tmp_path}' has no category 'date' (known: none)"


@pytest.mark.parametrize(
    ("objects", "size", "expected"),
    [
        (
            "",
            "<size><width>6</width></size>",
            "the height of the image of '{path}' is missing; a number is needed",
        ),
        (
            "",
            "<size><width>0</width><height>4</height></size>",
            "the size of the image of '{path}' is 0 x 4 px; write the image's true size there",
        ),
        (
            "<object><name>date</name></object>",
            "",
            "xmin of a box in '{path}' is missing; a number is needed",
        ),
        (voc_object((1, 1, "x", 1)), "", "xmax of a box in '{path}' is 'x'; a number is needed"),
        (voc_object((3, 1, 2, 2)), "", "a box in '{path}' is 0 x 2 px; a box must have an area"),
        (
            voc_object((1, 1, 8, 4)),
            "",
            "a box in '{path}' lies outside its image: it reaches from x 0, y 0 to x 8, y 4 px, and the "
            "image has 6 x 4 px; correct it, or the image's size",
        ),
    ],
)
def test_a_voc_file_that_cannot_be_used(tmp_path, objects, size, expected):
    sizes = {} if size == "" else {"size": size or ""}
    voc(tmp_path, objects or voc_object((1, 1, 1, 1)), **sizes)
    assert message(tmp_path) == expected.format(path=tmp_path / "a.xml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<annotation>", "can't be read as XML (no element found: line 1, column 12); repair or remove it"),
        ("no XML", "can't be read as XML (syntax error: line 1, column 0); repair or remove it"),
        (
            '<?xml version="1.0" encoding="klingon"?><annotation/>',
            "can't be read as XML (unknown encoding: klingon); repair or remove it",
        ),
        ("<kml/>", "is no Pascal VOC annotation: it begins with <kml>, not <annotation>; remove it"),
    ],
)
def test_a_file_that_is_no_voc_xml(tmp_path, text, expected):
    path = tmp_path / "a.xml"
    path.write_text(text)
    assert message(tmp_path) == f"'{path}' {expected}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "declared",
    ['<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">', '<!ENTITY b SYSTEM "file:///etc/passwd">', ""],
)
def test_entities_are_refused_before_they_are_read(tmp_path, encoding, declared):
    path = tmp_path / "a.xml"
    head = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE annotation [{declared}]>'
    path.write_bytes(f"{head}<annotation/>".encode(encoding))
    expected = "can't be read as XML (it has a DOCTYPE, which isn't allowed); repair or remove it"
    assert message(tmp_path) == f"'{path}' {expected}"


# Any of the three


def test_a_path_that_does_not_exist(tmp_path):
    path = tmp_path / "none"
    assert message(path) == f"annotations '{path}' don't exist; {KINDS}"


def test_a_folder_with_nothing_to_read(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert message(tmp_path) == f"folder '{tmp_path}' has neither mask images nor XML files in it; {KINDS}"


# Which annotation belongs to which image


def match(paths, names):
    areas = {path: lambda _: np.ones((1, 1), bool) for path in paths}
    return Annotations("found.json", areas).match(names)


@pytest.mark.parametrize(
    ("paths", "name", "expected"),
    [
        (["a/x.png", "x.png", "b/x.png"], "a/x.png", "a/x.png"),  # the full path
        (["a/x.jpg", "a/x.png"], "a/x.png", "a/x.png"),
        (["a/x.jpg", "x.png"], "a/x.png", "a/x.jpg"),  # without suffix
        (["a/x.xml", "b/x.xml"], "a/x.JPG", "a/x.xml"),
        (["x.jpg", "y.jpg"], "train/a/x.png", "x.jpg"),  # the file name
        (["a/x.png", "b/x.png"], "test/a/x.png", "a/x.png"),  # the end of the path
        (["/data/test/a/x.png", "/data/test/b/x.png"], "b/x.png", "/data/test/b/x.png"),
        (["JPEGImages/x.jpg", "JPEGImages/y.jpg"], "train/good/x.png", "JPEGImages/x.jpg"),
        (["x.1.png", "x.2.png"], "a/x.2.png", "x.2.png"),  # a point is no suffix
        (["x.tif.png"], "x.tif.png", "x.tif.png"),
        (["airplane/00012", "cat/00012"], "cat/00012", "cat/00012"),
        (["x.png", "y.png"], "z.png", None),
        (["xx.png"], "x.png", None),
        ([], "x.png", None),
    ],
)
def test_the_annotation_of_one_image(paths, name, expected):
    assert match(paths, [name]) == [expected]


def test_an_annotation_goes_to_the_image_that_it_agrees_with_best():
    names = ["train/good/000.png", "test/cut/000.png", "test/hole/000.png", "test/good/000.png"]
    expected = [None, "cut/000.png", "hole/000.png", None]
    assert match(["cut/000.png", "hole/000.png"], names) == expected
    assert match(["test/cut/000.png"], names) == [None, "test/cut/000.png", None, None]


def test_the_same_image_twice_gets_the_same_annotation():
    assert match(["x.png"], ["a/x.png", "a/x.png"]) == ["x.png", "x.png"]


def refused(paths, names):
    with pytest.raises(InputError) as error:
        match(paths, names)
    return str(error.value)


@pytest.mark.parametrize("name", ["x.png", "c/x.png"])
def test_a_file_name_that_two_annotations_have(name):
    assert refused(["a/x.png", "b/x.png"], [name]) == (
        f"image '{name}' fits two annotations in 'found.json', 'a/x.png' and 'b/x.png'; give them the paths "
        "that the images have"
    )


@pytest.mark.parametrize("path", ["x.png", "good/x.png", "c/x.png"])
def test_a_file_name_that_two_images_have(path):
    assert refused([path], ["train/good/x.png", "test/good/x.png"]) == (
        f"annotation '{path}' in 'found.json' fits two images, 'train/good/x.png' and 'test/good/x.png'; "
        "give it the path that its image has"
    )


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


@given(st.lists(PATHS, unique=True), st.lists(PATHS, unique=True))
def test_no_annotation_is_given_to_two_images_and_equal_paths_belong_together(paths, names):
    try:
        found = match(paths, names)
    except InputError:
        return
    given_away = [path for path in found if path is not None]
    assert len(given_away) == len(set(given_away))
    for name, path in zip(names, found, strict=True):
        assert path is None or path.split("/")[-1] == name.split("/")[-1]
        assert name not in paths or path == name


def test_masks_come_in_the_order_of_the_names(tmp_path):
    for value in (1, 2, 3):
        saved(tmp_path / f"{value}.png", np.full((1, value), 9, np.uint8))
    masks = list(read_annotations(tmp_path).masks(["a/3.jpg", "a/4.jpg", "a/1.jpg"]))
    assert [mask if mask is None else mask.shape for mask in masks] == [(1, 3), None, (1, 1)]
