"""Where the artifacts are that images came with: read from mask files, COCO JSON or Pascal VOC XML."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.decode import Origin
from fcdd_audit.images.files import REMEDY, SUFFIXES, find_files, hidden_note, is_folder, unread_line
from fcdd_audit.images.listing import printable
from fcdd_audit.images.masks import mask_notes, read_mask, turned_along
from fcdd_audit.natural.coco import read_coco
from fcdd_audit.natural.shapes import (
    KINDS,
    Area,
    Size,
)
from fcdd_audit.natural.voc import read_voc

ENDINGS = (*SUFFIXES, ".xml")  # that don't count when names are compared
STRANGERS = (0, False, False)  # how well paths agree that don't


log = logging.getLogger("fcdd_audit")


@dataclass(frozen=True)
class Annotations:
    """Where the artifacts of some images are.

    source: what was read, for messages. areas: by the path that the annotations know an image by, what makes
    its mask at the annotation's own size; None: the image is known to have no artifact. drawn: whether the
    masks are files, of which one that marks nothing, or nearly everything, may be a slip.
    """

    source: str
    areas: Mapping[str, Area | None]
    drawn: bool = False

    def mask(self, name: str, origin: Origin | None = None) -> np.ndarray | None:
        """Where the artifact is in one image, bool (H, W), or None if it has none.

        InputError as `masks` raises it. Whether another image fits the same annotation isn't known here.
        """
        return next(self.masks([name], [origin]))

    def masks(
        self, names: Sequence[str], origins: Sequence[Origin | None] | None = None
    ) -> Iterator[np.ndarray | None]:
        """`mask` of each image, one at a time.

        origins: of the images' files, where they are known: annotations of photos that are stored lying on
        their side may be of the photo as it is stored, or as it is seen (see `masks.turned_along`).

        Warns, once all are made, of mask files that mark nothing, or nearly everything. InputError where
        `match` raises it, for a mask file that can't be decoded, and for an annotation without a size of an
        image whose own isn't known.
        """
        shares: dict[str, float] = {}
        origins = origins if origins is not None else [None] * len(names)
        for path, origin in zip(self.match(names), origins, strict=True):
            area = None if path is None else self.areas[path]
            if path is None or area is None:
                yield None
                continue
            mask = turned_along(area(None if origin is None else (origin.height, origin.width)), origin)
            shares[path] = float(mask.mean())
            yield mask if mask.any() else None
        if self.drawn:
            for note in mask_notes(shares):
                log.warning("'%s': %s", self.source, note)

    def match(self, names: Sequence[str]) -> list[str | None]:
        """The path in `areas` that belongs to each image, or None.

        names: relative POSIX paths, best of all images that the annotations are for: which image an
        annotation without folders means is only known when no other could be meant. Suffixes of image
        files don't count. First come paths that agree: one ends in the other, and the more parts are common
        the better. What is left is matched by the file name alone. InputError, naming the two, if two
        annotations fit an image, or two images an annotation, equally well.
        """
        annotated, images = _by_stem(self.areas), _by_stem(dict.fromkeys(names))
        found: dict[str, str] = {}
        for stem, paths in annotated.items():
            if stem in images:
                found |= self._pairs(images[stem], paths)
        return [found.get(name) for name in names]

    def _pairs(self, names: list[str], paths: list[str]) -> dict[str, str]:
        """Image to annotation, of all that have the same file name."""
        common = {(name, path): _agreement(name, path) for name in names for path in paths}
        # An annotation is open only to the images that it agrees with best.
        best = {path: max(common[name, path] for name in names) for path in paths}
        found: dict[str, str] = {}
        for name in names:
            open_to = [path for path in paths if common[name, path] == best[path] > STRANGERS]
            if open_to:
                top = max(common[name, path] for path in open_to)
                self._take(found, [name], [path for path in open_to if common[name, path] == top])
        taken = set(found.values())
        self._take(
            found,
            [name for name in names if name not in found],
            [path for path in paths if path not in taken],
        )
        return found

    def _take(self, found: dict[str, str], names: list[str], paths: list[str]) -> None:
        """Give an image the annotation, if one of each is there and it isn't given to another."""
        if not names or not paths:
            return
        if len(paths) > 1:
            raise InputError(
                f"image '{names[0]}' fits two annotations in '{self.source}', '{paths[0]}' and '{paths[1]}'; "
                "give them the paths that the images have"
            )
        names = [*(name for name, path in found.items() if path == paths[0]), *names]
        if len(names) > 1:
            raise InputError(
                f"annotation '{paths[0]}' in '{self.source}' fits two images, '{names[0]}' and "
                f"'{names[1]}'; give it the path that its image has"
            )
        found[names[0]] = paths[0]


def _agreement(name: str, path: str) -> tuple[int, bool, bool]:
    """How well two paths agree: common parts, whether these are all, whether the suffixes are equal, too."""
    one, other = _parts(name), _parts(path)
    common = min(len(one), len(other))
    if one[-common:] != other[-common:]:
        return STRANGERS
    return common, len(one) == len(other), name == path


def _parts(path: str) -> tuple[str, ...]:
    """A path's parts without the suffix of an image or annotation file."""
    pure = PurePosixPath(path)
    return (pure.with_suffix("") if pure.suffix.lower() in ENDINGS else pure).parts


def _by_stem(paths: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(_parts(path)[-1], []).append(path)
    return found


def read_annotations(path: str | Path, only: Collection[str] = (), strict: bool = False) -> Annotations:
    """Read a folder of masks, a folder of Pascal VOC XML files, or a COCO JSON file.

    only: names of categories to use; empty: all. Masks have none. strict: refuse COCO's polygons and boxes
    that enclose nothing (a point, a line) instead of leaving them out with a warning.

    Masks are image files with the image's relative path and any suffix, or NAME_mask; what they mark is said
    at `masks.read_mask`. A folder that holds any XML file is a VOC folder; the XML files have the images'
    relative paths (<filename> isn't used: it goes stale when images are renamed). Hidden files are left out,
    and said.

    VOC's boxes count pixels from 1 and include the last; COCO's are x, y, width, height in px from the
    image's upper left corner. Of a box every pixel that it touches is artifact; of a polygon every pixel
    whose centre it contains or, if it contains none, those that its corners are in. Boxes and polygons may
    lie outside the image by up to one pixel, which is cut off. Where COCO has a polygon or run lengths,
    compressed or not, beside a box, the box isn't used, unless all its polygons enclose nothing and are left
    out. A VOC file whose size is missing, empty or 0 x 0 is taken to have the image's own.

    InputError for whatever can't be read or used as it is, and if nothing is annotated at all.
    """
    path, wanted = Path(path), frozenset(only)
    if not (is_folder(path) or path.exists()):
        raise InputError(f"annotations '{path}' don't exist; {KINDS}")
    found = (
        _read_folder(path, wanted)
        if path.is_dir()
        else Annotations(str(path), read_coco(path, wanted, strict))
    )
    if not any(found.areas.values()):
        chosen = f" of {', '.join(sorted(wanted))}" if wanted else ""
        raise InputError(f"'{path}' has no box and no polygon{chosen} in it; annotate at least one image")
    return found


def _read_folder(path: Path, only: Collection[str]) -> Annotations:
    described, masks = find_files(path, (".xml",)), find_files(path)
    left_out = described.left_out if described.paths else masks.left_out
    if unread := described.left_out.unread | left_out.unread:
        # They are never skipped: an image without its annotation would count as free of the artifact.
        line = unread_line(f"annotations '{path}'", sorted(unread))
        raise InputError(f"{line} - {REMEDY}, or remove them")
    for note in hidden_note(left_out.hidden):
        log.warning("'%s': %s", path, note)
    if described.paths:
        return Annotations(str(path), read_voc(path, described.paths, only))
    if not masks.paths:
        raise InputError(f"folder '{path}' has neither mask images nor XML files in it; {KINDS}")
    if only:
        raise InputError(f"'{path}' is a folder of masks, which have no categories; drop 'only'")
    return Annotations(str(path), _read_masks(path, masks.paths), drawn=True)


# Masks


def _read_masks(base: Path, paths: Sequence[Path]) -> dict[str, Area]:
    areas: dict[str, Area] = {}
    owners: dict[tuple[str, ...], Path] = {}
    for path in paths:
        image = path.with_name(path.stem.removesuffix("_mask") + path.suffix)
        name = printable(image.relative_to(base).as_posix())
        owner = owners.setdefault(_parts(name), path)
        if owner != path:
            raise InputError(f"'{base}' has two masks of one image, '{owner}' and '{path}'; remove one")
        areas[name] = partial(_from_file, path)
    return areas


def _from_file(path: Path, _: Size | None) -> np.ndarray:
    return read_mask(path)
