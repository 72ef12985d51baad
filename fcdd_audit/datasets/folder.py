"""Any folder of images, in this tool's layout or MVTec's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, DataSet, check_parts
from fcdd_audit.datasets.outliers import CONFETTI, outliers
from fcdd_audit.images.files import NOTHING, Found, find_files, is_folder, subfolders
from fcdd_audit.images.gallery import Gallery, of_files
from fcdd_audit.images.listing import printable
from fcdd_audit.images.masks import mask_notes, read_mask, shrunk, turned_along
from fcdd_audit.images.parts import decoded_parts
from fcdd_audit.images.sets import ImageSet

LAYOUT = (
    "expected train/nominal, test/nominal, test/anomalous and, if there are any, train/anomalous, "
    "validation/nominal and masks (or MVTec's train/good, test/good, test/<defect>, ground_truth/<defect>)"
)
TEST_LAYOUT = "expected test/nominal and test/anomalous (or MVTec's test/good and test/<defect>)"
DEFAULT_SIZE = 64
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Listing:
    """The files of a folder data set.

    masks: by the anomalous test image that they belong to. unused_masks: how many belong to none. notes: on
    what was left out.
    """

    train_nominal: list[Path]
    train_anomalous: list[Path]
    validation: list[Path]
    test_nominal: list[Path]
    test_anomalous: list[Path]
    masks: dict[Path, Path]
    unused_masks: int
    notes: list[str]


def list_folder(root: Path, test_only: bool = False, skip_corrupt: bool = False) -> Listing:
    """Find the files of both layouts.

    test_only: images to train on need not be there. InputError if `root` has neither layout, and for files
    and folders that can't be read, unless `skip_corrupt`.
    """
    if not is_folder(root):
        raise InputError(f"data root '{root}' is no folder; give an existing one with --data-root")
    part, layout = ("test", TEST_LAYOUT) if test_only else ("train", LAYOUT)
    nominal = next((n for n in ("nominal", "good") if is_folder(root / part / n)), None)
    if nominal is None:
        raise InputError(f"'{root}' has neither {part}/nominal nor {part}/good; {layout}")
    test = root / "test"
    kinds, left_out = subfolders(test, root) if is_folder(test) else Found([], NOTHING)

    def find(folder: Path) -> list[Path]:
        nonlocal left_out
        found = find_files(folder, base=root)
        left_out |= found.left_out
        return found.paths

    anomalous = [path for folder in kinds if folder.name != nominal for path in find(folder)]
    mask_files = [(path, base) for base in (root / "masks", root / "ground_truth") for path in find(base)]
    masks = _match_masks(root, anomalous, mask_files)
    nominal_paths = (
        find(root / "train" / nominal),
        find(root / "train" / "anomalous"),
        find(root / "validation" / nominal),
        find(test / nominal),
    )
    notes = left_out.notes(f"'{printable(root.resolve().name)}'", skip_corrupt)
    unused = len(mask_files) - len(set(masks.values()))
    listing = Listing(*nominal_paths, anomalous, masks, unused, notes)
    for part in ("train_nominal", "test_nominal", "test_anomalous")[test_only:]:
        if not getattr(listing, part):
            where = part.replace("_", "/").replace("nominal", nominal)
            raise InputError(f"'{root}' has no {where} images; {layout}")
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
class Folder(DataSet):
    """Your own images under --data-root: train/nominal, test/nominal, test/anomalous, or MVTec's layout.

    Images are resized to squares of --image-size (64 px); they stay grey if every nominal training
    image is. A fifth of the nominal training images is held out for validation, unless there is
    validation/nominal. Without
    train/anomalous, the outlier exposure is crops of scikit-image's photos (--oe photos), another
    folder or source (--oe DIR), confetti or none.
    """

    def load(self, request: DataRequest) -> AuditData:
        if request.data_root is None:
            raise InputError("data set 'folder' needs a folder; give it with --data-root DIR")
        name = printable(request.data_root.resolve().name)
        return load_listing("folder", name, request.data_root, request, DEFAULT_SIZE, "photos")

    def missing(self, root: Path | None) -> str | None:
        if root is None:
            return "give --data-root DIR"
        try:
            list_folder(root)
        except InputError as error:
            return str(error)
        return None


def load_listing(
    dataset: str, nominal_class: str, root: Path, request: DataRequest, size: int, oe: str
) -> AuditData:
    """The data of a folder in one of the two layouts; size, oe: the data set's defaults.

    With `request.masks_per_defect`, so many test images with masks of each kind of defect (each folder below
    test) go to the anomalous training images and aren't tested on. With `request.test_only`, the training
    parts are empty, and validation is too where the folder has no nominal images besides those to test on.
    InputError for outlier exposure that could not be used beside what there is.
    """
    if request.masks_per_defect and request.oe not in (None, "none"):
        raise InputError(
            f"with --masks-per-defect the labelled anomalies take the place of outlier exposure, and '--oe "
            f"{request.oe}' can't be used; drop one of them"
        )
    if request.test_only and request.oe is not None:
        raise InputError(f"nothing is trained, and '--oe {request.oe}' can't be used; drop it")
    listing = list_folder(root, request.test_only, request.skip_corrupt)
    size = request.image_size or size
    notes = [*listing.notes]
    if listing.unused_masks:
        notes.append(f"{listing.unused_masks} mask files match no anomalous test image and are not used.")
    masks = _read_masks(listing.masks, root, size, notes)
    learnt, tested = _semi_supervised(listing.test_anomalous, masks, request.masks_per_defect, root)

    def gallery(paths: list[Path], part: str) -> Gallery:
        return of_files(paths, root, part)

    kept, held = (
        gallery(listing.train_nominal, "train/nominal"),
        gallery(listing.validation, "validation/nominal"),
    )
    if listing.train_nominal and not listing.validation:
        kept, held = kept.split(VALIDATION_SHARE, numpy_generator(0, "validation"))
    parts = {
        "test_nominal": gallery(listing.test_nominal, "test/nominal"),
        "test_anomalous": gallery(tested, "test/anomalous"),
    }
    training = {"train_nominal": kept, "validation": held}
    labelled = gallery(learnt, "labelled training")
    own = gallery(listing.train_anomalous, "train/anomalous")
    if learnt:
        training["train_anomalous"] = labelled
    elif listing.train_anomalous and request.oe is None:
        if request.oe_limit is not None and dataset == "folder":
            raise InputError(
                "the training anomalies are the folder's own train/anomalous, which '--oe-limit "
                f"{request.oe_limit}' doesn't limit; drop it, or name outlier exposure with --oe"
            )
        training["train_anomalous"] = own
    # The first part decides on colour; all files of the folder, whether they are used or not, on the depth.
    if request.test_only:
        training = {"validation": held} if len(held) else {}
    wanted = {**training, **parts}
    beside = [other for other in (kept, held, labelled, own) if other not in wanted.values()]
    found = decoded_parts(wanted, size, request.reading, notes, request.channels, beside=beside)
    found["test_anomalous"] = _masked(found["test_anomalous"], masks, "test/anomalous", notes)
    if request.test_only:
        if learnt:
            notes.append(f"{len(learnt)} anomalous images with masks are left out, as if trained on.")
        none = ImageSet(found["test_nominal"].images[:0], ())
        if listing.train_nominal and not listing.validation:
            notes.append(
                f"The threshold is from {len(held)} images of train/nominal: where the detector was trained "
                "on them it may be too low, and validation/nominal, or --threshold, says more."
            )
        tests = found["test_nominal"], found["test_anomalous"]
        held_out = found.get("validation", none)
        data = AuditData(dataset, nominal_class, none, none, held_out, *tests, notes=tuple(notes))
        return check_parts(data, test_only=True)
    exposed = "train_anomalous" not in found
    if learnt:
        found["train_anomalous"] = _masked(found["train_anomalous"], masks, "labelled training", notes)
        notes.append(
            f"{len(found['train_anomalous'])} anomalous images with masks are trained on instead of outlier "
            "exposure."
        )
        if listing.train_anomalous:
            notes.append(f"The {len(listing.train_anomalous)} images of train/anomalous are not used.")
    elif exposed:
        found["train_anomalous"], oe_notes = outliers(request, oe, found["train_nominal"])
        notes += oe_notes
    else:
        notes.append("Training anomalies: the folder's own train/anomalous.")
    return check_parts(
        AuditData(
            name=dataset,
            nominal_class=nominal_class,
            train_nominal=found["train_nominal"],
            train_anomalous=found["train_anomalous"],
            validation=found["validation"],
            test_nominal=found["test_nominal"],
            test_anomalous=found["test_anomalous"],
            notes=tuple(notes),
            outlier_exposure=exposed,
            malformed=exposed and (request.oe or oe) == CONFETTI,
        )
    )


class _Mask(NamedTuple):
    """A mask as bool (1, size, size), and the height and width of its file."""

    square: Tensor
    shape: tuple[int, int]


def _read_masks(files: dict[Path, Path], root: Path, size: int, notes: list[str]) -> dict[str, _Mask]:
    """Masks by the name of their image, without those that mark nothing.

    files: by the image. Adds to `notes` which masks mark nothing, or nearly everything.
    """
    masks: dict[str, _Mask] = {}
    shares: dict[str, float] = {}
    for image, path in files.items():
        mask = read_mask(path)
        shares[_name(path, root)] = float(mask.mean())
        if mask.any():
            masks[_name(image, root)] = _Mask(shrunk(mask, size), mask.shape)
    notes += mask_notes(shares)
    return masks


def _masked(images: ImageSet, masks: dict[str, _Mask], part: str, notes: list[str]) -> ImageSet:
    """Anomalous images with the masks that they have."""
    if not masks:
        return images
    size = images.images.shape[-1]
    found = torch.zeros((len(images), 1, size, size), dtype=torch.bool)
    origins = images.origins or (None,) * len(images)
    for target, name, origin in zip(found, images.names, origins, strict=True):
        if name in masks:
            square, shape = masks[name]
            target[0] = torch.from_numpy(turned_along(square[0].numpy(), origin, shape))
    count = sum(name in masks for name in images.names)
    notes.append(f"{count} of {len(images)} {part} images have masks.")
    return replace(images, masks=found)


def _name(path: Path, root: Path) -> str:
    """What `of_files` calls a file."""
    return printable(path.relative_to(root).as_posix())


def _semi_supervised(
    images: list[Path], masks: Collection[str], count: int, root: Path
) -> tuple[list[Path], list[Path]]:
    """Anomalous images to train on, `count` with masks of each kind of defect, and those left to test on.

    masks: names of the images that have one.
    """
    if count == 0:
        return [], images
    rng = numpy_generator(0, "labelled anomalies")
    by_defect: dict[str, list[Path]] = {}
    for path in images:
        by_defect.setdefault(path.relative_to(root / "test").parts[0], []).append(path)
    learnt: list[Path] = []
    for defect, paths in by_defect.items():
        with_mask = [path for path in paths if _name(path, root) in masks]
        if len(with_mask) < count or len(paths) <= count:
            raise InputError(
                f"masks per defect is {count}, but of '{printable(defect)}' there are {len(paths)} test "
                f"images, {len(with_mask)} with masks, and at least one must be left to test on; lower "
                "--masks-per-defect"
            )
        learnt += [with_mask[i] for i in sorted(rng.permutation(len(with_mask))[:count].tolist())]
    taken = set(learnt)
    return learnt, [path for path in images if path not in taken]
