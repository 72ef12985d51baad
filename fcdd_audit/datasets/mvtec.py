"""MVTec AD, and every inspection data set in its layout."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets.base import DATASETS, AuditData, DataRequest, DataSet
from fcdd_audit.datasets.folder import load_listing
from fcdd_audit.images.files import is_folder, subfolders, unread_line

SIZE = 224
FOLDERS = ("", "mvtec", "mvtec_anomaly_detection", "MVTec", "mvtec_ad")
CATEGORIES = (
    "bottle",
    "cable",
    "capsule",
    "carpet",
    "grid",
    "hazelnut",
    "leather",
    "metal_nut",
    "pill",
    "screw",
    "tile",
    "toothbrush",
    "transistor",
    "wood",
    "zipper",
)
LAYOUT = "<category>/train/good, test/good, test/<defect> and ground_truth/<defect>, there or in mvtec/"
OBTAIN = "mvtec.com/company/research/datasets/mvtec-ad (4.9 GB, CC BY-NC-SA 4.0), unpacked with tar"
log = logging.getLogger("fcdd_audit")


@DATASETS.register("mvtec")
class Mvtec(DataSet):
    """MVTec AD, one of 15 categories of products; OE: confetti noise, or --masks-per-defect N.

    Any data set in MVTec's layout works: its categories are the folders that have a train/good, or for
    finished detectors a test/good.
    """

    def classes(self, root: Path | None) -> tuple[str, ...]:
        base = _base(root)
        return CATEGORIES if base is None else _categories(base)

    def missing(self, root: Path | None) -> str | None:
        if root is None:
            return "give --data-root DIR"
        try:
            return None if _base(root) else _absent(root)
        except InputError as error:
            return str(error)

    def load(self, request: DataRequest) -> AuditData:
        base = _base(request.data_root)
        if request.data_root is None or base is None:
            raise InputError(_absent(request.data_root))
        category = request.nominal_class or _categories(base)[0]
        data = load_listing("mvtec", category, base / category, request, SIZE, "confetti")
        return replace(data, notes=(*data.notes, *_unread_note(base)))


def _base(root: Path | None) -> Path | None:
    if root is None:
        return None
    return next((root / name for name in FOLDERS if _categories(root / name)), None)


def _categories(base: Path) -> tuple[str, ...]:
    if not is_folder(base):
        return ()
    folders = subfolders(base).paths
    train, test = (
        tuple(folder.name for folder in folders if os.path.isdir(folder / part / "good"))
        for part in ("train", "test")
    )
    return train or test  # a finished detector needs no training images


def _unread_note(base: Path) -> list[str]:
    """What may be categories, but can't be read: said, since `all` categories are audited without them."""
    unread = sorted(subfolders(base).left_out.unread)
    if not unread:
        return []
    line = unread_line("categories beside this one", unread)
    log.warning("'%s': %s", base, line)
    return [f"{line}."]


def _absent(root: Path | None) -> str:
    where = "is read from a folder; give it with --data-root DIR" if root is None else f"isn't under '{root}'"
    hint = ""
    if root is not None and (packed := sorted(root.glob("mvtec*.tar.*"))):
        hint = f" ('{packed[0].name}' must be unpacked first)"
    elif root is not None and any(is_folder(root / part / "good") for part in ("train", "test")):
        hint = " (it is a single category: use --dataset folder, or give its parent folder)"
    return f"MVTec AD {where}{hint}; looked for {LAYOUT}. To get it: {OBTAIN}"
