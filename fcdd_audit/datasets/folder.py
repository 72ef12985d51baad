"""Any folder of images, in this tool's layout or MVTec's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, ImageSet, check_parts
from fcdd_audit.datasets.images import decode_mask, find_images, load_images, to_tensor
from fcdd_audit.datasets.photos import photo_crops
from fcdd_audit.errors import InputError
from fcdd_audit.seeding import numpy_generator

LAYOUT = (
    "expected train/nominal, test/nominal, test/anomalous and, if there are any, train/anomalous and "
    "masks (or MVTec's train/good, test/good, test/<defect>, ground_truth/<defect>)"
)
DEFAULT_SIZE = 64
OE_COUNT = 512
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Listing:
    """The files of a folder data set, which mask belongs to which anomalous test image, and how many
    mask files belong to none."""

    train_nominal: list[Path]
    train_anomalous: list[Path]
    test_nominal: list[Path]
    test_anomalous: list[Path]
    masks: dict[Path, Path]
    unused_masks: int


def list_folder(root: Path) -> Listing:
    """Find the files of both layouts; InputError if `root` has neither."""
    if not root.is_dir():
        raise InputError(f"data root '{root}' is no folder; give an existing one with --data-root")
    nominal = next((n for n in ("nominal", "good") if (root / "train" / n).is_dir()), None)
    if nominal is None:
        raise InputError(f"'{root}' has neither train/nominal nor train/good; {LAYOUT}")
    test = root / "test"
    anomalous = (
        [path for folder in sorted(test.iterdir()) if folder.name != nominal for path in find_images(folder)]
        if test.is_dir()
        else []
    )
    mask_files = [
        (path, base) for base in (root / "masks", root / "ground_truth") for path in find_images(base)
    ]
    masks = _match_masks(root, anomalous, mask_files)
    listing = Listing(
        find_images(root / "train" / nominal),
        find_images(root / "train" / "anomalous"),
        find_images(test / nominal),
        anomalous,
        masks,
        len(mask_files) - len(set(masks.values())),
    )
    for part in ("train_nominal", "test_nominal", "test_anomalous"):
        if not getattr(listing, part):
            where = part.replace("_", "/").replace("nominal", nominal)
            raise InputError(f"'{root}' has no {where} images; {LAYOUT}")
    return listing


def _match_masks(root: Path, anomalous: list[Path], mask_files: list[tuple[Path, Path]]) -> dict[Path, Path]:
    """masks/<same name> or ground_truth/<defect>/<same name>_mask, with any image suffix.

    mask_files: each mask's file, and the folder that its name is relative to.
    """
    stems: dict[str, Path] = {}
    for path, base in mask_files:
        name = path.relative_to(base).with_suffix("").as_posix()
        stems.setdefault(name.removesuffix("_mask"), path)
        stems[name] = path
    found = {}
    for path in anomalous:
        inside = path.relative_to(root / "test").with_suffix("")
        for name in (inside.as_posix(), Path(*inside.parts[1:]).as_posix()):
            if name in stems:
                found[path] = stems[name]
                break
    return found


@DATASETS.register("folder")
def load_folder(request: DataRequest) -> AuditData:
    """Your own images under --data-root: train/nominal, test/nominal, test/anomalous, or MVTec's layout.

    Images are resized to squares of --image-size (64 px); they stay grey if every nominal training
    image is. A fifth of the nominal training images is held out for validation. Without
    train/anomalous, the outlier exposure is crops of scikit-image's photos (--oe photos), another
    folder (--oe DIR) or nothing (--oe none).
    """
    if request.data_root is None:
        raise InputError("data set 'folder' needs a folder; give it with --data-root DIR")
    root = request.data_root
    listing = list_folder(root)
    size = request.image_size or DEFAULT_SIZE
    notes: list[str] = []

    def load(paths: list[Path], what: str) -> tuple[list[Image.Image], list[Path]]:
        pictures, kept, corrupt = load_images(paths, size, what, request.skip_corrupt, request.progress)
        if corrupt:
            notes.append(f"{len(corrupt)} corrupt {what} images skipped: {', '.join(corrupt)}")
        return pictures, [paths[index] for index in kept]

    parts = {
        part: load(getattr(listing, part), part.replace("_", "/"))
        for part in ("train_nominal", "test_nominal", "test_anomalous")
    }
    grey = all(map(_is_grey, parts["train_nominal"][0]))
    channels = 1 if grey else 3

    def image_set(pictures: list[Image.Image], paths: list[Path], base: Path) -> ImageSet:
        names = tuple(_printable(path.relative_to(base).as_posix()) for path in paths)
        return ImageSet(to_tensor(pictures, channels, size), names)

    def outliers() -> ImageSet:
        if request.oe is None and listing.train_anomalous:
            notes.append("Training anomalies: the folder's own train/anomalous.")
            return image_set(*load(listing.train_anomalous, "train/anomalous"), root)
        if request.oe == "none":
            return image_set([], [], root)
        if request.oe in (None, "photos"):
            notes.append("Outlier exposure: crops of scikit-image's photos.")
            crops, names = photo_crops(channels, size, OE_COUNT, numpy_generator(0, "outliers"))
            pixels = torch.from_numpy(np.rint(crops * 255).astype(np.uint8))
            return ImageSet(pixels.permute(0, 3, 1, 2).contiguous(), names)
        folder = Path(request.oe)
        if not request.oe.strip() or not folder.is_dir():
            raise InputError(
                f"outlier exposure '{request.oe}' is no folder; give --oe an existing folder, "
                "'photos' or 'none'"
            )
        paths = find_images(folder)
        if not paths:
            raise InputError(f"outlier exposure folder '{folder}' has no images")
        found = image_set(*load(paths, "outlier exposure"), folder)
        notes.append(f"Outlier exposure: {len(found)} images of folder '{folder.name}'.")
        return found

    train = image_set(*parts["train_nominal"], root)
    order = numpy_generator(0, "validation").permutation(len(train))
    held = max(1, round(VALIDATION_SHARE * len(train)))
    held_out, kept = np.sort(order[:held]), np.sort(order[held:])
    pictures, paths = parts["test_anomalous"]
    masks = None
    if listing.unused_masks:
        notes.append(f"{listing.unused_masks} mask files match no anomalous test image and are not used.")
    if listing.masks:
        empty = torch.zeros((1, size, size), dtype=torch.bool)
        masks = torch.stack(
            [decode_mask(listing.masks[p], size) if p in listing.masks else empty for p in paths]
        )
        notes.append(
            f"{sum(p in listing.masks for p in paths)} of {len(paths)} anomalous test images have masks."
        )
    test_anomalous = image_set(pictures, paths, root)
    return check_parts(
        AuditData(
            name="folder",
            nominal_class=_printable(root.resolve().name),
            train_nominal=_subset(train, kept),
            train_anomalous=outliers(),
            validation=_subset(train, held_out),
            test_nominal=image_set(*parts["test_nominal"], root),
            test_anomalous=ImageSet(test_anomalous.images, test_anomalous.names, masks),
            notes=tuple(notes),
        )
    )


def _printable(name: str) -> str:
    """A file's name as text that can be written, whatever its bytes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _is_grey(picture: Image.Image) -> bool:
    """Whether a picture has no colour, even if its file could hold some."""
    bands = [np.asarray(band) for band in picture.split()]
    return all(np.array_equal(bands[0], band) for band in bands[1:])


def _subset(images: ImageSet, index: np.ndarray) -> ImageSet:
    return ImageSet(images.images[torch.from_numpy(index)], tuple(images.names[i] for i in index))
