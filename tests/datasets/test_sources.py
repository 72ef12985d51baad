import errno
import functools
import gzip
import hashlib
import http.server
import io
import os
import pickle
import struct
import tarfile
import threading
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torchvision.datasets as tv
from PIL import Image
from torchvision.datasets import imagenet, utils

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets.sources import SOURCES
from fcdd_audit.images.depth import Depth

RNG = np.random.default_rng(0)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324  (what torchvision checks)


def load(name, root, train=True, download=False):
    return SOURCES[name]().gallery(root, train, download)


def pixels(gallery, index=0):
    return np.asarray(gallery.read(index, Depth()).picture)


# Tiny archives of the true formats


def cifar(folder, monkeypatch, reader=tv.CIFAR10, count=4):
    """The archive as its publisher packs it, with `count` pictures a file; and all training pixels."""
    fine = reader is tv.CIFAR100
    parts, images = {}, []
    for kind, files in (("train", reader.train_list), ("test", reader.test_list)):
        for name, _ in files:
            data = RNG.integers(0, 256, (count, 3072), np.uint8)
            labels = [i % 10 for i in range(count)]
            parts[name] = pickle.dumps({"data": data, "fine_labels" if fine else "labels": labels}, 2)
            images += [data] if kind == "train" else []
    names = [f"thing {i}" for i in range(100)] if fine else [*SOURCES["cifar10"].known]
    parts[reader.meta["filename"]] = pickle.dumps({reader.meta["key"]: names}, 2)
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / reader.filename
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in parts.items():
            entry = tarfile.TarInfo(f"{reader.base_folder}/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))

    def sums(files):
        return [[name, hashlib.md5(parts[name]).hexdigest()] for name, _ in files]  # noqa: S324

    monkeypatch.setattr(reader, "train_list", sums(reader.train_list))
    monkeypatch.setattr(reader, "test_list", sums(reader.test_list))
    meta_md5 = hashlib.md5(parts[reader.meta["filename"]]).hexdigest()  # noqa: S324
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": meta_md5})
    monkeypatch.setattr(reader, "tgz_md5", md5(archive))
    return archive, np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def idx(array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def fashion(folder, monkeypatch, count=10):
    """The four packed files. Returns the training images."""
    images = RNG.integers(0, 256, (count, 28, 28), np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    sums = []
    for name, _ in tv.FashionMNIST.resources:
        array = images if "images" in name else np.arange(count) % 10
        (folder / name).write_bytes(gzip.compress(idx(array)))
        sums.append((name, md5(folder / name)))
    monkeypatch.setattr(tv.FashionMNIST, "resources", sums)
    return images


def emnist(folder, monkeypatch, count=6):
    images = RNG.integers(0, 256, (count, 28, 28), np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for part in ("train", "test"):
            for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(count) + 1)):
                name = f"gzip/emnist-letters-{part}-{kind}-ubyte.gz"
                archive.writestr(name, gzip.compress(idx(array)))
    monkeypatch.setattr(tv.EMNIST, "md5", md5(folder / "gzip.zip"))
    return images


def jpeg(value):
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), (value,) * 3).save(buffer, "JPEG")
    return buffer.getvalue()


def packed(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


IDS = ("n01440764", "n01443537")


def official_imagenet(folder, monkeypatch):
    """The three official files, of two classes: 3 training and 2 validation pictures each."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    synsets = np.zeros(3, dtype=kinds)
    rows = [
        (1, IDS[0], "tench, Tinca", "", 0),
        (2, IDS[1], "goldfish", "", 0),
        (3, "n00000001", "fish", "", 2),
    ]
    for i, row in enumerate(rows):
        synsets[i] = row
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    truth = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
    devkit = packed({"ILSVRC2012_devkit_t12/data/meta.mat": meta.getvalue(), truth: b"2\n1\n1\n2\n"})
    val = packed({f"ILSVRC2012_val_{i:08d}.JPEG": jpeg(10 * i) for i in range(1, 5)})
    train = packed(
        {f"{wnid}.tar": packed({f"{wnid}_{i}.JPEG": jpeg(100 + i) for i in range(3)}) for wnid in IDS}
    )
    sums = {}
    for part, data in (("train", train), ("val", val), ("devkit", gzip.compress(devkit))):
        path = folder / imagenet.ARCHIVE_META[part][0]
        path.write_bytes(data)
        sums[part] = (path.name, md5(path))
    monkeypatch.setattr(imagenet, "ARCHIVE_META", sums)


@pytest.fixture
def served(tmp_path):
    """A folder, and the address that it is served under by HTTP."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch):
    def fail(*args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setattr(utils, "_get_redirect_url", fail)
    monkeypatch.setattr(utils, "_urlretrieve", fail)


@pytest.fixture(autouse=True)
def _no_real_network(monkeypatch):
    """A test that would reach out fails."""
    original = utils._get_redirect_url

    def local(url, **options):
        assert "127.0.0.1" in url, url
        return original(url, **options)

    monkeypatch.setattr(utils, "_get_redirect_url", local)


# Every source


@pytest.mark.parametrize("name", list(SOURCES))
def test_what_is_missing_is_said_with_layout_and_how_to_get_it(tmp_path, name, refused):
    source = SOURCES[name]()
    for root, where in ((tmp_path, f"'{tmp_path}'"), (tmp_path / "gone", "no folder")):
        with refused(source.title, where, source.layout, source.obtain):
            source.gallery(root, train=True)
        assert "\n" not in source.missing(root)
    with refused(source.title, "--data-root", source.layout, source.obtain):
        source.gallery(None, train=True)
    assert source.missing(None) == "give --data-root DIR"
    assert SOURCES.summary(name)


# Class folders


@pytest.mark.parametrize("below", ["", "cifar10"])
def test_cifar_10_from_class_folders(tmp_path, paint, below):
    for part, count in (("train", 3), ("test", 2)):
        for name in ("cat", "Dog", "no class"):
            for i in range(count):
                paint(tmp_path / below / part / name / f"{i}.png")
    assert SOURCES["cifar10"]().missing(tmp_path) is None
    train, test = load("cifar10", tmp_path), load("cifar10", tmp_path, train=False)
    assert sorted(train.classes) == ["cat"] * 3 + ["dog"] * 3
    assert sorted(test.classes) == ["cat"] * 2 + ["dog"] * 2
    assert "train/cat/0.png" in train.names
    assert (train.what, test.what) == ("CIFAR-10 train", "CIFAR-10 test")


def test_class_folders_without_a_test_part_are_named(tmp_path, paint, refused):
    paint(tmp_path / "train/cat/0.png")
    (tmp_path / "test").mkdir()
    with refused("in none of test, val"):
        load("cifar10", tmp_path, train=False)


def test_fashion_classes_with_spaces_and_hyphens(tmp_path, paint):
    for folder in ("T-shirt", "ankle_boot", "Bag"):
        paint(tmp_path / "fmnist/train" / folder / "0.png", mode="L")
    assert set(load("fashion-mnist", tmp_path).classes) == {"t-shirt", "ankle boot", "bag"}


def test_cifar_100_folders_are_only_looked_for_in_its_own_folder(tmp_path, paint):
    paint(tmp_path / "train/apple/0.png")
    with pytest.raises(InputError):
        load("cifar100", tmp_path)
    paint(tmp_path / "cifar100/train/apple/0.png")
    assert load("cifar100", tmp_path).classes == ("apple",)


# CIFAR as published


@pytest.mark.parametrize("below", ["", "cifar-10"])
def test_cifar_10_is_unpacked_from_its_archive_without_a_download(tmp_path, monkeypatch, no_network, below):
    _, images = cifar(tmp_path / below, monkeypatch)
    assert SOURCES["cifar10"]().missing(tmp_path) is None
    train = load("cifar10", tmp_path)
    assert len(train) == 20
    assert train.classes[:4] == ("airplane", "automobile", "bird", "cat")
    assert train.names[0] == "airplane/00000"
    assert all(np.array_equal(pixels(train, i), images[i]) for i in range(20))
    assert len(load("cifar10", tmp_path, train=False)) == 4


def test_cifar_100_by_its_fine_labels(tmp_path, monkeypatch, no_network):
    cifar(tmp_path, monkeypatch, tv.CIFAR100)
    assert load("cifar100", tmp_path).classes == tuple(f"thing {i}" for i in range(4))


def test_half_a_download_is_said(tmp_path, monkeypatch, no_network, refused):
    archive, _ = cifar(tmp_path, monkeypatch)
    archive.write_bytes(archive.read_bytes()[:-100])
    with refused(str(archive), "half a download", "MD5", "delete", "--download"):
        load("cifar10", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_a_damaged_file_of_cifar_is_said(tmp_path, monkeypatch, no_network, refused):
    cifar(tmp_path, monkeypatch)
    load("cifar10", tmp_path)
    (tmp_path / "cifar-10-batches-py/data_batch_3").write_bytes(b"x")
    with refused("CIFAR-10", "damaged or incomplete", "delete it", "--download"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("damage", [b"", b"\x80\x02garbage", pickle.dumps({"data": 1}), pickle.dumps([1])])
def test_a_damaged_pickle_with_the_right_sum_is_said_too(tmp_path, monkeypatch, damage, refused):
    cifar(tmp_path, monkeypatch)
    load("cifar10", tmp_path)
    monkeypatch.setattr(tv.CIFAR10, "_check_integrity", lambda self: True)
    (tmp_path / "cifar-10-batches-py/data_batch_3").write_bytes(damage)
    with refused("CIFAR-10", "damaged or incomplete"):
        load("cifar10", tmp_path)


def test_cifar_10_is_downloaded_on_request(tmp_path, monkeypatch, served, capsys):
    folder, address = served
    archive, images = cifar(folder, monkeypatch)
    monkeypatch.setattr(tv.CIFAR10, "url", address + archive.name)
    root = tmp_path / "new"
    with pytest.raises(InputError, match="--download"):
        load("cifar10", root)
    assert np.array_equal(pixels(load("cifar10", root, download=True)), images[0])
    archive.unlink()
    load("cifar10", root, train=False, download=True)
    assert capsys.readouterr().out == ""


def test_half_a_download_is_downloaded_again_on_request(tmp_path, monkeypatch, served):
    folder, address = served
    archive, _ = cifar(folder, monkeypatch)
    monkeypatch.setattr(tv.CIFAR10, "url", address + archive.name)
    (tmp_path / archive.name).write_bytes(archive.read_bytes()[:100])
    assert len(load("cifar10", tmp_path, download=True)) == 20


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion-mnist", "emnist", "voc"])
def test_without_a_network_a_download_says_so_in_a_line(tmp_path, name, no_network, refused):
    with refused("can't be downloaded", "Name or service not known", "network", SOURCES[name].layout):
        load(name, tmp_path, download=True)


def test_a_missing_file_on_the_server_is_said(tmp_path, monkeypatch, served, refused):
    monkeypatch.setattr(tv.CIFAR10, "url", served[1] + "gone.tar.gz")
    with refused("can't be downloaded", "404"):
        load("cifar10", tmp_path, download=True)


# Fashion-MNIST and EMNIST


def test_fashion_mnist_is_unpacked_from_its_files(tmp_path, monkeypatch, no_network):
    images = fashion(tmp_path / "FashionMNIST/raw", monkeypatch)
    train = load("fashion-mnist", tmp_path)
    assert train.classes == SOURCES["fashion-mnist"].known
    assert train.read(0, Depth()).picture.mode == "L"
    assert all(np.array_equal(pixels(train, i), images[i]) for i in range(10))
    assert len(load("fashion-mnist", tmp_path, train=False)) == 10


def test_fashion_mnist_is_downloaded_on_request(tmp_path, monkeypatch, served):
    folder, address = served
    images = fashion(folder, monkeypatch)
    monkeypatch.setattr(tv.FashionMNIST, "mirrors", [address])
    assert np.array_equal(pixels(load("fashion-mnist", tmp_path, download=True)), images[0])


@pytest.mark.parametrize("damage", ["half", "missing"])
def test_a_damaged_or_missing_packed_file_is_said_and_not_downloaded_unasked(
    tmp_path, monkeypatch, refused, damage
):
    raw = tmp_path / "FashionMNIST/raw"
    fashion(raw, monkeypatch)
    bad = raw / "t10k-images-idx3-ubyte.gz"
    bad.write_bytes(bad.read_bytes()[:50])
    if damage == "missing":
        bad.unlink()
    with refused("Fashion-MNIST", str(bad), {"half": "half a download", "missing": "is missing"}[damage]):
        load("fashion-mnist", tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:3], lambda b: b[:100], lambda b: b"\xff" * 16 + b[16:]]
)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_a_damaged_unpacked_file_is_said(tmp_path, monkeypatch, refused, damage, name):
    raw = tmp_path / "FashionMNIST/raw"
    fashion(raw, monkeypatch, count=200)
    load("fashion-mnist", tmp_path)
    (raw / name).write_bytes(damage((raw / name).read_bytes()))
    with refused("Fashion-MNIST", "damaged or incomplete"):
        load("fashion-mnist", tmp_path)


def test_too_few_labels_are_said(tmp_path, monkeypatch, refused):
    raw = tmp_path / "FashionMNIST/raw"
    fashion(raw, monkeypatch)
    load("fashion-mnist", tmp_path)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(7)))
    with refused("10 images but 7 labels"):
        load("fashion-mnist", tmp_path)


def test_emnist_letters_are_put_upright(tmp_path, monkeypatch, no_network):
    images = emnist(tmp_path / "emnist/EMNIST/raw", monkeypatch)
    train = load("emnist", tmp_path)
    assert train.classes == tuple("abcdef")
    assert all(np.array_equal(pixels(train, i), images[i].T) for i in range(6))


# ImageNet


def names_and_values(gallery):
    values = [int(pixels(gallery, i)[0, 0, 0]) for i in range(len(gallery))]
    return sorted(zip(gallery.classes, values, strict=True))


@pytest.mark.parametrize("below", ["", "imagenet"])
def test_imagenets_official_files_are_unpacked_once(tmp_path, monkeypatch, below):
    official_imagenet(tmp_path / below, monkeypatch)
    assert SOURCES["imagenet"]().missing(tmp_path) is None
    train = load("imagenet", tmp_path)
    assert names_and_values(train) == [(wnid, 100 + i) for wnid in IDS for i in range(3)]
    monkeypatch.setattr(imagenet, "parse_train_archive", None)
    val = load("imagenet", tmp_path, train=False)
    assert names_and_values(val) == [(IDS[0], 20), (IDS[0], 30), (IDS[1], 10), (IDS[1], 40)]
    assert not list((tmp_path / below).glob("*.part"))


@pytest.mark.parametrize("part", ["train", "val", "devkit"])
def test_a_damaged_official_file_is_named(tmp_path, monkeypatch, refused, part):
    official_imagenet(tmp_path, monkeypatch)
    bad = tmp_path / imagenet.ARCHIVE_META[part][0]
    bad.write_bytes(bad.read_bytes()[:-10])
    with refused("ImageNet-1k", bad.name, "corrupted", "image-net.org"):
        load("imagenet", tmp_path)
    assert not (tmp_path / "train").exists()


@pytest.mark.parametrize("part", ["train", "val", "devkit"])
def test_a_missing_official_file_is_named(tmp_path, monkeypatch, refused, part):
    official_imagenet(tmp_path, monkeypatch)
    gone = tmp_path / imagenet.ARCHIVE_META[part][0]
    gone.unlink()
    with refused(f"has no {gone.name}", "all three", "image-net.org"):
        load("imagenet", tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_a_full_or_locked_disk_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch, refused, code):
    official_imagenet(tmp_path, monkeypatch)

    def fail(*args, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(imagenet, "extract_archive", fail)
    with refused("ImageNet-1k can't be unpacked", os.strerror(code), "make room"):
        load("imagenet", tmp_path)
    assert (tmp_path / "ILSVRC2012_img_train.tar").exists()


@pytest.mark.parametrize("part", ["train", "val"])
def test_an_interrupted_unpacking_starts_again(tmp_path, monkeypatch, part):
    official_imagenet(tmp_path, monkeypatch)
    whole = imagenet.extract_archive

    def interrupted(archive, folder, **options):
        whole(archive, folder, **options)
        if f"{part}.part" in str(folder):
            raise KeyboardInterrupt

    monkeypatch.setattr(imagenet, "extract_archive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("imagenet", tmp_path)
    assert not (tmp_path / "train").exists()
    monkeypatch.setattr(imagenet, "extract_archive", whole)
    assert len(load("imagenet", tmp_path)) == 6
    assert len(load("imagenet", tmp_path, train=False)) == 4


def test_class_archives_left_in_train_tell_of_an_interrupted_unpacking(tmp_path, paint, refused):
    paint(tmp_path / "train/n01440764/0.png")
    (tmp_path / "train/n01443537.tar").touch()
    with refused("n01443537.tar", "interrupted"):
        load("imagenet", tmp_path)


@pytest.mark.parametrize("folders", [IDS, ("tench", "goldfish"), ("n01440764_tench", "Gold Fish")])
def test_imagenet_folders_by_id_or_name(tmp_path, paint, folders):
    for part in ("train", "val"):
        for folder in (*folders, "something else"):
            paint(tmp_path / "ImageNet" / part / folder / "0.png")
    expected = set(IDS) if "Gold Fish" not in folders else {IDS[0]}
    assert set(load("imagenet", tmp_path).classes) == expected
    assert set(load("imagenet", tmp_path, train=False).classes) == expected


def test_kaggles_flat_test_folder_is_not_taken_for_the_validation_part(tmp_path, paint):
    base = tmp_path / "ILSVRC/Data/CLS-LOC"
    paint(base / "train/n01440764/0.png")
    paint(base / "val/n01440764/0.png")
    paint(base / "test/ILSVRC2012_test_00000001.png")
    assert load("imagenet", tmp_path, train=False).names == ("val/n01440764/0.png",)


def test_a_hidden_folder_is_no_class(tmp_path, paint):
    for part in ("train", "test"):
        paint(tmp_path / "cifar100" / part / "bear/0.png")
        paint(tmp_path / "cifar100" / part / ".ipynb_checkpoints/0-checkpoint.png")
        paint(tmp_path / "cifar100" / part / "bear/._0.png")
        gallery = load("cifar100", tmp_path, train=part == "train")
        assert gallery.names == (f"{part}/bear/0.png",)
        assert gallery.classes == ("bear",)
        assert len(gallery.left_out.hidden) == 2


# Folders by WordNet id


def test_tiny_imagenet_as_published_or_as_plain_folders(tmp_path, paint):
    paint(tmp_path / "a/tiny-imagenet-200/train/n01440764/images/n01440764_0.png")
    paint(tmp_path / "a/tiny-imagenet-200/val/images/val_0.png")
    paint(tmp_path / "b/tiny-imagenet/n01440764/0.png")
    paint(tmp_path / "b/tiny-imagenet/readme/0.png")
    for root in ("a", "b"):
        assert load("tiny-imagenet", tmp_path / root).classes == ("n01440764",)


# Pascal VOC


def devkit(root, paint, year="2007"):
    base = root / "VOCdevkit" / f"VOC{year}"
    for part, names in (("train", ("a", "b")), ("val", ("c", "d", "e"))):
        for i, name in enumerate(names):
            paint(base / f"JPEGImages/{name}.jpg")
            kind = "horse" if i == 0 else "person"
            note = base / f"Annotations/{name}.xml"
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(
                f"<annotation><object>\n<name>person</name></object>\n<object>\n<name> {kind} </name>"
                "</object></annotation>"
            )
        listing = base / f"ImageSets/Main/{part}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("\n".join(names) + "\n")
    return base


@pytest.mark.parametrize("year", ["2007", "2012"])
@pytest.mark.parametrize("below", ["", "voc"])
def test_voc_from_its_devkit(tmp_path, paint, year, below):
    devkit(tmp_path / below, paint, year)
    assert SOURCES["voc"]().missing(tmp_path) is None
    train, val = load("voc", tmp_path), load("voc", tmp_path, train=False)
    assert train.classes == ("horse", "no horse")
    assert val.classes == ("horse", "no horse", "no horse")
    assert val.names[0] == f"VOCdevkit/VOC{year}/JPEGImages/c.jpg"
    assert val.what == f"Pascal VOC {year} val"
    assert val.read(0, Depth()).picture.size == (16, 16)


@pytest.mark.parametrize("gone", ["ImageSets/Main/train.txt", "Annotations/a.xml"])
def test_an_incomplete_devkit_is_said(tmp_path, paint, refused, gone):
    (devkit(tmp_path, paint) / gone).unlink()
    with refused("Pascal VOC", "damaged or incomplete", gone.rsplit("/")[-1]):
        load("voc", tmp_path)


def test_voc_from_class_folders_is_halved(tmp_path, paint):
    for folder, count in (("horse", 5), ("cat", 4), ("dog", 1)):
        for i in range(count):
            paint(tmp_path / "images" / folder / f"{i}.png")
    train, test = load("voc", tmp_path), load("voc", tmp_path, train=False)
    assert not set(train.names) & set(test.names)
    assert [train.classes.count("horse"), test.classes.count("horse")] == [3, 2]
    assert [train.classes.count("no horse"), test.classes.count("no horse")] == [3, 2]


# What can't be read


def lost(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("gone")


@pytest.mark.parametrize(
    ("name", "base", "there", "gone"),
    [
        ("cifar10", "", "train/cat/0.png", ("train/cat/1.png", "train/dog")),
        ("cifar100", "cifar100", "train/apple/0.png", ("train/apple/1.png", "train/pear")),
        ("imagenet", "", "train/tench/0.jpg", ("train/tench/1.jpg", "train/n01443537")),
        ("tiny-imagenet", "tiny-imagenet", "n01440764/0.jpg", ("n01440764/1.jpg", "n01443537")),
        ("voc", "voc", "horse/0.jpg", ("horse/1.jpg", "cat")),
    ],
)
def test_links_without_a_target_are_known_by_name(tmp_path, paint, name, base, there, gone):
    paint(tmp_path / base / there)
    for path in gone:
        lost(tmp_path / base / path)
    gallery = load(name, tmp_path)
    assert gallery.names == (there,)
    assert gallery.left_out.unread == {f"{path}: a link whose target isn't there" for path in gone}


def test_a_folder_of_classes_that_may_not_be_looked_at_is_not_called_absent(
    tmp_path, paint, refused, monkeypatch
):
    paint(tmp_path / "train/cat/0.png")
    scandir = os.scandir

    def denied(path):
        if Path(path) == tmp_path / "train":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    line = "1 file or folder of CIFAR-10 can't be read: train: Permission denied"
    assert line in SOURCES["cifar10"]().missing(tmp_path)
    with refused(line):
        load("cifar10", tmp_path)
