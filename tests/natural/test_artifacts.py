import csv
import json
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.decode import Origin
from fcdd_audit.images.gallery import of_files
from fcdd_audit.images.parts import decoded
from fcdd_audit.images.reading import Reading
from fcdd_audit.natural import NATURAL, check_artifact, make_artifact
from fcdd_audit.natural.artifacts import Masked, Region, fitted
from fcdd_audit.natural.removal import inpaint
from fcdd_audit.probes import PROBES, Chain
from fcdd_audit.probes.overlays import Frame
from fcdd_audit.probes.tones import Jpeg

SIDES = st.integers(1, 40)
FITS = st.sampled_from(["squash", "centre"])


def filled(height, width, rows, columns):
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


def coverage(mask, size, fit):
    """Each pixel's covered share, exactly."""
    height, width = mask.shape
    tall, wide = Fraction(height), Fraction(width)
    if fit == "centre":
        tall = wide = min(height, width) * Fraction(224, 256)
    starts = (height - tall) / 2, (width - wide) / 2

    def parts(start, length, pixels):
        cells = [(start + i * length / size, start + (i + 1) * length / size) for i in range(size)]
        return [
            [max(Fraction(0), min(end, p + 1) - max(begin, p)) for p in range(pixels)] for begin, end in cells
        ]

    rows, columns = parts(starts[0], tall, height), parts(starts[1], wide, width)
    marked = np.argwhere(mask).tolist()
    area = tall * wide / size**2
    return [[sum(r[y] * c[x] for y, x in marked) / area for c in columns] for r in rows]


# Bringing masks to the images' size


@given(height=SIDES, width=SIDES, size=SIDES, fit=FITS)
def test_of_a_full_mask_all_is_artifact_and_of_an_empty_one_nothing(height, width, size, fit):
    full = fitted(np.ones((height, width), bool), (size, size), fit)
    assert full.shape == (size, size)
    assert full.dtype == torch.bool
    assert full.all()
    assert not fitted(np.zeros((height, width), bool), (size, size), fit).any()


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    size=st.integers(1, 9),
    fit=FITS,
    seed=st.integers(0, 99),
)
def test_a_pixel_is_artifact_if_half_of_it_is_covered(height, width, size, fit, seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < rng.choice([0.1, 0.5, 0.9])
    exact = coverage(mask, size, fit)
    best = max(max(row) for row in exact)
    least = Fraction(1, 2) if best >= Fraction(1, 2) else best / 2
    expected = [[share > 0 and share >= least for share in row] for row in exact]
    assert fitted(mask, (size, size), fit).tolist() == expected


def test_half_is_enough_and_less_is_not():
    mask = filled(4, 4, slice(0, 4), slice(0, 1))  # half of the left pixels
    assert fitted(mask, (2, 2)).tolist() == [[True, False], [True, False]]
    mask[3, 0] = False
    assert fitted(mask, (2, 2)).tolist() == [[True, False], [False, False]]


def test_a_thin_artifact_does_not_vanish():
    """A tenth of two pixels in row 1 is covered, 0.06 of the one before, 0.04 of the one behind."""
    found = fitted(filled(80, 80, 13, slice(14, 44)), (8, 8))
    assert found[1].tolist() == [False, True, True, True, False, False, False, False]
    assert found.sum() == 3


def test_the_centre_of_a_mask():
    # 32 x 16: the cut is 14 px wide, from x 9 and y 1
    mask = filled(16, 32, slice(1, 8), slice(9, 16))
    assert fitted(mask, (2, 2), "centre").tolist() == [[True, False], [False, False]]
    assert not fitted(filled(16, 32, slice(0, 16), slice(0, 9)), (2, 2), "centre").any(), "outside"
    assert fitted(filled(16, 32, slice(0, 16), slice(0, 9)), (2, 2), "squash").tolist() == [[True, False]] * 2


def test_targets_need_not_be_square():
    assert fitted(filled(4, 4, 0, slice(0, 4)), (4, 2)).tolist() == [[True, True], *[[False, False]] * 3]


def images_of(folder, names, cache, size, fit="squash"):
    """The pictures as an audit gets them, uint8 (N, C, size, size)."""
    gallery = of_files([folder / name for name in names], folder, "test")
    return decoded(gallery, size, Reading(cache=cache), [], fit=fit).images


@pytest.mark.parametrize("fit", ["squash", "centre"])
@pytest.mark.parametrize("shape", [(300, 500), (500, 300), (37, 41)])
def test_a_mask_is_brought_where_its_image_is(tmp_path, shape, fit):
    """A white box in a black picture stays in the mask of the box, but for the blurred edge."""
    mask = filled(*shape, slice(shape[0] // 2, shape[0] * 3 // 4), slice(shape[1] // 3, shape[1] // 2))
    Image.fromarray(mask).save(tmp_path / "a.png")
    bright = images_of(tmp_path, ["a.png"], tmp_path / "cache", 32, fit)[0, 0] >= 128
    assert bright.any()
    assert (bright == fitted(mask, (32, 32), fit)).float().mean() > 0.99


# One region for all


@given(
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    size=st.integers(1, 40),
    ends=st.lists(st.integers(0, 39), min_size=4, max_size=4),
)
def test_a_squashed_box_is_the_box_in_shares(height, width, size, ends):
    (left, right), (top, bottom) = (
        sorted(e % n for e in pair) for pair, n in ((ends[:2], width), (ends[2:], height))
    )
    right, bottom = right + 1, bottom + 1
    if (right - left, bottom - top) == (width, height):
        return  # a region can't be the whole image
    region = Region(left / width, top / height, (right - left) / width, (bottom - top) / height)
    mask = filled(height, width, slice(top, bottom), slice(left, right))
    found = region.find(["a"], (size, size))
    assert torch.equal(found[0, 0], fitted(mask, (size, size)))


def test_a_region_is_the_same_in_every_image():
    masks = Region(left=0.5, top=0.75, width=0.5, height=0.25).find(["a", "b"], (8, 16), "centre")
    assert masks.shape == (2, 1, 8, 16)
    assert masks.dtype == torch.bool
    expected = filled(8, 16, slice(6, 8), slice(8, 16)).tolist()
    assert masks.tolist() == [[expected], [expected]]
    assert Region(width=0.5, height=0.5).find([], (8, 16)).shape == (0, 1, 8, 16)


@pytest.mark.parametrize(
    ("edge", "columns"),
    [(0.25, [0, 1]), (0.3, [0, 1]), (0.3125, [0, 1, 2]), (0.02, [0])],  # 2.5 px: half of the third
)
def test_a_half_covered_pixel_belongs_to_the_region(edge, columns):
    found = Region(width=edge, height=1).find(["a"], (8, 8))[0, 0]
    assert found.all(dim=0).nonzero().flatten().tolist() == columns
    assert found.any(dim=0).nonzero().flatten().tolist() == columns


@given(start=st.floats(0, 0.99), length=st.floats(0.01, 1), size=SIDES)
def test_no_region_is_empty(start, length, size):
    length = min(length, 1 - start)
    assert Region(left=start, width=length, height=0.5).find(["a"], (size, size)).any()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "region width is 0.0; it must be in (0, 1]"),
        ({"width": 0.5}, "region height is 0.0; it must be in (0, 1]"),
        ({"width": 1.5, "height": 0.1}, "region width is 1.5; it must be in (0, 1]"),
        ({"left": -0.1, "width": 0.5, "height": 0.1}, "region left is -0.1; it must be in [0, 1)"),
        ({"top": 1, "width": 0.5, "height": 0.1}, "region top is 1; it must be in [0, 1)"),
        ({"top": float("nan"), "width": 0.5, "height": 0.1}, "region top is nan; it must be in [0, 1)"),
        (
            {"left": 0.7, "width": 0.5, "height": 0.1},
            "region left 0.7 and width 0.5 reach outside the image; they may add up to 1 at most",
        ),
        (
            {"top": 0.7, "width": 0.5, "height": 0.4},
            "region top 0.7 and height 0.4 reach outside the image; they may add up to 1 at most",
        ),
        ({"width": 1, "height": 1}, "the region is the whole image; an artifact must be a part of it"),
    ],
)
def test_a_region_that_cannot_be(options, expected):
    with pytest.raises(InputError) as error:
        Region(**options)
    assert str(error.value) == expected


def test_a_region_may_end_at_the_edge():
    assert Region(left=0.9, top=0.7, width=0.1, height=0.3).find(["a"], (10, 10)).sum() == 3  # 0.7 + 0.3 > 1


# Marked images


def test_each_image_gets_its_own_mask(tmp_path):
    (tmp_path / "good").mkdir()
    for name, columns in (("000", slice(0, 8)), ("001_mask", slice(8, 16))):
        Image.fromarray(filled(8, 16, slice(0, 8), columns)).save(tmp_path / "good" / f"{name}.png")
    probe = Masked(masks=str(tmp_path))
    masks = probe.find(["good/001.jpg", "good/002.jpg", "good/000.jpg"], (2, 2))
    assert masks.dtype == torch.bool
    right, none, left = [[0, 1], [0, 1]], [[0, 0], [0, 0]], [[1, 0], [1, 0]]
    assert masks.int().tolist() == [[right], [none], [left]]
    assert probe.find([], (2, 2)).shape == (0, 1, 2, 2)


def test_a_mask_is_fitted_as_asked(tmp_path):
    Image.fromarray(filled(16, 32, slice(0, 16), slice(0, 9))).save(tmp_path / "a.png")
    probe = Masked(str(tmp_path))
    assert probe.find(["a.png"], (2, 2)).any()
    assert not probe.find(["a.png"], (2, 2), "centre").any()


def test_annotations_that_fit_no_image_are_warned_of(tmp_path, caplog):
    for name in ("a", "b", "stray"):
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    Masked(str(tmp_path)).find(["a.jpg", "b.jpg"], (4, 4))
    assert caplog.messages == [f"1 of 3 annotations in '{tmp_path}' fit no image"]
    caplog.clear()
    Masked(str(tmp_path)).find(["a.jpg", "b.jpg", "stray.jpg"], (4, 4))
    assert caplog.messages == []


def test_masks_that_mark_nothing_or_nearly_everything_are_warned_of(tmp_path, caplog):
    for name, share in (("a", 0), ("b", 255), ("c", 0)):
        Image.fromarray(np.full((4, 4), share, np.uint8)).save(tmp_path / f"{name}.png")
    found = Masked(str(tmp_path)).find(["a.jpg", "b.jpg", "c.jpg"], (4, 4))
    assert found.flatten(1).any(dim=1).tolist() == [False, True, False]
    assert caplog.messages == [
        f"'{tmp_path}': 2 of 3 masks mark nothing and are not used: a.png, c.png.",
        f"'{tmp_path}': 1 of 3 masks mark more than 95% of their image: b.png.",
    ]


def test_annotations_are_turned_along_with_photos_that_lie_on_their_side(tmp_path):
    """A box in the upper left corner of a photo, which is stored 4 px wide and 2 high, and seen upright."""
    box = {"image_id": 1, "bbox": [0, 0, 1, 1]}
    lying = Origin("JPEG", 2, 4, "RGB", 90, 6)  # turned clockwise: the upper left corner is the upper right
    for size, row in (((4, 2), [False, True]), ((2, 4), [True, False])):
        image = {"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}
        path = tmp_path / "found.json"
        path.write_text(json.dumps({"images": [image], "annotations": [box]}))
        (mask,) = Masked(str(path)).find(["a.jpg"], (4, 2), origins=[lying])
        assert mask[0].tolist() == [row, *[[False, False]] * 3]


def test_strict_refuses_what_is_left_out_otherwise(tmp_path, caplog):
    image = {"id": 1, "file_name": "a.jpg", "width": 4, "height": 4}
    polygons = [[0, 0, 2, 0, 2, 2, 0, 2], [3, 3, 3, 3]]
    path = tmp_path / "found.json"
    path.write_text(
        json.dumps({"images": [image], "annotations": [{"image_id": 1, "segmentation": polygons}]})
    )
    assert Masked(str(path)).find(["a.jpg"], (4, 4)).sum() == 4
    assert "1 polygon or box encloses nothing and is left out" in caplog.text
    with pytest.raises(InputError, match="at least three corners"):
        Masked(str(path), strict=True).find(["a.jpg"], (4, 4))


def test_only_the_named_categories(tmp_path):
    boxes = (
        f"<object><name>{name}</name><bndbox><xmin>{x}</xmin><ymin>1</ymin><xmax>{x}</xmax><ymax>1</ymax>"
        "</bndbox></object>"
        for x, name in enumerate(("date", "horse", "old ruler", "logo"), start=1)
    )
    size = "<size><width>4</width><height>1</height></size>"
    (tmp_path / "a.xml").write_text(f"<annotation>{size}{''.join(boxes)}</annotation>")

    def row(only):
        return Masked(str(tmp_path), only).find(["a.jpg"], (4, 4))[0, 0, 0].int().tolist()

    assert row("") == [1, 1, 1, 1]
    assert row("date, old ruler,") == [1, 0, 1, 0]
    with pytest.raises(InputError, match="has no category 'horses'; did you mean 'horse'"):
        row("horses")


@pytest.mark.parametrize("masks", ["", " "])
def test_masks_need_a_path(masks):
    with pytest.raises(InputError) as error:
        Masked(masks)
    assert str(error.value) == (
        "mask masks is empty; give a folder of mask images, a folder of Pascal VOC XML files, or a COCO JSON "
        "file, with --set mask.masks=PATH"
    )


# With real images


@pytest.fixture
def horses(real_images):
    """Where they are, and the boxes of the eight with the watermark: xmin, ymin, xmax, ymax."""
    base = real_images / "voc_animals"
    if not base.is_dir():
        pytest.skip("no voc_animals among the real images")
    with (base / "tags.csv").open(newline="") as file:
        tags = {row["image"]: [int(end) for end in row["box_256"].split()] for row in csv.DictReader(file)}
    return base / "images", {f"horse/{name}.jpg": box for name, box in tags.items() if box}


def roughness(image, mask):
    """How much pixels differ from their four neighbours' mean, as letters do, on average in the mask."""
    kernel = torch.tensor([[0, -0.25, 0], [-0.25, 1, -0.25], [0, -0.25, 0]])[None, None]
    return F.conv2d(image.float().mean(dim=0)[None, None], kernel).abs()[0, 0, mask[0, 1:-1, 1:-1]].mean()


def test_the_watermark_on_vocs_horses_is_found_and_taken_off(horses, tmp_path):
    folder, boxes = horses
    assert len(boxes) == 8
    names = [*boxes, "horse/2007_000783.jpg"]
    images = images_of(folder, names, tmp_path / "cache", 64)
    sizes = [Image.open(folder / name).size for name in boxes]
    (tmp_path / "xml" / "horse").mkdir(parents=True)
    for (name, box), (width, height) in zip(boxes.items(), sizes, strict=True):
        ends = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        inner = "".join(f"<{end}>{value}</{end}>" for end, value in ends)
        (tmp_path / "xml" / name).with_suffix(".xml").write_text(
            f"<annotation><size><width>{width}</width><height>{height}</height></size><object>"
            f"<name>tag</name><bndbox>{inner}</bndbox></object></annotation>"
        )

    masks = Masked(str(tmp_path / "xml"), "tag").find(names, (64, 64))
    assert not masks[8].any()
    for mask, box, size in zip(masks, boxes.values(), sizes, strict=False):
        rows, columns = (mask[0].any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        starts = [box[0] - 1, box[1] - 1, box[2], box[3]]  # VOC counts from 1
        assert np.abs(np.array(found) - np.array(starts) * 64 / np.array([*size, *size])).max() <= 0.5
        assert 0 <= len(rows) * len(columns) - mask.sum() <= 4, "a box, perhaps without its corners"

    clean = inpaint(images, masks)
    changed = (clean != images).any(dim=1, keepdim=True)
    assert not (changed & ~masks).any()
    for before, after, change, mask in zip(images, clean, changed, masks[:8], strict=False):
        assert change[mask].float().mean() > 0.8
        assert roughness(after, mask) < roughness(before, mask) / 3


# By name


@pytest.mark.parametrize("name", NATURAL)
@pytest.mark.parametrize("chain", ["{}+jpeg", "jpeg+{}", "{0}+{0}"])
def test_what_is_found_is_in_no_chain(name, chain):
    chain = chain.format(name)
    for use in (check_artifact, lambda names: make_artifact(names, {})):
        with pytest.raises(InputError) as error:
            use(chain)
        assert str(error.value) == (
            f"'{name}' is found on images, not planted, so it can't be used in '{chain}'; name it alone"
        )


def test_an_artifact_is_found_or_planted_by_its_name():
    options = {"region": {"width": 0.5, "height": 0.5}, "jpeg": {"quality": 50}}
    assert make_artifact("region", options) == Region(width=0.5, height=0.5)
    assert make_artifact("jpeg", options) == Jpeg(quality=50)
    assert make_artifact("jpeg+frame", options) == Chain((Jpeg(quality=50), Frame()))
    assert not set(NATURAL) & set(PROBES)
    with pytest.raises(InputError, match="region has no option 'size'"):
        make_artifact("region", {"region": {"size": 1}})
    with pytest.raises(InputError, match="unknown probe 'regoin'"):
        make_artifact("regoin", {})


@pytest.mark.parametrize("name", [*NATURAL, *PROBES, "jpeg+frame"])
def test_what_is_registered_can_be_named(name):
    check_artifact(name)
