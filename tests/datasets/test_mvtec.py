import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets import DATASETS, DataRequest
from fcdd_audit.datasets.mvtec import CATEGORIES

MVTEC = DATASETS["mvtec"]()


@pytest.fixture
def category(tmp_path, paint):
    """Makes a category of 10 good training pictures, 3 good ones to test, and 4 of each defect with masks."""

    def make(name, defects=("cut", "hole"), below="", count=4):
        base = tmp_path / below / name
        for part, number in (("train/good", 10), ("test/good", 3)):
            for i in range(number):
                paint(base / part / f"{i:03d}.png", size=(24, 24))
        for defect in defects:
            for i in range(count):
                paint(base / "test" / defect / f"{i:03d}.png", size=(24, 24))
                mask = np.zeros((24, 24), np.uint8)
                mask[4 + i, 4:8] = 255
                path = base / "ground_truth" / defect / f"{i:03d}_mask.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(path)
        return base

    return make


def load(root, **request):
    return MVTEC.load(DataRequest(**{"data_root": root, "image_size": 24, "oe_limit": 12, **request}))


def said(data):
    return " ".join(data.notes)


@pytest.mark.parametrize("below", ["", "mvtec", "mvtec_anomaly_detection"])
def test_categories_are_the_folders_with_train_good(tmp_path, category, below):
    category("leather", below=below)
    category("bolt", below=below)
    (tmp_path / below / "readme").mkdir()
    assert MVTEC.classes(tmp_path) == ("bolt", "leather")
    assert MVTEC.missing(tmp_path) is None
    assert load(tmp_path).nominal_class == "bolt"
    assert load(tmp_path, nominal_class="leather").nominal_class == "leather"


def test_a_category_without_training_images_is_enough_if_only_test_images_are_wanted(tmp_path, category):
    shutil.rmtree(category("leather") / "train")
    assert MVTEC.classes(tmp_path) == ("leather",)
    data = load(tmp_path, test_only=True, oe_limit=None)
    assert [len(images) for images in data.parts().values()] == [0, 0, 0, 3, 8]
    with pytest.raises(InputError, match="neither train/nominal nor train/good"):
        load(tmp_path)


def test_without_data_the_15_categories_are_known(tmp_path):
    assert MVTEC.classes(None) == MVTEC.classes(tmp_path) == CATEGORIES
    assert len(CATEGORIES) == 15


def test_the_parts(tmp_path, category):
    category("leather")
    data = load(tmp_path)
    assert {part: len(images) for part, images in data.parts().items()} == {
        "train_nominal": 8,
        "train_anomalous": 12,
        "validation": 2,
        "test_nominal": 3,
        "test_anomalous": 8,
    }
    assert data.test_anomalous.masks.flatten(1).sum(1).tolist() == [4] * 8
    assert data.train_anomalous.masks is None
    assert "12 nominal training images with confetti" in said(data)
    assert load(tmp_path, confetti_mask="blob").train_anomalous.masks is not None


def test_a_hidden_folder_is_no_category(tmp_path, category):
    category("leather")
    category(".trash")
    assert MVTEC.classes(tmp_path) == ("leather",)


def test_the_default_size_is_224_px(tmp_path, category):
    category("leather")
    assert load(tmp_path, image_size=None, oe="none").shape == (3, 224, 224)


@pytest.mark.parametrize("count", [1, 3])
def test_images_with_masks_move_to_training_and_out_of_the_test(tmp_path, category, count):
    category("leather")
    data = load(tmp_path, masks_per_defect=count)
    learnt, tested = data.train_anomalous, data.test_anomalous
    assert len(learnt) == 2 * count
    assert len(tested) == 8 - 2 * count
    assert [sum(f"test/{d}/" in name for name in learnt.names) for d in ("cut", "hole")] == [count] * 2
    everything = {f"test/{d}/{i:03d}.png" for d in ("cut", "hole") for i in range(4)}
    assert {*learnt.names, *tested.names} == everything
    for images in (learnt, tested):
        rows = [int(mask[0].any(dim=1).nonzero()[0]) for mask in images.masks]
        assert rows == [4 + int(name[-7:-4]) for name in images.names], "each with its own mask"
    assert f"{2 * count} anomalous images with masks are trained on instead of outlier exposure" in said(data)
    assert load(tmp_path, masks_per_defect=count).train_anomalous.names == learnt.names


def test_only_images_with_masks_are_moved(tmp_path, category):
    base = category("leather", defects=("cut",))
    for i in (0, 1, 2):
        (base / f"ground_truth/cut/{i:03d}_mask.png").unlink()
    data = load(tmp_path, masks_per_defect=1)
    assert data.train_anomalous.names == ("test/cut/003.png",)


@pytest.mark.parametrize("count", [4, 5])
def test_too_many_masks_are_refused(tmp_path, category, refused, count):
    category("leather")
    with refused(f"masks per defect is {count}", "'cut' there are 4 test images, 4 with masks", "lower"):
        load(tmp_path, masks_per_defect=count)


def test_too_few_masks_are_counted(tmp_path, category, refused):
    base = category("leather")
    for i in range(3):
        (base / f"ground_truth/hole/{i:03d}_mask.png").unlink()
    with refused("'hole' there are 4 test images, 1 with masks"):
        load(tmp_path, masks_per_defect=2)


def test_all_training_images_corrupt(tmp_path, category, refused):
    base = category("leather")
    for path in (base / "train/good").iterdir():
        path.write_bytes(b"x")
    with refused("0 images in train nominal"):
        load(tmp_path, skip_corrupt=True)


def test_what_is_missing_is_said(tmp_path, refused):
    for root, where in ((None, "--data-root"), (tmp_path, str(tmp_path)), (tmp_path / "gone", "gone")):
        with refused("MVTec AD", where, "<category>/train/good", "mvtec.com", "CC BY-NC-SA"):
            load(root)
    assert MVTEC.missing(None) == "give --data-root DIR"
    assert str(tmp_path) in MVTEC.missing(tmp_path)


def test_a_packed_archive_must_be_unpacked(tmp_path, refused):
    (tmp_path / "mvtec_anomaly_detection.tar.xz").touch()
    with refused("'mvtec_anomaly_detection.tar.xz' must be unpacked first"):
        load(tmp_path)


def test_a_single_category_is_recognised(category, refused):
    base = category("leather")
    with refused("single category", "--dataset folder"):
        load(base)


def test_a_category_that_is_not_there(tmp_path, category, refused):
    category("leather")
    with refused("bottle", "is no folder"):
        load(tmp_path, nominal_class="bottle")


def test_outlier_exposure_beside_labelled_anomalies_is_refused_and_not_ignored(tmp_path, category):
    category("leather")
    with pytest.raises(InputError, match="'--oe photos' can't be used; drop one"):
        load(tmp_path, masks_per_defect=1, oe="photos")


@pytest.mark.parametrize("channels", [None, 3])
def test_grey_pictures_get_the_channels_that_are_asked_for(tmp_path, category, channels):
    base = category("grid")
    for path in base.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    assert load(tmp_path, channels=channels).shape[0] == (channels or 1)


def test_categories_that_cannot_be_read_are_said(tmp_path, category, caplog):
    category("leather")
    (tmp_path / "bolt").symlink_to("gone")
    assert MVTEC.classes(tmp_path) == ("leather",)
    line = (
        "1 file or folder of categories beside this one can't be read: bolt: a link whose target isn't there"
    )
    assert f"{line}." in load(tmp_path).notes
    assert caplog.messages == [f"'{tmp_path}': {line}"]


def test_a_data_root_that_may_not_be_looked_at_is_said(tmp_path, category, monkeypatch, refused):
    category("leather")

    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", denied)
    line = f"can't look at '{tmp_path}': Permission denied; see to the permissions"
    assert MVTEC.missing(tmp_path) == line
    with refused(line):
        load(tmp_path)
