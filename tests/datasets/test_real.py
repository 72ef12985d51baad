"""With real images, where they are."""

import csv
import itertools
import json
import subprocess
import sys
import tarfile

import pytest

from fcdd_audit.datasets import DATASETS, DataRequest
from fcdd_audit.datasets.one_vs_rest import ImageNetOE
from fcdd_audit.datasets.sources import SOURCES
from fcdd_audit.datasets.wordnet import same_thing

HENDRYCKS = ("n01698640", "n02268443", "n02837789", "n03255030")  # alligator, dragonfly, bikini, dumbbell
OTHERS = ("n01443537", "n02085620", "n02123045", "n02423022", "n02814533", "n03042490", "n04501370")


def needed(folder, name):
    if not (folder / name).exists():
        pytest.skip(f"no {name} among the real images")
    return folder / name


def unpack(archive, target, wanted):
    """Members that `wanted` says yes to, until it says None."""
    with tarfile.open(archive) as tar:
        for member in tar:
            choice = wanted(member.name)
            if choice is None:
                break
            if choice and member.isfile():
                path = target / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory, real_images):
    """Some of CIFAR-10 (one training class) and of Tiny ImageNet."""
    root = tmp_path_factory.mktemp("real")
    cifar, tiny = needed(real_images, "cifar10.tar.xz"), needed(real_images, "tiny_imagenet_val.tar.xz")

    def some(name):
        parts = name.split("/")
        if len(parts) < 4:
            return False
        if parts[1] == "test":
            return int(parts[3][:4]) < 10
        number = int(parts[3][:4])
        return None if parts[2] != "airplane" or number >= 100 else True

    unpack(cifar, root, some)
    seen = {}

    def few(name):
        if name.count("/") < 2:
            return False
        wnid = name.split("/")[1]
        seen[wnid] = seen.get(wnid, 0) + 1
        return wnid[0] == "n" and seen[wnid] <= (50 if wnid in HENDRYCKS else 3)

    unpack(tiny, root, few)
    return root


def test_cifar_10_with_tiny_imagenet(unpacked, tmp_path):
    request = DataRequest(data_root=unpacked, oe="tiny-imagenet", cache=tmp_path)
    data = DATASETS["cifar10-oe"]().load(request)
    assert data.nominal_class == "airplane"
    assert data.shape == (3, 32, 32)
    assert [len(data.train_nominal), len(data.validation)] == [90, 10]
    assert [len(data.test_nominal), len(data.test_anomalous)] == [10, 90]
    left = {name.split("/")[0] for name in data.train_anomalous.names}
    assert 150 < len(left) < 190
    assert not any(same_thing(wnid, name) for wnid in left for name in SOURCES["cifar10"].known)
    assert {"n02085620", "n02123045"}.isdisjoint(left)
    (note,) = [note for note in data.notes if note.startswith("Left out")]
    assert "Chihuahua" in note
    assert data.train_nominal.images.float().std() > 30
    assert not any("too good" in note for note in data.notes)
    assert DATASETS["cifar10-oe"]().load(request).fingerprint() == data.fingerprint()


@pytest.fixture(scope="module")
def imagenet(unpacked, tmp_path_factory):
    """A data root with ImageNet's own layout: four of Hendrycks' classes and some others."""
    root = tmp_path_factory.mktemp("true-layout")
    for wnid in (*HENDRYCKS, *OTHERS):
        photos = sorted((unpacked / "tiny_imagenet_val" / wnid).iterdir())
        share = 30 if wnid in HENDRYCKS else len(photos) - 1
        for part, chosen in (("train", photos[:share]), ("val", photos[share:])):
            folder = root / "imagenet" / part / wnid
            folder.mkdir(parents=True)
            for photo in chosen:
                (folder / photo.name).write_bytes(photo.read_bytes())
    return root


def test_imagenet_oe_from_the_command_line(imagenet, tmp_path):
    command = [
        *(sys.executable, "-m", "fcdd_audit", "run", "--dataset", "imagenet-oe", "--probe", "watermark"),
        *("--data-root", imagenet, "--nominal-class", "dragonfly,American alligator", "--image-size", "32"),
        *("--detector", "fcdd", "--explainer", "native", "--seeds", "1", "--epochs", "1", "--workers", "1"),
        *("--out", tmp_path, "--cache", tmp_path / "cache", "--json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert [one["nominal_class"] for one in found["findings"]] == ["dragonfly", "American alligator"]
    assert [one["images"] for one in found["findings"]] == [80, 80]
    assert [mean["classes"] for mean in found["means"]] == [2]
    page = (tmp_path / "imagenet-oe-watermark/report.html").read_text()
    assert "American alligator" in page
    assert "the data set has them" in page


def test_imagenet_in_its_true_layout(imagenet, tmp_path):
    request = DataRequest(
        data_root=imagenet, image_size=56, nominal_class="American alligator", cache=tmp_path / "cache"
    )
    data = DATASETS["imagenet-oe"]().load(request)
    assert data.shape == (3, 56, 56)
    assert {part: len(images) for part, images in data.parts().items()} == {
        "train_nominal": 27,
        "train_anomalous": 2 * len(OTHERS),
        "validation": 3,
        "test_nominal": 20,
        "test_anomalous": 60,
    }
    assert {name.split("/")[1] for name in data.train_anomalous.names} == set(OTHERS)
    assert any(note.startswith("Not among the test images") and "acorn" in note for note in data.notes)
    left_out = next(note for note in data.notes if note.startswith("Left out"))
    assert all(name in left_out for name in ("American_alligator", "dragonfly", "bikini", "dumbbell"))
    assert len(ImageNetOE.names) == 30


def test_horses_against_imagenet_photos(real_images, tmp_path):
    needed(real_images, "voc_animals")
    photos = needed(real_images, "imagenet_1k_one_each")
    for name, count in (("horse", 60), ("cat", 20), ("dog", 20)):
        folder = tmp_path / "voc" / name
        folder.mkdir(parents=True)
        for path in sorted((real_images / "voc_animals/images" / name).iterdir())[:count]:
            (folder / path.name).symlink_to(path)
    request = DataRequest(
        data_root=tmp_path, oe=str(photos), oe_limit=200, image_size=64, cache=tmp_path / "cache"
    )
    data = DATASETS["voc-horse"]().load(request)
    assert {part: len(images) for part, images in data.parts().items()} == {
        "train_nominal": 180,
        "train_anomalous": 30,
        "validation": 20,
        "test_nominal": 20,
        "test_anomalous": 30,
    }
    assert not any("sorrel" in name or "horse_cart" in name for name in data.train_nominal.names)
    assert any(note.startswith("Left out") and "sorrel" in note for note in data.notes)
    assert DATASETS["voc-horse"]().missing(real_images).startswith("without --oe"), "the horses are found"


def test_the_mvtec_sample_is_too_small_and_says_so(real_images, tmp_path, refused):
    sample = needed(real_images, "mvtec_leather_sample")
    with refused("single category"):
        DATASETS["mvtec"]().load(DataRequest(data_root=sample, cache=tmp_path / "cache"))
    (tmp_path / "leather").symlink_to(sample.resolve(), target_is_directory=True)
    assert DATASETS["mvtec"]().classes(tmp_path) == ("leather",)
    with refused("'mvtec' (leather) has 3 images in train nominal; an audit needs at least 8"):
        DATASETS["mvtec"]().load(
            DataRequest(data_root=tmp_path, image_size=64, oe_limit=4, cache=tmp_path / "cache")
        )
    with refused("masks per defect is 3"):
        DATASETS["mvtec"]().load(
            DataRequest(data_root=tmp_path, image_size=64, masks_per_defect=3, cache=tmp_path / "cache")
        )


def test_magnetic_tiles_in_mvtecs_layout(real_images, tmp_path):
    source = needed(real_images, "magnetic_tile")
    base = tmp_path / "tile"

    def link(paths, folder, ending=""):
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            (folder / f"{path.stem}{ending}{path.suffix}").symlink_to(path.resolve())

    free = sorted((source / "images/free").iterdir())
    link(free[:40], base / "train/good")
    link(free[40:50], base / "test/good")
    for kind in ("blowhole", "crack"):
        images = sorted((source / "images" / kind).iterdir())[:12]
        link(images, base / "test" / kind)
        masks = [source / "masks" / kind / f"{path.stem}.png" for path in images]
        link(masks, base / "ground_truth" / kind, "_mask")
    request = DataRequest(data_root=tmp_path, image_size=64, masks_per_defect=5, cache=tmp_path / "cache")
    data = DATASETS["mvtec"]().load(request)
    assert (data.nominal_class, data.shape) == ("tile", (1, 64, 64))
    assert [len(images) for images in data.parts().values()] == [32, 10, 8, 10, 14]
    assert data.train_anomalous.masks.flatten(1).any(dim=1).all()
    with (source / "index.csv").open() as file:
        shares = {row["file"]: float(row["mask_frac"]) for row in csv.DictReader(file) if row["mask"]}
    for images in (data.train_anomalous, data.test_anomalous):
        for name, mask in itertools.zip_longest(images.names, images.masks):
            true = shares[name.replace("test/", "images/", 1)]
            assert 0.9 * true <= mask.float().mean() <= 1.5 * true + 0.02, name
