"""The images that are searched: the training images of each side of a data set, or a folder without sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fcdd_audit.core.errors import InputError
from fcdd_audit.datasets import DATASETS, AuditData, DataRequest
from fcdd_audit.datasets.folder import DEFAULT_SIZE
from fcdd_audit.datasets.outliers import outliers
from fcdd_audit.discovery.discover import FEWEST
from fcdd_audit.images.files import NOTHING, find_files, is_folder
from fcdd_audit.images.gallery import Gallery, of_files
from fcdd_audit.images.listing import printable
from fcdd_audit.images.parts import decoded_parts
from fcdd_audit.images.sets import ImageSet, told_apart

FOLDER = "folder"  # the data set that is searched without another
WITHOUT_SIDES = "images"  # the side of images that have none
NOMINAL = ("nominal", "good")  # folders of train/ in the tool's layout, and in MVTec's
SMALLEST = 16  # px


@dataclass(frozen=True)
class Sides:
    """Images by side: `nominal` and `anomalous`, or `images`. notes: what must be known of them.
    few_photographs: as of `AuditData`. galleries: the files that images are from, by side, where they are
    files of the data set's own."""

    images: Mapping[str, ImageSet]
    notes: tuple[str, ...] = ()
    few_photographs: bool = False
    galleries: Mapping[str, Gallery] = field(default_factory=dict)

    @property
    def side_of(self) -> dict[str, str]:
        """The side of each image, by its name."""
        return {name: side for side, images in self.images.items() for name in images.names}

    def enough(self) -> Sides:
        """Only sides with enough images, and a note on each other one; InputError if none has, or where the
        images are no squares that can be searched."""
        for images in self.images.values():
            _check_size(images)
        kept = {side: images for side, images in self.images.items() if len(images) >= FEWEST}
        few = [
            f"{len(images)} {side}".removesuffix(f" {WITHOUT_SIDES}")
            for side, images in self.images.items()
            if 0 < len(images) < FEWEST
        ]
        if not kept:
            there = " and ".join(few) or "no"
            raise InputError(
                f"{there} images are too few to tell a repeated mark from chance; at least {FEWEST} of a "
                "side are needed"
            )
        notes = [f"Not searched: {one} images are too few, under {FEWEST}." for one in few]
        return replace(self, images=kept, notes=(*self.notes, *notes))


def _check_size(images: ImageSet) -> None:
    if not len(images):
        return
    height, width = images.images.shape[2:]
    if height != width:
        raise InputError(f"the images are {width}x{height} px; say to which square they go: image_size=64")
    if height < SMALLEST:
        raise InputError(
            f"images of {height} px are too small to be searched; give an image size of {SMALLEST} px or more"
        )


def sides_of_dataset(dataset: str, request: DataRequest) -> Sides:
    """The training images of a data set, outlier exposure as the anomalous ones. InputError as it raises."""
    if dataset == FOLDER:
        return _of_folder(request)
    return sides_of(DATASETS[dataset]().load(request))


def sides_of(data: AuditData) -> Sides:
    """The training images of an audit."""
    sides = {"nominal": data.train_nominal, "anomalous": data.train_anomalous}
    return Sides(told_apart(sides), data.notes, data.few_photographs)


def _of_folder(request: DataRequest) -> Sides:
    """A folder in the tool's layout, which needs nothing but train/, or any other, whose images have no
    sides."""
    root = request.data_root
    if root is None:
        raise InputError(
            "there is nothing to search; give a folder of images with --data-root DIR, or name a data set "
            "with --dataset"
        )
    if not is_folder(root):
        raise InputError(f"data root '{root}' is no folder; give an existing one with --data-root")
    name = next((name for name in NOMINAL if is_folder(root / "train" / name)), None)
    places = (
        {WITHOUT_SIDES: root}
        if name is None
        else {"nominal": root / "train" / name, "anomalous": root / "train" / "anomalous"}
    )
    galleries, notes = _galleries(places, root, request.skip_corrupt)
    first = next(iter(places))
    if first not in galleries:
        raise InputError(f"there are no images in '{places[first]}'; give another folder with --data-root")
    exposed = name is not None and request.oe is not None
    if exposed:
        galleries.pop("anomalous", None)
    elif name is None and request.oe is not None:
        raise InputError(
            f"images without sides have no outlier exposure, and '--oe {request.oe}' can't be used; drop it"
        )
    size = request.image_size or DEFAULT_SIZE
    found = decoded_parts(galleries, size, request.reading, notes, request.channels)
    if exposed:
        found["anomalous"], more = outliers(request, "none", found["nominal"])
        notes += more
    return Sides(told_apart(found), tuple(notes), galleries=galleries)


def _galleries(
    places: Mapping[str, Path], root: Path, skip_corrupt: bool
) -> tuple[dict[str, Gallery], list[str]]:
    """The image files of each place that has some, named by their paths below `root`, and notes."""
    left_out = NOTHING
    galleries = {}
    for side, place in places.items():
        found = find_files(place, base=root)
        left_out |= found.left_out
        if found.paths:
            galleries[side] = of_files(found.paths, root, side)
    return galleries, left_out.notes(f"'{printable(root.resolve().name)}'", skip_corrupt)
