"""Collections of pictures by class that data sets and outlier exposure are made of."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

import numpy as np

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import Registry
from fcdd_audit.datasets.wordnet import ids_named, plain
from fcdd_audit.images.files import find_files, is_folder, subfolders
from fcdd_audit.images.gallery import WORDNET_ID, Gallery, of_arrays, of_files, of_folder

TEST_FOLDERS = ("test", "val", "valid", "validation")
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DOWNLOAD = "run again with --download"
IMAGENET_TERMS = "non-commercial research and education only, see image-net.org/download"


class Source(ABC):
    """Pictures by class, in a training and a test part.

    title, layout, obtain: for people: what it is, what is looked for below the data root, and how to get it
    under which terms. folders: where below the data root class folders are looked for. known: its classes.
    """

    title: ClassVar[str]
    layout: ClassVar[str]
    obtain: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    known: ClassVar[tuple[str, ...]] = ()

    def gallery(self, root: Path | None, train: bool, download: bool = False) -> Gallery:
        """The training or the test part. InputError if it isn't there, or isn't whole."""
        if root is None:
            raise InputError(
                f"{self.title} is read from a folder; give it with --data-root DIR: {self.layout}. "
                f"To get it: {self.obtain}"
            )
        base = self._class_folders(root)
        if base is not None:
            return self._from_folders(base, train)
        found = self._packed(root, train, download)
        if found is None:
            raise InputError(self._absent(root))
        return found

    def missing(self, root: Path | None) -> str | None:
        """Why it can't be used with this data root, in one line; None if it is there, as far as a quick look
        tells."""
        if root is None:
            return "give --data-root DIR"
        try:
            there = self._class_folders(root) is not None or self._is_packed(root)
        except InputError as error:
            return str(error)
        return None if there else self._absent(root)

    def class_name(self, folder: str) -> str:
        """The class that a folder's name stands for, or an empty string."""
        return next((name for name in self.known if plain(name) == plain(folder)), "")

    @abstractmethod
    def _is_packed(self, root: Path) -> bool:
        """Whether it is there in its publisher's own form."""

    @abstractmethod
    def _packed(self, root: Path, train: bool, download: bool) -> Gallery | None:
        """Read from its publisher's own form; None if that isn't there."""

    def _absent(self, root: Path) -> str:
        state = "" if is_folder(root) else " (which is no folder)"
        return f"{self.title} isn't under '{root}'{state}; looked for {self.layout}. To get it: {self.obtain}"

    def _bases(self, root: Path) -> Iterator[Path]:
        for name in ("", *self.folders):
            yield root / name

    def _class_folders(self, root: Path) -> Path | None:
        """The folder that holds train/<class>/ of at least one known class."""
        return next((base for base in self._bases(root) if self._has_classes(base / "train")), None)

    def _has_classes(self, part: Path) -> bool:
        if not is_folder(part):
            return False
        folders, left_out = subfolders(part, part.parent)
        if left_out.unread and not folders:
            left_out.notes(self.title, skip_corrupt=False)
        return any(self.class_name(folder.name) for folder in folders)

    def _from_folders(self, base: Path, train: bool) -> Gallery:
        names = ("train",) if train else TEST_FOLDERS
        part = next((base / name for name in names if self._has_classes(base / name)), None)
        if part is None:
            raise InputError(
                f"{self.title}: '{base}' has class folders in train, but in none of "
                f"{', '.join(TEST_FOLDERS)}; expected {self.layout}"
            )
        paths: list[Path] = []
        classes: list[str] = []
        folders, left_out = subfolders(part, base)
        for folder in folders:
            if name := self.class_name(folder.name):
                found = find_files(folder, base=base)
                paths += found.paths
                classes += [name] * len(found.paths)
                left_out |= found.left_out
        return of_files(paths, base, f"{self.title} {part.name}", classes, left_out)


SOURCES: Registry[type[Source]] = Registry("source of images")


@contextlib.contextmanager
def _reading(source: Source, base: Path) -> Iterator[None]:
    """Around what reads (or downloads) a publisher's own files: makes any failure a clear InputError."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # some versions of torchvision print
            yield
    except InputError:
        raise
    except Exception as error:  # whatever a reader raises on a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, (URLError, HTTPException)) or reason.startswith("Error downloading"):
            raise InputError(
                f"{source.title} can't be downloaded to '{base}' ({reason}); check the network and try "
                f"again, or put it there by hand: {source.layout}"
            ) from None
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise InputError(
                f"{source.title} can't be unpacked or read in '{base}' ({reason}); make room and see to the "
                "permissions there, or copy it to another folder for --data-root"
            ) from None
        raise InputError(
            f"{source.title} in '{base}' can't be read, it is damaged or incomplete ({reason}); delete it "
            f"there and get it again: {source.obtain}"
        ) from None


class _Packed(Source):
    """A source that torchvision downloads and reads as arrays.

    reader: the name of torchvision's. unpacked: a pattern of what is below a base folder once it is unpacked.
    """

    reader: ClassVar[str]
    unpacked: ClassVar[str]

    @property
    def _reader(self) -> Any:
        return getattr(import_module("torchvision.datasets"), self.reader)

    @abstractmethod
    def _archives(self) -> dict[str, str]:
        """The packed files below a base folder, and their MD5 sums."""

    def _base(self, root: Path) -> Path | None:
        for base in self._bases(root):
            if any(base.glob(self.unpacked)) or any((base / name).exists() for name in self._archives()):
                return base
        return None

    def _is_packed(self, root: Path) -> bool:
        return self._base(root) is not None

    def _packed(self, root: Path, train: bool, download: bool) -> Gallery | None:
        base = self._base(root)
        if base is None and not download:
            return None
        base = base or root
        unpack = not any(base.glob(self.unpacked))
        if unpack and not download:
            self._check_archives(base)
        with _reading(self, base):
            # torchvision unpacks an archive that is there already as part of its "download".
            data = self._reader(str(base), train=train, download=download or unpack, **self._options())
            pixels = np.ascontiguousarray(self._pixels(data))
            classes = [self._class_of(data, int(label)) for label in data.targets]
            if len(pixels) != len(classes):
                raise ValueError(f"it has {len(pixels)} images but {len(classes)} labels")
        what = f"{self.title} {'train' if train else 'test'}"
        return of_arrays(pixels, classes, what, hashlib.sha256(pixels.data).hexdigest())

    def _check_archives(self, base: Path) -> None:
        """So that torchvision downloads nothing unasked."""
        from torchvision.datasets.utils import check_integrity

        for name, md5 in self._archives().items():
            if not check_integrity(base / name, md5):
                state = f"is damaged or half a download (its MD5 sum isn't {md5})"
                raise InputError(
                    f"{self.title}: '{base / name}' {state if (base / name).exists() else 'is missing'}; "
                    f"delete what is there and get it again: {self.obtain}"
                )

    def _options(self) -> dict[str, str]:
        """What torchvision's reader takes besides."""
        return {}

    def _pixels(self, data: Any) -> np.ndarray:
        return np.asarray(data.data)

    def _class_of(self, data: Any, label: int) -> str:
        return self.known[label]


class _Cifar(_Packed):
    def _archives(self) -> dict[str, str]:
        return {self._reader.filename: self._reader.tgz_md5}

    def _class_of(self, data: Any, label: int) -> str:
        return str(data.classes[label])


@SOURCES.register("cifar10")
class Cifar10(_Cifar):
    """CIFAR-10: 32 px colour photos of ten classes."""

    title = "CIFAR-10"
    known = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    folders = ("cifar10", "CIFAR10", "cifar-10")
    layout = (
        "torchvision's cifar-10-batches-py or cifar-10-python.tar.gz, or class folders train/<class>/ and "
        "test/<class>/, there or in cifar10/"
    )
    obtain = f"{DOWNLOAD} (170 MB, cs.toronto.edu/~kriz; no licence stated, cite Krizhevsky 2009)"
    reader = "CIFAR10"
    unpacked = "cifar-10-batches-py"


@SOURCES.register("cifar100")
class Cifar100(_Cifar):
    """CIFAR-100: 32 px colour photos of a hundred classes, none of them CIFAR-10's."""

    title = "CIFAR-100"
    folders = ("cifar100", "CIFAR100", "cifar-100")
    layout = (
        "torchvision's cifar-100-python or cifar-100-python.tar.gz, there or in cifar100/, or class folders "
        "cifar100/train/<class>/"
    )
    obtain = f"{DOWNLOAD} (170 MB, cs.toronto.edu/~kriz; no licence stated, cite Krizhevsky 2009)"
    reader = "CIFAR100"
    unpacked = "cifar-100-python"

    def _class_folders(self, root: Path) -> Path | None:
        bases = (root / name for name in self.folders)
        return next((base for base in bases if is_folder(base / "train")), None)

    def class_name(self, folder: str) -> str:
        return folder


@SOURCES.register("fashion-mnist")
class FashionMnist(_Packed):
    """Fashion-MNIST: 28 px grey pictures of ten kinds of clothes."""

    title = "Fashion-MNIST"
    known = (
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    folders = ("fashion-mnist", "fmnist", "fashion_mnist")
    layout = (
        "torchvision's FashionMNIST/raw/, or class folders train/<class>/ and test/<class>/, there or in "
        "fashion-mnist/"
    )
    obtain = f"{DOWNLOAD} (30 MB, github.com/zalandoresearch/fashion-mnist, MIT licence)"
    reader = "FashionMNIST"
    unpacked = "FashionMNIST/raw/*ubyte"

    def _archives(self) -> dict[str, str]:
        return {f"FashionMNIST/raw/{name}": md5 for name, md5 in self._reader.resources}


@SOURCES.register("emnist")
class Emnist(_Packed):
    """EMNIST letters: 28 px grey handwriting."""

    title = "EMNIST letters"
    folders = ("emnist",)
    layout = "torchvision's EMNIST/raw/, there or in emnist/"
    obtain = f"{DOWNLOAD} (560 MB, nist.gov/itl/products-and-services/emnist-dataset; public domain)"
    reader = "EMNIST"
    unpacked = "EMNIST/raw/emnist-letters-*ubyte"
    known = tuple("abcdefghijklmnopqrstuvwxyz")

    def _class_folders(self, root: Path) -> Path | None:
        return None

    def _archives(self) -> dict[str, str]:
        return {"EMNIST/raw/gzip.zip": self._reader.md5}

    def _options(self) -> dict[str, str]:
        return {"split": "letters"}

    def _pixels(self, data: Any) -> np.ndarray:
        return np.asarray(data.data).transpose(0, 2, 1)  # its publisher stores letters lying

    def _class_of(self, data: Any, label: int) -> str:
        return str(data.classes[label])


@SOURCES.register("imagenet")
class ImageNet(Source):
    """ImageNet-1k (ILSVRC 2012): photos of a thousand classes by WordNet id."""

    title = "ImageNet-1k"
    folders = ("imagenet", "ImageNet", "imagenet1k", "ILSVRC2012", "ILSVRC/Data/CLS-LOC")
    layout = (
        "train/<class>/ and val/<class>/ with WordNet ids (n01440764) or class names (tench), or the "
        "official ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz, there "
        "or in imagenet/"
    )
    obtain = f"register at image-net.org and download the three ILSVRC2012 files ({IMAGENET_TERMS})"
    tars = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz")

    def class_name(self, folder: str) -> str:
        """The WordNet id."""
        found = WORDNET_ID.match(folder)
        if found:
            return found.group()
        return next(iter(ids_named(folder)), "")

    def _from_folders(self, base: Path, train: bool) -> Gallery:
        half = sorted((base / "train").glob("n*.tar"))
        if half:
            raise InputError(
                f"{self.title}: '{base / 'train'}' still holds {half[0].name}: unpacking was interrupted; "
                "delete that folder and run again, or unpack the class archives into folders of their names"
            )
        return super()._from_folders(base, train)

    def _tar_base(self, root: Path) -> Path | None:
        return next((b for b in self._bases(root) if any((b / tar).exists() for tar in self.tars)), None)

    def _is_packed(self, root: Path) -> bool:
        return self._tar_base(root) is not None

    def _packed(self, root: Path, train: bool, download: bool) -> Gallery | None:
        from torchvision.datasets import imagenet

        base = self._tar_base(root)
        if base is None:
            return None
        absent = [tar for tar in self.tars if not (base / tar).exists()]
        if absent:
            raise InputError(
                f"{self.title}: '{base}' has no {' and no '.join(absent)}; all three official files are "
                f"needed: {self.obtain}"
            )
        with _reading(self, base):
            imagenet.parse_devkit_archive(str(base))
            # Into folders with other names, so that an interrupted run leaves nothing that looks whole.
            for part, unpack in (
                ("val", imagenet.parse_val_archive),
                ("train", imagenet.parse_train_archive),
            ):
                if not (base / part).exists():
                    shutil.rmtree(base / f"{part}.part", ignore_errors=True)
                    unpack(str(base), folder=f"{part}.part")
                    (base / f"{part}.part").rename(base / part)
        return self._from_folders(base, train)


@SOURCES.register("tiny-imagenet")
class TinyImageNet(Source):
    """Tiny ImageNet: 64 px photos of two hundred of ImageNet's classes.

    Folders by WordNet id, somewhere below one of the source's own folders; there is one part only.
    """

    title = "Tiny ImageNet"
    folders = ("tiny-imagenet-200/train", "tiny-imagenet", "tiny_imagenet", "tiny_imagenet_val")
    layout = "tiny-imagenet-200/ as it is published, or folders by WordNet id in tiny-imagenet/"
    obtain = f"cs231n.stanford.edu/tiny-imagenet-200.zip ({IMAGENET_TERMS})"

    def _class_folders(self, root: Path) -> Path | None:
        return next((root / name for name in self.folders if is_folder(root / name)), None)

    def _from_folders(self, base: Path, train: bool) -> Gallery:
        gallery = of_folder(base, self.title)
        return gallery.take(i for i, name in enumerate(gallery.classes) if WORDNET_ID.match(name))

    def _is_packed(self, root: Path) -> bool:
        return False

    def _packed(self, root: Path, train: bool, download: bool) -> Gallery | None:
        return None


@SOURCES.register("voc")
class Voc(Source):
    """Pascal VOC 2007 (or class folders of such photos): `horse` and everything else."""

    title = "Pascal VOC"
    known = ("horse",)
    other = "no horse"
    folders = ("voc", "VOC", "pascal-voc", "images", "voc_animals/images")
    layout = "VOCdevkit/VOC2007/ or VOCdevkit/VOC2012/, or class folders horse/ and others, there or in voc/"
    obtain = f"{DOWNLOAD} (0.9 GB, host.robots.ox.ac.uk/pascal/VOC/voc2007; Flickr's terms, research use)"
    years = ("2007", "2012")

    def _class_folders(self, root: Path) -> Path | None:
        return next((b for b in self._bases(root) if is_folder(b / "horse")), None)

    def _from_folders(self, base: Path, train: bool) -> Gallery:
        """Without a split of its own: every second picture of a class is a test picture."""
        paths: list[Path] = []
        classes: list[str] = []
        folders, left_out = subfolders(base)
        for folder in folders:
            found = find_files(folder, base=base)
            half = found.paths[0 if train else 1 :: 2]
            paths += half
            classes += ["horse" if plain(folder.name) == "horse" else self.other] * len(half)
            left_out |= found.left_out
        return of_files(paths, base, f"{self.title} {'train' if train else 'test'}", classes, left_out)

    def _devkit(self, root: Path) -> tuple[Path, str] | None:
        for base in self._bases(root):
            for year in self.years:
                if is_folder(base / "VOCdevkit" / f"VOC{year}"):
                    return base, year
        return None

    def _is_packed(self, root: Path) -> bool:
        return self._devkit(root) is not None

    def _packed(self, root: Path, train: bool, download: bool) -> Gallery | None:
        from torchvision.datasets import VOCDetection

        found = self._devkit(root)
        if found is None and not download:
            return None
        base, year = found or (root, self.years[0])
        part = "train" if train else "val"
        with _reading(self, base):
            data = VOCDetection(str(base), year=year, image_set=part, download=found is None)
            classes = [self._class_of(Path(path)) for path in data.annotations]
        return of_files(
            [Path(p) for p in data.images], Path(data.root), f"{self.title} {year} {part}", classes
        )

    def _class_of(self, annotation: Path) -> str:
        text = "".join(annotation.read_text(encoding="utf-8").split())
        return "horse" if "<name>horse</name>" in text else self.other
