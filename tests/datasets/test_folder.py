import csv
import shutil
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets import DATASETS, DataRequest
from fcdd_audit.datasets.folder import list_folder

SIZE = 12


def picture(path, value=None, size=(20, 12), mode="L"):
    """A noisy picture, or one of one value, at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    seed = zlib.crc32("/".join(path.parts[-3:]).encode())
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(noise if value is None else np.full(shape, value, np.uint8)).save(path)


def mask(path, row, size=(20, 12)):
    """A mask of one row of pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[row] = 255
    Image.fromarray(pixels).save(path)


def own_layout(root, mode="L", train=10):
    for part, count in (("train/nominal", train), ("test/nominal", 3), ("test/anomalous", 4)):
        for i in range(count):
            picture(root / part / f"{i:02d}.png", mode=mode)
    return root


def mvtec_layout(root):
    for part, count in (("train/good", 10), ("test/good", 3), ("test/cut", 2), ("test/hole", 2)):
        for i in range(count):
            picture(root / part / f"{i:03d}.png")
    return root


def load(root, **request):
    return DATASETS["folder"]().load(
        DataRequest(**{"data_root": root, "image_size": SIZE, "oe": "none", **request})
    )


def said(data):
    return " ".join(data.notes)


# Layouts


def test_the_own_layout_is_read_part_by_part(tmp_path):
    root = own_layout(tmp_path / "tiles")
    picture(root / "train/anomalous/x.png")
    data = load(root, oe=None)
    assert (data.name, data.nominal_class, data.shape) == ("folder", "tiles", (1, SIZE, SIZE))
    assert {part: len(images) for part, images in data.parts().items()} == {
        "train_nominal": 8,
        "train_anomalous": 1,
        "validation": 2,
        "test_nominal": 3,
        "test_anomalous": 4,
    }
    assert data.train_anomalous.names == ("train/anomalous/x.png",)
    assert data.test_anomalous.names == tuple(f"test/anomalous/{i:02d}.png" for i in range(4))
    assert data.test_anomalous.masks is None
    assert data.fit == "squash"


def test_labelled_anomalies_are_no_outlier_exposure(tmp_path):
    root = mvtec_layout(tmp_path)
    mask(root / "ground_truth/cut/000_mask.png", row=0)
    mask(root / "ground_truth/hole/000_mask.png", row=0)
    assert load(root).outlier_exposure, "none is still no label"
    assert load(root, oe="photos", oe_limit=3).outlier_exposure
    assert not load(root, oe=None, masks_per_defect=1).outlier_exposure
    picture(root / "train/anomalous/x.png")
    assert not load(root, oe=None).outlier_exposure
    assert load(root, oe="photos", oe_limit=3).outlier_exposure, "which takes its place"


def test_validation_is_a_fifth_of_the_training_images_and_none_of_them_is_trained_on(tmp_path):
    data = load(own_layout(tmp_path, train=50))
    assert (len(data.train_nominal), len(data.validation)) == (40, 10)
    names = data.train_nominal.names + data.validation.names
    assert sorted(names) == [f"train/nominal/{i:02d}.png" for i in range(50)]
    assert data.validation.names != names[:10]
    assert load(tmp_path).fingerprint() == data.fingerprint()


def test_a_name_goes_with_its_pixels(tmp_path):
    root = own_layout(tmp_path)
    for i in range(10):
        picture(root / f"train/nominal/{i:02d}.png", value=i * 20)
    data = load(root)
    for images in (data.train_nominal, data.validation):
        for name, pixels in zip(images.names, images.images, strict=True):
            assert (pixels == int(name[-6:-4]) * 20).all()


def test_images_of_any_size_and_format_become_squares(tmp_path):
    root = own_layout(tmp_path)
    picture(root / "test/nominal/wide.jpg", value=77, size=(90, 7))
    picture(root / "test/nominal/deeper/small.bmp", value=99, size=(3, 5))
    data = load(root)
    values = {
        name: int(pixels[0, 6, 6])
        for name, pixels in zip(data.test_nominal.names, data.test_nominal.images, strict=True)
    }
    assert values["test/nominal/wide.jpg"] == 77
    assert values["test/nominal/deeper/small.bmp"] == 99


def test_the_default_size_is_64_px(tmp_path):
    assert load(own_layout(tmp_path), image_size=None).shape == (1, 64, 64)


def test_mvtec_defects_are_all_anomalous_and_keep_their_name(tmp_path):
    data = load(mvtec_layout(tmp_path))
    assert data.test_nominal.names == tuple(f"test/good/{i:03d}.png" for i in range(3))
    expected = ("test/cut/000.png", "test/cut/001.png", "test/hole/000.png", "test/hole/001.png")
    assert data.test_anomalous.names == expected


def widths(images):
    """The original width of each image, by the number in its name."""
    numbers = [int(name.rsplit("/")[-1].split(".")[0]) for name in images.names]
    return dict(zip(numbers, [origin.width for origin in images.origins], strict=True))


def test_every_part_keeps_where_its_images_come_from(tmp_path):
    for part, count in (("train/good", 10), ("train/anomalous", 3), ("test/good", 3), ("test/cut", 4)):
        for i in range(count):
            picture(tmp_path / part / f"{i:03d}.png", size=(20 + i, 12))
    mask(tmp_path / "ground_truth/cut/000_mask.png", row=0)
    mask(tmp_path / "ground_truth/cut/002_mask.png", row=0)
    for request in ({}, {"oe": None}, {"masks_per_defect": 1}):
        data = load(tmp_path, **request)
        for part, images in data.parts().items():
            if len(images):
                assert widths(images) == {i: 20 + i for i in widths(images)}, (part, request)
    assert len(data.train_anomalous) == 1, "a labelled anomaly"
    assert data.train_anomalous.masks.any()


# Masks


def rows(data):
    """The marked rows of each anomalous test image, by its name."""
    masks = data.test_anomalous.masks
    assert masks.dtype == torch.bool
    assert masks.shape == (len(data.test_anomalous), 1, *data.shape[1:])
    return {
        name: m[0].any(dim=1).nonzero().flatten().tolist()
        for name, m in zip(data.test_anomalous.names, masks, strict=True)
    }


def test_masks_of_the_own_layout_belong_to_the_image_of_the_same_name(tmp_path):
    root = own_layout(tmp_path)
    picture(root / "test/anomalous/deep/00.png")
    mask(root / "masks/00.png", row=0)
    mask(root / "masks/02.bmp", row=6)
    mask(root / "masks/deep/00.png", row=11)
    data = load(root)
    assert rows(data) == {
        "test/anomalous/00.png": [0],
        "test/anomalous/01.png": [],
        "test/anomalous/02.png": [6],
        "test/anomalous/03.png": [],
        "test/anomalous/deep/00.png": [11],
    }
    assert "3 of 5 test/anomalous images have masks" in said(data)


def test_mvtec_masks_belong_to_the_image_of_their_defect(tmp_path):
    root = mvtec_layout(tmp_path)
    mask(root / "ground_truth/cut/000_mask.png", row=0)
    mask(root / "ground_truth/hole/000_mask.png", row=6)
    mask(root / "ground_truth/hole/777_mask.png", row=3)  # of no image
    expected = {"cut/000": [0], "cut/001": [], "hole/000": [6], "hole/001": []}
    assert rows(load(root)) == {f"test/{name}.png": marked for name, marked in expected.items()}


def test_an_image_whose_own_name_ends_in_mask_keeps_its_mask(tmp_path):
    root = own_layout(tmp_path)
    picture(root / "test/anomalous/face_mask.png")
    mask(root / "masks/face_mask.png", row=0)
    assert rows(load(root))["test/anomalous/face_mask.png"] == [0]


def test_masks_that_match_no_image_are_mentioned(tmp_path):
    root = own_layout(tmp_path)
    mask(root / "masks/misnamed.png", row=0)
    assert "mask" in said(load(root))


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_corrupt_mask_is_named(tmp_path, content):
    root = own_layout(tmp_path)
    mask(root / "masks/01.png", row=0)
    (root / "masks/01.png").write_bytes(content)
    with pytest.raises(InputError, match=r"masks/01\.png"):
        load(root)


def labels(path, *values, size=(64, 48)):
    """A JPEG mask with an area of 24 x 24 px of each value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), np.uint8)
    for i, value in enumerate(values):
        pixels[8:32, 8 + 24 * i : 32 + 24 * i] = value
    Image.fromarray(pixels).save(path, quality=95)


def test_jpeg_masks_of_labels_mark_all_labels(tmp_path):
    root = own_layout(tmp_path)
    for i, values in enumerate(((1,), (1, 2), (255,))):
        labels(root / f"masks/{i:02d}.jpg", *values)
    data = load(root)
    assert list(rows(data).values()) == [[2, 3, 4, 5, 6, 7], [2, 3, 4, 5, 6, 7], [2, 3, 4, 5, 6, 7], []]
    assert "3 of 4 test/anomalous images have masks." in data.notes
    assert "mark" not in said(data)


def test_masks_that_mark_nothing_or_nearly_everything_are_named_and_the_empty_ones_not_used(tmp_path):
    root = own_layout(tmp_path)
    labels(root / "masks/00.jpg")
    labels(root / "masks/01.jpg", 255)
    Image.fromarray(np.full((12, 20), 255, np.uint8)).save(root / "masks/02.png")
    data = load(root)
    assert "2 of 4 test/anomalous images have masks." in data.notes
    assert "1 of 3 masks mark nothing and are not used: masks/00.jpg." in data.notes
    assert "1 of 3 masks mark more than 95% of their image: masks/02.png." in data.notes
    with pytest.raises(InputError, match="4 test images, 2 with masks"):
        load(root, oe=None, masks_per_defect=3)


def test_if_all_masks_are_empty_there_are_none(tmp_path):
    root = own_layout(tmp_path)
    labels(root / "masks/00.jpg")
    data = load(root)
    assert data.test_anomalous.masks is None
    assert "masks/00.jpg" in said(data)


def test_a_mask_is_turned_along_with_a_photo_that_lies_on_its_side(tmp_path):
    root = own_layout(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise: the upper row is the right column
    Image.fromarray(np.zeros((12, 24), np.uint8)).save(root / "test/anomalous/00.png", exif=exif)
    mask(root / "masks/00.png", row=0, size=(24, 12))
    found = load(root).test_anomalous.masks[0, 0]
    assert found.nonzero().tolist() == [[row, SIZE - 1] for row in range(SIZE)]


# Hidden files


def test_hidden_files_are_not_trained_on_and_counted(tmp_path):
    root = own_layout(tmp_path)
    mask(root / "masks/00.png", row=0)
    data = load(root)
    for name in (
        "train/nominal/.ipynb_checkpoints/00-checkpoint.png",
        "train/nominal/._00.png",
        "train/.trash/x.png",
        "test/nominal/._01.png",
        "test/.ipynb_checkpoints/02-checkpoint.png",
        "test/anomalous/.git/x.png",
        "masks/.ipynb_checkpoints/00-checkpoint.png",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no picture")
    again = load(root)
    assert again.fingerprint() == data.fingerprint()
    assert again.notes == ("6 hidden files were left out.", *data.notes), "train/.trash is no part of it"


# Depth


def deep(path, value):
    """A picture of 16 bits with one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 20), value, np.uint16)).save(path)


def deep_layout(root, highest=3000):
    for part, count in (("train/nominal", 10), ("test/nominal", 3), ("test/anomalous", 4)):
        for i in range(count):
            deep(root / part / f"{i:02d}.png", 100 * i)
    deep(root / "test/anomalous/99.png", highest)
    return root


def test_files_of_12_bits_are_not_read_as_of_16(tmp_path):
    data = load(deep_layout(tmp_path))
    for images in data.parts().values():
        for name, pixels in zip(images.names, images.images, strict=True):
            value = 3000 if "99" in name else 100 * int(name[-6:-4])
            assert pixels.unique().tolist() == [round(value * 255 / 4095)]
    (note,) = data.notes[:1]
    assert "channel is 3000 (of 'test/anomalous/99.png')" in note
    assert "12 bits (another is given with --bit-depth): 4095 is white" in note


def test_a_bit_depth_overrides(tmp_path):
    root = deep_layout(tmp_path)
    data = load(root, bit_depth=14)
    assert data.test_anomalous.images[-1].unique().tolist() == [round(3000 * 255 / 16383)]
    assert "14 bits, as asked" in said(data)
    with pytest.raises(InputError, match=r"'test/anomalous/99.png' reach 3000; raise --bit-depth to 12"):
        load(root, bit_depth=10, skip_corrupt=True)
    with pytest.raises(InputError, match="bit depth is 20; give"):
        load(root, bit_depth=20)


def test_training_images_decide_on_the_depth_of_test_images_too(tmp_path):
    root = deep_layout(tmp_path, highest=700)
    deep(root / "train/nominal/10.png", 4000)
    (root / "train/nominal/11.png").write_bytes(b"no picture")  # isn't wanted
    data = load(root, oe=None, test_only=True)
    assert data.test_anomalous.images[-1].unique().tolist() == [round(700 * 255 / 4095)]
    shutil.rmtree(root / "train")
    data = load(root, oe=None, test_only=True)
    assert data.test_anomalous.images[-1].unique().tolist() == [round(700 * 255 / 1023)]


def test_outlier_exposure_from_elsewhere_has_its_own_depth(tmp_path):
    deep(tmp_path / "others/a.png", 65535)
    deep(tmp_path / "others/b.png", 32768)
    data = load(deep_layout(tmp_path / "set"), oe=str(tmp_path / "others"), bit_depth=12)
    assert data.train_anomalous.images.flatten(1)[:, 0].tolist() == [255, 128]
    assert data.test_anomalous.images[-1].unique().tolist() == [187]  # 3000 / 4095 * 255
    assert "65535 (of 'a.png'); they are read with a depth of 16 bits: 65535 is white." in said(data)


def test_the_folders_own_anomalies_have_its_depth(tmp_path):
    root = deep_layout(tmp_path, highest=700)
    deep(root / "train/anomalous/00.png", 4000)
    for request in ({"oe": None}, {"oe": "none"}):
        data = load(root, **request)
        assert data.test_anomalous.images[-1].unique().tolist() == [round(700 * 255 / 4095)], request


# Grey and colour


@pytest.mark.parametrize("oe", ["none", "photos"])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_grey_folder_stays_grey_and_a_colour_folder_in_colour(tmp_path, mode, channels, oe):
    data = load(own_layout(tmp_path, mode), oe=oe)
    assert {images.images.shape[1:] for images in data.parts().values()} == {(channels, SIZE, SIZE)}


def test_the_nominal_training_images_decide_for_all(tmp_path):
    root = own_layout(tmp_path)
    picture(root / "test/nominal/colour.png", mode="RGB")
    assert load(root).shape[0] == 1
    picture(root / "train/nominal/colour.png", mode="RGB")
    data = load(root)
    assert data.shape[0] == 3
    assert (data.test_anomalous.images[:, 0] == data.test_anomalous.images[:, 1]).all(), "grey, in colour"


# Outlier exposure


def test_without_training_anomalies_photos_are_the_outlier_exposure(tmp_path):
    root = own_layout(tmp_path)
    data = load(root, oe=None)
    assert len(data.train_anomalous) == 512
    assert data.train_anomalous.images.float().std() > 10
    assert "photos" in said(data)
    assert load(root, oe="photos").fingerprint() == data.fingerprint()


def test_own_training_anomalies_yield_to_what_is_asked_for(tmp_path):
    root = own_layout(tmp_path)
    picture(root / "train/anomalous/x.png")
    picture(tmp_path.parent / "others/y.png")
    assert "train/anomalous" in said(load(root, oe=None))
    assert len(load(root, oe="none").train_anomalous) == 0
    assert len(load(root, oe="photos").train_anomalous) == 512
    assert load(root, oe=str(tmp_path.parent / "others")).train_anomalous.names == ("y.png",)


def test_a_folder_of_outliers_is_squeezed_like_the_rest(tmp_path):
    for i in range(3):
        picture(tmp_path / f"outliers/a/{i}.png", value=50 + i, size=(31, 9), mode="RGB")
    data = load(own_layout(tmp_path / "set"), oe=str(tmp_path / "outliers"))
    assert data.train_anomalous.names == ("a/0.png", "a/1.png", "a/2.png")
    assert data.train_anomalous.images[:, 0, 6, 6].tolist() == [50, 51, 52]
    assert "3 images of folder 'outliers'" in said(data)


def test_skipped_outliers_are_not_counted_as_used(tmp_path):
    picture(tmp_path / "outliers/0.png")
    (tmp_path / "outliers/1.png").write_bytes(b"x")
    data = load(own_layout(tmp_path / "set"), oe=str(tmp_path / "outliers"), skip_corrupt=True)
    assert len(data.train_anomalous) == 1
    assert "2 images of folder" not in said(data)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.touch()])
def test_outlier_exposure_that_holds_no_images_is_refused(tmp_path, make):
    make(tmp_path / "outliers")
    with pytest.raises(InputError, match=r"outliers' (is neither a source .* nor a folder|has no images)"):
        load(own_layout(tmp_path / "set"), oe=str(tmp_path / "outliers"))


def test_empty_text_is_no_outlier_exposure_folder(tmp_path, monkeypatch):
    picture(tmp_path / "here/x.png")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match="outlier exposure"):
        load(own_layout(tmp_path / "set"), oe="")


# Bad folders


def test_a_folder_must_be_given():
    with pytest.raises(InputError, match="--data-root"):
        DATASETS["folder"]().load(DataRequest())


def test_a_missing_folder_or_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        with pytest.raises(InputError, match=f"{name}' is no folder"):
            load(tmp_path / name)


def test_an_empty_folder_is_told_the_layout(tmp_path):
    with pytest.raises(InputError, match=r"train/nominal nor train/good; expected .*ground_truth"):
        load(tmp_path)


@pytest.mark.parametrize("part", ["train/nominal", "test/nominal", "test/anomalous", "test"])
@pytest.mark.parametrize("emptied", [True, False], ids=["empty", "missing"])
def test_a_part_without_images_is_named(tmp_path, part, emptied):
    root = own_layout(tmp_path)
    shutil.rmtree(root / part)
    if emptied:
        (root / part).mkdir()
        (root / part / "readme.txt").touch()
    with pytest.raises(InputError) as error:
        load(root)
    assert part in str(error.value).split(";")[0]


def test_the_parts_of_mvtec_are_named_in_its_own_words(tmp_path):
    root = mvtec_layout(tmp_path)
    shutil.rmtree(root / "test/good")
    with pytest.raises(InputError) as error:
        load(root)
    assert "test/good" in str(error.value).split(";")[0]


def test_too_few_images_are_counted(tmp_path):
    with pytest.raises(InputError, match="train nominal; an audit needs at least 8"):
        load(own_layout(tmp_path, train=9))  # two of them are for validation
    assert len(load(own_layout(tmp_path, train=10)).train_nominal) == 8


@pytest.mark.parametrize("part", ["train/nominal", "test/nominal", "test/anomalous", "train/anomalous"])
def test_a_corrupt_image_is_named_or_skipped_and_noted(tmp_path, part):
    root = own_layout(tmp_path, train=12)
    picture(root / "train/anomalous/00.png")
    picture(root / "train/anomalous/01.png")
    (root / part / "01.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=rf"{part}/01\.png.*--skip-corrupt"):
        load(root, oe=None)
    data = load(root, oe=None, skip_corrupt=True)
    names = [name for images in data.parts().values() for name in images.names]
    assert len(names) == 12 + 3 + 4 + 2 - 1
    assert f"{part}/01.png" not in names
    assert f"1 corrupt {part} image skipped: {part}/01.png" in said(data)


def test_corrupt_images_of_all_parts_are_counted_over_the_whole_folder(tmp_path):
    root = own_layout(tmp_path, train=13)
    for name in ("train/nominal/03.png", "test/nominal/01.png", "test/anomalous/02.png"):
        (root / name).write_bytes(b"no picture")
    with pytest.raises(InputError) as error:
        load(root)
    assert str(error.value).startswith(
        "3 of 20 images can't be decoded (1 of 13 train/nominal, 1 of 3 test/nominal, "
        "1 of 4 test/anomalous): train/nominal/03.png: no picture; "
    )


def test_masks_still_fit_when_images_before_them_are_skipped(tmp_path):
    root = own_layout(tmp_path)
    mask(root / "masks/00.png", row=0)
    mask(root / "masks/02.png", row=6)
    (root / "test/anomalous/00.png").write_bytes(b"no picture")
    assert rows(load(root, skip_corrupt=True)) == {
        "test/anomalous/01.png": [],
        "test/anomalous/02.png": [6],
        "test/anomalous/03.png": [],
    }


def test_skipping_can_leave_too_few(tmp_path):
    root = own_layout(tmp_path)
    for path in (root / "train/nominal").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(InputError, match="0 images in train nominal"):
        load(root, skip_corrupt=True)


# Test images only


@pytest.mark.parametrize("layout", [own_layout, mvtec_layout])
def test_without_training_images_the_test_images_are_enough_if_only_they_are_wanted(tmp_path, layout):
    whole = load(layout(tmp_path))
    shutil.rmtree(tmp_path / "train")
    data = load(tmp_path, oe=None, test_only=True)
    assert data.shape == (1, SIZE, SIZE)
    assert [len(images) for images in data.parts().values()] == [0, 0, 0, 3, 4]
    assert data.fingerprint() != whole.fingerprint()
    assert data.test_nominal.content() == whole.test_nominal.content()
    assert data.test_anomalous.content() == whole.test_anomalous.content()
    with pytest.raises(InputError, match="neither train/nominal nor train/good"):
        load(tmp_path)


@pytest.mark.parametrize("layout", [own_layout, mvtec_layout])
def test_of_training_images_only_those_held_out_are_read_if_tests_alone_are_wanted(tmp_path, layout):
    """The same that a training would hold out; but a detector from elsewhere may have seen them."""
    whole = load(layout(tmp_path))
    data = load(tmp_path, oe=None, test_only=True)
    assert [len(images) for images in data.parts().values()] == [0, 0, 2, 3, 4]
    for part in ("validation", "test_nominal", "test_anomalous"):
        assert data.parts()[part].content() == whole.parts()[part].content()
    assert "The threshold is from 2 images of train/nominal: where the detector was trained on them" in said(
        data
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("layout", "folder"), [(own_layout, "validation/nominal"), (mvtec_layout, "validation/good")]
)
def test_validation_images_of_their_own_are_read_beside_tests(tmp_path, layout, folder, training):
    layout(tmp_path)
    for index in range(5):
        picture(tmp_path / folder / f"{index}.png")
    whole = load(tmp_path)
    assert [len(images) for images in whole.parts().values()] == [10, 0, 5, 3, 4], "none is held out then"
    if not training:
        shutil.rmtree(tmp_path / "train")
    data = load(tmp_path, oe=None, test_only=True)
    assert [len(images) for images in data.parts().values()] == [0, 0, 5, 3, 4]
    assert data.validation.names == tuple(f"{folder}/{index}.png" for index in range(5))
    assert data.validation.content() == whole.validation.content()
    assert "The threshold is from" not in said(data)


def test_validation_images_that_are_test_images_too_are_said(tmp_path):
    root = own_layout(tmp_path)
    shutil.rmtree(root / "train")
    shutil.copytree(root / "test/nominal", root / "validation/nominal")
    data = load(root, oe=None, test_only=True)
    assert "3 of 7 test images, as decoded, are also among the training or validation images" in said(data)


def test_the_test_images_decide_on_colour_if_nothing_else_is_asked_for(tmp_path):
    grey, coloured = own_layout(tmp_path / "grey"), own_layout(tmp_path / "coloured", mode="RGB")
    for root in (grey, coloured):
        shutil.rmtree(root / "train")
    assert load(grey, oe=None, test_only=True).shape[0] == 1
    assert load(coloured, oe=None, test_only=True).shape[0] == 3
    assert load(grey, oe=None, test_only=True, channels=3).shape[0] == 3


def test_masks_of_test_images_are_read_and_those_that_were_trained_on_left_out(tmp_path):
    root = own_layout(tmp_path)
    shutil.rmtree(root / "train")
    mask(root / "masks/00.png", row=0)
    mask(root / "masks/02.png", row=6)
    data = load(root, oe=None, test_only=True)
    assert rows(data)["test/anomalous/02.png"] == [6]
    data = load(root, oe=None, test_only=True, masks_per_defect=1)
    assert len(data.test_anomalous) == 3
    assert "1 anomalous images with masks are left out" in said(data)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("test", "neither test/nominal nor test/good; expected test/nominal and test/anomalous"),
        ("test/anomalous", "no test/anomalous images"),
    ],
)
def test_missing_test_images_are_named(tmp_path, missing, message):
    shutil.rmtree(own_layout(tmp_path) / missing)
    with pytest.raises(InputError, match=message):
        load(tmp_path, oe=None, test_only=True)


def test_outlier_exposure_has_no_use_without_training(tmp_path):
    with pytest.raises(InputError, match="nothing is trained, and '--oe photos' can't be used; drop it"):
        load(own_layout(tmp_path), oe="photos", test_only=True)


# Real images


def linked(paths, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())


def test_magnetic_tiles_load_with_their_defects_masks(tmp_path, real_images):
    source = real_images / "magnetic_tile"
    if not source.is_dir():
        pytest.skip("no magnetic_tile among the real images: a grey folder with masks isn't tested")
    free = sorted((source / "images/free").iterdir())
    linked(free[:20], tmp_path / "train/nominal")
    linked(free[20:25], tmp_path / "test/nominal")
    with (source / "index.csv").open() as file:
        shares = {row["file"]: float(row["mask_frac"]) for row in csv.DictReader(file) if row["mask"]}
    expected = {}
    for kind in ("blowhole", "crack", "uneven"):
        defects = sorted((source / "images" / kind).iterdir())[:4]
        linked(defects, tmp_path / "test/anomalous" / kind)
        linked([source / "masks" / kind / f"{path.stem}.png" for path in defects], tmp_path / "masks" / kind)
        expected |= {f"test/anomalous/{kind}/{p.name}": shares[f"images/{kind}/{p.name}"] for p in defects}
    data = load(tmp_path, image_size=64)
    assert data.shape == (1, 64, 64)
    assert data.test_anomalous.names == tuple(expected)
    assert "12 of 12 test/anomalous images have masks" in said(data)
    found = data.test_anomalous.masks.float().mean(dim=(1, 2, 3)).tolist()
    for name, share, true in zip(expected, found, expected.values(), strict=True):
        # Cells count whole that the defect only touches: small ones grow, none shrinks.
        assert 0.9 * true <= share <= 1.5 * true + 0.02, name
        assert (share > 0) == (true > 0), name


def test_the_mvtec_sample_has_11_defects_with_masks_and_too_few_images_to_train_on(tmp_path, real_images):
    source = real_images / "mvtec_leather_sample"
    if not source.is_dir():
        pytest.skip("no mvtec_leather_sample among the real images: MVTec's own files aren't tested")
    listing = list_folder(source)
    assert [
        len(files) for files in (listing.train_nominal, listing.test_nominal, listing.test_anomalous)
    ] == [4, 4, 20]
    assert len(listing.masks) == 11
    for path, its_mask in listing.masks.items():
        assert its_mask.parent.name == path.parent.name
        assert its_mask.stem == f"{path.stem}_mask"
    with pytest.raises(InputError, match="train nominal; an audit needs at least 8"):
        load(source)

    shutil.copytree(source, tmp_path / "leather", symlinks=True)
    for path in listing.train_nominal + listing.test_nominal:
        shutil.copy(path, tmp_path / "leather/train/good" / f"more-{path.parent.parent.name}-{path.name}")
    data = load(tmp_path / "leather", image_size=64)
    assert data.shape == (3, 64, 64)
    assert sum(mask.any().item() for mask in data.test_anomalous.masks) == 11


def test_a_limit_on_outlier_exposure_that_is_not_used_is_refused(tmp_path):
    root = own_layout(tmp_path)
    picture(root / "train" / "anomalous" / "a.png")
    with pytest.raises(InputError, match="'--oe-limit 3' doesn't limit; drop it"):
        load(root, oe=None, oe_limit=3)


# Files that can't be read

LOST = {
    "a training image": ("train/nominal/lost.png", {}),
    "training anomalies": ("train/anomalous", {"oe": None}),
    "a folder of training images": ("train/nominal/more", {}),
    "a nominal test image": ("test/nominal/lost.tif", {}),
    "an anomalous test image": ("test/anomalous/lost.png", {}),
    "a kind of defect": ("test/hole", {}),
    "a mask": ("masks/00.png", {}),
    "a folder of masks": ("ground_truth/hole", {}),
    "all masks": ("ground_truth", {}),
    "a training image of a finished detector": ("train/nominal/lost.png", {"test_only": True, "oe": None}),
}


@pytest.mark.parametrize("case", LOST)
def test_a_link_without_a_target_is_refused_or_said_wherever_it_is(tmp_path, refused, caplog, case):
    name, request = LOST[case]
    root = own_layout(tmp_path / "tiles")
    mask(root / "masks/01.png", row=0)
    before = load(root, **request)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to(tmp_path / "gone")
    line = f"1 file or folder of 'tiles' can't be read: {name}: a link whose target isn't there"
    with refused(f"{line} - get their data (git annex get, dvc pull)", "--skip-corrupt"):
        load(root, **request)
    assert line in DATASETS["folder"]().missing(root)
    data = load(root, **request, skip_corrupt=True)
    assert f"Left out: {line}." in data.notes
    assert f"{line} - left out" in caplog.messages
    assert data.fingerprint() == before.fingerprint()


def test_if_nothing_was_pulled_it_is_said_so_and_not_that_nothing_is_there(tmp_path, refused):
    root = own_layout(tmp_path)
    for path in [*root.rglob("*.png")]:
        path.unlink()
        path.symlink_to(".git/annex/objects/gone")
    with refused("17 files or folders", "and 12 more"):
        load(root)
    with refused("has no train/nominal images"):
        load(root, skip_corrupt=True)
