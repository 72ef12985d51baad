import pytest

from fcdd_audit.datasets import DATASETS, DataRequest
from fcdd_audit.datasets.one_vs_rest import OneVsRest
from fcdd_audit.datasets.wordnet import ids_named

SETS = {name: kind for name, kind in DATASETS.items() if issubclass(kind, OneVsRest)}
OWN = {"cifar10-oe": "cifar10", "fmnist-oe": "fashion-mnist", "imagenet-oe": "imagenet"}
SIZE, TRAIN, TEST, EXPOSURE = 20, 20, 3, 4


@pytest.fixture(scope="module")
def root(tmp_path_factory, paint):
    """All three, with three classes each; and CIFAR-100."""
    root = tmp_path_factory.mktemp("data")
    for name, below in OWN.items():
        classes = [*SETS[name].names[:3]]
        if name == "imagenet-oe":
            classes = [ids_named(c)[0] for c in classes] + ["n01440764", "n01443537"]
        for folder in classes:
            for part, count in (("train", TRAIN), ("test", TEST)):
                for i in range(count):
                    paint(root / below / part / folder / f"{i:02d}.png", size=(30, 24))
    for name in ("apple", "bed"):
        for i in range(EXPOSURE):
            paint(root / "cifar100/train" / name / f"{i}.png")
    return root


def load(name, root, **request):
    return DATASETS[name]().load(DataRequest(**{"data_root": root, **request}))


def test_there_are_three():
    assert list(SETS) == list(OWN)
    assert [len(kind.names) for kind in SETS.values()] == [10, 10, 30]


@pytest.mark.parametrize("name", SETS)
def test_one_class_is_nominal_and_the_others_are_anomalous(root, name):
    kind = SETS[name]
    nominal, *others = kind.names[:3]
    data = load(name, root)
    assert (data.name, data.nominal_class) == (name, nominal)
    assert data.shape == (kind.channels, kind.size, kind.size)
    assert (data.outlier_exposure, data.fit) == (True, kind.fit)
    sizes = {part: len(images) for part, images in data.parts().items()}
    exposure = 2 * TRAIN if name == "imagenet-oe" else 2 * EXPOSURE
    assert sizes == {
        "train_nominal": TRAIN - 2,
        "train_anomalous": exposure,
        "validation": 2,
        "test_nominal": TEST,
        "test_anomalous": 2 * TEST,
    }
    source = kind()
    folders = {
        part: {n.split("/")[-2] for n in images.names}
        for part, images in data.parts().items()
        if part != "train_anomalous"
    }
    own, rest = source.class_id(nominal), {source.class_id(other) for other in others}
    assert folders.pop("test_anomalous") == rest
    assert folders == {part: {own} for part in ("train_nominal", "validation", "test_nominal")}
    assert not set(data.train_nominal.names) & set(data.validation.names)
    names = [n for images in data.parts().values() for n in images.names]
    assert len(set(names)) == len(names)
    assert not any("every number is too good" in note for note in data.notes)


@pytest.mark.parametrize("name", SETS)
def test_the_nominal_class_is_chosen(root, name):
    nominal = SETS[name].names[2]
    data = load(name, root, nominal_class=nominal, image_size=SIZE, oe="none")
    assert data.nominal_class == nominal
    assert data.shape[1:] == (SIZE, SIZE)
    own = SETS[name]().class_id(nominal)
    assert all(f"/{own}/" in n for n in data.test_nominal.names)
    assert not any(f"/{own}/" in n for n in data.test_anomalous.names)
    assert len(data.train_anomalous) == 0


@pytest.mark.parametrize("name", SETS)
def test_missing_classes_are_noted(root, name):
    notes = load(name, root, image_size=SIZE).notes
    (note,) = [note for note in notes if note.startswith("Not among the test images")]
    assert note.endswith(f": {', '.join(SETS[name].names[3:])}.")


@pytest.mark.parametrize("name", SETS)
def test_the_same_again(root, name):
    one = load(name, root, image_size=SIZE)
    assert one.fingerprint() == load(name, root, image_size=SIZE).fingerprint()
    other = load(name, root, image_size=SIZE, nominal_class=SETS[name].names[1])
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("name", SETS)
def test_a_class_that_is_not_there_has_too_few_images(root, name, refused):
    nominal = SETS[name].names[5]
    with refused(f"0 images of {nominal}; at least 10", "--nominal-class"):
        load(name, root, nominal_class=nominal)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("wrong", ["zebra", "tench", "SHIP", "3"])
def test_an_unknown_class_is_refused(root, name, wrong, refused):
    with refused(f"'{name}' has no class '{wrong}'", SETS[name].names[-1]):
        load(name, root, nominal_class=wrong)


def test_a_class_with_too_few_images(tmp_path, paint, refused):
    def fill(part, name, count):
        for i in range(count):
            paint(tmp_path / part / name / f"{i}.png")

    fill("train", "cat", 9)
    fill("test", "cat", 1)
    with refused("CIFAR-10 train has 9 images of cat; at least 10"):
        load("cifar10-oe", tmp_path, nominal_class="cat", oe="none")
    fill("train", "cat", 10)
    with refused("CIFAR-10 test has 1 images of cat; at least 2"):
        load("cifar10-oe", tmp_path, nominal_class="cat", oe="none")
    fill("test", "cat", 2)
    fill("test", "dog", 1)
    with refused("CIFAR-10 test has 1 images of any other class; at least 2"):
        load("cifar10-oe", tmp_path, nominal_class="cat", oe="none")
    fill("test", "frog", 1)
    data = load("cifar10-oe", tmp_path, nominal_class="cat", oe="none")
    assert [len(images) for images in data.parts().values()] == [9, 0, 1, 2, 2]


def test_imagenets_outliers_are_the_other_classes(root):
    data = load("imagenet-oe", root, image_size=SIZE)
    assert {name.split("/")[-2] for name in data.train_anomalous.names} == {"n01440764", "n01443537"}
    assert all(name.startswith("train/") for name in data.train_anomalous.names)
    (note,) = [note for note in data.notes if note.startswith("Left out of it")]
    assert {*note.rstrip(".").split(": ")[1].split(", ")} == {"acorn", "airliner", "ambulance"}


def test_imagenet_is_cut_and_the_others_are_squeezed(root):
    kinds = {name: kind.fit for name, kind in SETS.items()}
    assert kinds == {"cifar10-oe": "squash", "fmnist-oe": "squash", "imagenet-oe": "centre"}


@pytest.mark.parametrize("name", ["cifar10-oe", "fmnist-oe"])
def test_missing_default_outlier_exposure_is_said(root, tmp_path, name, refused):
    (tmp_path / OWN[name]).symlink_to(root / OWN[name], target_is_directory=True)
    with refused("CIFAR-100", "--download"):
        load(name, tmp_path)
    missing = DATASETS[name]().missing(tmp_path)
    assert missing.startswith("without --oe: CIFAR-100")
    assert "\n" not in missing
    assert DATASETS[name]().missing(root) is None
    assert len(load(name, tmp_path, oe="photos", oe_limit=10).train_anomalous) == 10


@pytest.mark.parametrize("name", SETS)
def test_missing_data_is_said(tmp_path, name, refused):
    source = SETS[name].source
    with refused("--data-root"):
        load(name, None)
    with refused(str(tmp_path)):
        load(name, tmp_path)
    assert DATASETS[name]().missing(None) == "give --data-root DIR", source
    assert str(tmp_path) in DATASETS[name]().missing(tmp_path)


@pytest.mark.parametrize("name", [*SETS, "voc-horse", "textures"])
def test_masks_of_defects_are_refused_where_there_are_none(root, name, refused):
    request = DataRequest(data_root=None if name == "textures" else root, masks_per_defect=2)
    with refused(f"'{name}' has no masks", "--masks-per-defect"):
        DATASETS[name]().load(request)


def test_corrupt_pictures_are_skipped_on_request(tmp_path, paint, refused):
    for part, count in (("train", 12), ("test", 3)):
        for name in ("cat", "dog"):
            for i in range(count):
                paint(tmp_path / part / name / f"{i:02d}.png")
    (tmp_path / "test/dog/01.png").write_bytes(b"x")
    request = {"nominal_class": "cat", "oe": "none"}
    with refused(
        "1 of 18 images can't be decoded (1 of 6 CIFAR-10 test)",
        "test/dog/01.png: no picture",
        "--skip-corrupt",
    ):
        load("cifar10-oe", tmp_path, **request)
    data = load("cifar10-oe", tmp_path, skip_corrupt=True, **request)
    assert len(data.test_anomalous) == 2
    assert "1 corrupt CIFAR-10 test image skipped: test/dog/01.png: no picture" in data.notes


def test_hidden_files_are_said(tmp_path, paint):
    for part, count in (("train", 12), ("test", 3)):
        for name in ("cat", "dog"):
            for i in range(count):
                paint(tmp_path / part / name / f"{i:02d}.png")
            paint(tmp_path / part / name / "._00.png")
    data = load("cifar10-oe", tmp_path, nominal_class="cat", oe="none")
    assert "4 hidden files were left out." in data.notes
    assert len(data.test_anomalous) == 3


def test_what_cannot_be_read_on_either_side_is_refused_or_said(root, refused):
    before = load("cifar10-oe", root)
    gone = "a link whose target isn't there"
    for folder, what, line in (
        ("cifar10/train/airplane", "CIFAR-10", "train/airplane/lost.png"),
        ("cifar10/test/bird", "CIFAR-10", "test/bird/lost.png"),
        ("cifar100/train/apple", "CIFAR-100 train", "train/apple/lost.png"),
    ):
        link = root / folder / "lost.png"
        link.symlink_to("gone")
        try:
            with refused(f"1 file or folder of {what} can't be read: {line}: {gone} - "):
                load("cifar10-oe", root)
            data = load("cifar10-oe", root, skip_corrupt=True)
        finally:
            link.unlink()
        assert f"Left out: 1 file or folder of {what} can't be read: {line}: {gone}." in data.notes
        assert data.fingerprint() == before.fingerprint()
