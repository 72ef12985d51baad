"""Where the artifacts are that images came with: read from mask files, COCO JSON or Pascal VOC XML."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from skimage.draw import polygon

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.images.decode import DEEP_MODES, SUFFIXES, find_images
from fcdd_audit.images.gallery import printable

KINDS = "give a folder of mask images, a folder of Pascal VOC XML files, or a COCO JSON file"
MAX_PIXELS = 1 << 28  # of an annotated image; more is a slip, and would fill the memory
SLACK = 1.0  # px that a box may lie outside its image: tools round, and some count VOC's pixels from 0
ROUNDING = 1e-6  # px that a box's end may pass a pixel's edge by without covering it: 0.1 + 0.2 isn't 0.3

ENDINGS = (*SUFFIXES, ".xml")  # that don't count when names are compared
STRANGERS = (0, False, False)  # how well paths agree that don't

Area = Callable[[], np.ndarray]  # makes a bool (H, W) array
Part = Callable[[], Any]  # makes what selects the part's pixels in such an array
Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class Annotations:
    """Where the artifacts of some images are.

    source: what was read, for messages. areas: by the path that the annotations know an image by, what makes
    its mask at the annotation's own size; None: the image is known to have no artifact.
    """

    source: str
    areas: Mapping[str, Area | None]

    def mask(self, name: str) -> np.ndarray | None:
        """Where the artifact is in one image, bool (H, W), or None if it has none.

        InputError as `masks` raises it. Whether another image fits the same annotation isn't known here.
        """
        return next(self.masks([name]))

    def masks(self, names: Sequence[str]) -> Iterator[np.ndarray | None]:
        """`mask` of each image, one at a time.

        InputError where `match` raises it, and for a mask file that can't be decoded.
        """
        for path in self.match(names):
            area = None if path is None else self.areas[path]
            mask = None if area is None else area()
            yield mask if mask is not None and mask.any() else None

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


def read_annotations(path: str | Path, only: Collection[str] = ()) -> Annotations:
    """Read a folder of masks, a folder of Pascal VOC XML files, or a COCO JSON file.

    only: names of categories to use; empty: all. Masks have none.

    Masks are image files with the image's relative path and any suffix, or NAME_mask; what isn't black and
    isn't transparent is artifact (in JPEG files, whose edges ring, what is brighter than half). A folder that
    holds any XML file is a VOC folder; the XML files have the images' relative paths (<filename> isn't used:
    it goes stale when images are renamed).

    VOC's boxes count pixels from 1 and include the last; COCO's are x, y, width, height in px from the
    image's upper left corner. Of a box every pixel that it touches is artifact; of a polygon every pixel
    whose centre it contains or, if it contains none, those that its corners are in. Boxes and polygons may
    lie outside the image by up to one pixel, which is cut off. Where COCO has a polygon or (uncompressed) run
    lengths beside a box, the box isn't used.

    InputError for whatever can't be used as it is, and if nothing is annotated at all.
    """
    path, wanted = Path(path), frozenset(only)
    if not path.exists():
        raise InputError(f"annotations '{path}' don't exist; {KINDS}")
    areas = _read_folder(path, wanted) if path.is_dir() else _read_coco(path, wanted)
    if not any(areas.values()):
        chosen = f" of {', '.join(sorted(wanted))}" if wanted else ""
        raise InputError(f"'{path}' has no box and no polygon{chosen} in it; annotate at least one image")
    return Annotations(str(path), areas)


def _read_folder(path: Path, only: Collection[str]) -> Mapping[str, Area | None]:
    described, masks = sorted(path.rglob("*.xml")), find_images(path)
    if described:
        return _read_voc(path, described, only)
    if not masks:
        raise InputError(f"folder '{path}' has neither mask images nor XML files in it; {KINDS}")
    if only:
        raise InputError(f"'{path}' is a folder of masks, which have no categories; drop 'only'")
    return _read_masks(path, masks)


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
        areas[name] = partial(_marked, path)
    return areas


def _marked(path: Path) -> np.ndarray:
    """Where a mask file is marked, upright."""
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
        alpha = picture.getchannel("A") if "A" in picture.getbands() else None
        values = np.asarray(picture if picture.mode in DEEP_MODES else picture.convert("L"))
    except Exception as error:  # whatever a decoder raises on a damaged file
        raise InputError(
            f"mask '{path}' can't be decoded ({type(error).__name__}); repair or remove it"
        ) from None
    marked = values > (127 if path.suffix.lower() in (".jpg", ".jpeg") else 0)
    return marked if alpha is None else marked & (np.asarray(alpha) > 0)


# Boxes, polygons and run lengths


def _painted(size: Size, parts: Sequence[Part]) -> np.ndarray:
    canvas = np.zeros(size, bool)
    for part in parts:
        canvas[part()] = True
    return canvas


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{what} is {_short(value)}; a number is needed")
    return number


def _short(value: Any) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 40 else f"{text[:40]}..."


def _size(height: Any, width: Any, what: str) -> Size:
    sides = [_number(height, f"the height of {what}"), _number(width, f"the width of {what}")]
    if not all(side >= 1 and side.is_integer() for side in sides) or sides[0] * sides[1] > MAX_PIXELS:
        raise InputError(
            f"the size of {what} is {sides[1]:g} x {sides[0]:g} px; write the image's true size there"
        )
    return int(sides[0]), int(sides[1])


def _check_inside(lows: Sequence[float], highs: Sequence[float], size: Size, what: str) -> None:
    """InputError unless what reaches from `lows` to `highs` (y, x) is inside the image, or almost."""
    for low, high, side in zip(lows, highs, size, strict=True):
        if low < -SLACK or high > side + SLACK or high <= 0 or low >= side:
            raise InputError(
                f"{what} lies outside its image: it reaches from x {lows[1]:g}, y {lows[0]:g} to "
                f"x {highs[1]:g}, y {highs[0]:g} px, and the image has {size[1]} x {size[0]} px; correct it, "
                "or the image's size"
            )


def _box(left: float, top: float, right: float, bottom: float, size: Size, what: str) -> Part:
    """left to bottom: px from the image's upper left corner; the ends are where the box ends."""
    if not (right > left and bottom > top):
        raise InputError(f"{what} is {right - left:g} x {bottom - top:g} px; a box must have an area")
    _check_inside((top, left), (bottom, right), size, what)
    spans = tuple(
        slice(max(0, math.floor(low + ROUNDING)), min(side, math.ceil(high - ROUNDING)))
        for low, high, side in zip((top, left), (bottom, right), size, strict=True)
    )
    return lambda: spans


def _polygon(points: Any, size: Size, what: str) -> Part:
    """points: x and y in turn, in px from the image's upper left corner."""
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise InputError(f"{what} is {_short(points)}; a list of x and y of at least three corners is needed")
    values = np.array([_number(value, f"a corner of {what}") for value in points])
    x, y = values[0::2], values[1::2]
    _check_inside((y.min(), x.min()), (y.max(), x.max()), size, what)

    def pixels() -> Any:
        rows, columns = polygon(y - 0.5, x - 0.5, shape=size)  # it has pixel centres at whole numbers
        if len(rows):
            return rows, columns
        return tuple(np.floor(v).clip(0, side - 1).astype(int) for v, side in zip((y, x), size, strict=True))

    return pixels


def _runs(runs: Mapping[str, Any], size: Size, what: str) -> Part:
    """COCO's uncompressed run lengths: of pixels outside and inside in turn, column by column."""
    counts: Any = runs.get("counts")
    if isinstance(counts, str):
        raise InputError(
            f"{what} has compressed run lengths, which aren't supported; write it as polygons or as a list "
            "of counts (pycocotools decodes it)"
        )
    whole = isinstance(counts, list) and all(type(count) is int and count >= 0 for count in counts)
    if not whole or runs.get("size") != list(size) or sum(counts) != size[0] * size[1]:
        raise InputError(
            f"{what} has run lengths that don't add up to its {size[1]} x {size[0]} px; export it again"
        )
    inside = np.arange(len(counts)) % 2 == 1
    return lambda: np.repeat(inside, counts).reshape(size[::-1]).T


def _check_known(only: Collection[str], known: Collection[str], path: Path) -> None:
    for name in sorted(only):
        if name not in known:
            raise InputError(
                f"'{path}' has no category '{name}'{suggest(name, list(known))} "
                f"(known: {', '.join(sorted(known)) or 'none'})"
            )


# COCO


def _read_coco(path: Path, only: Collection[str]) -> dict[str, Area | None]:
    content = _json(path)
    images: dict[int | str, Mapping[str, Any]] = {}
    names: dict[int | str, str] = {}
    for image in _records(content, "images", path):
        key, name = _key(image, "id", path), image.get("file_name")
        name = PurePosixPath(name.replace("\\", "/")) if isinstance(name, str) else PurePosixPath()
        if not name.name:
            raise InputError(f"'{path}': image {key} has no file_name; write its path there")
        images[key], names[key] = image, name.as_posix()
    if len(set(names.values())) < len(content["images"]):
        raise InputError(f"'{path}' has two images with the same id or file_name; give each its own")
    wanted = _categories(content, only, path)
    parts: dict[int | str, list[Part]] = {}
    sizes: dict[int | str, Size] = {}
    for annotation in _records(content, "annotations", path):
        if wanted and annotation.get("category_id") not in wanted:
            continue
        key = _key(annotation, "image_id", path)
        if key not in images:
            raise InputError(f"'{path}' has an annotation of image {key}, which isn't in it; add or drop it")
        where, image = f"'{names[key]}' in '{path}'", images[key]
        sizes[key] = _size(image.get("height"), image.get("width"), where)
        parts.setdefault(key, []).extend(_coco_parts(annotation, sizes[key], f"an annotation of {where}"))
    return {
        name: partial(_painted, sizes[key], parts[key]) if key in parts else None
        for key, name in names.items()
    }


def _categories(content: Any, only: Collection[str], path: Path) -> list[int | str]:
    """The ids of the categories with these names."""
    if not only:
        return []
    names = {
        _key(record, "id", path): str(record.get("name")) for record in _records(content, "categories", path)
    }
    _check_known(only, set(names.values()), path)
    return [key for key, name in names.items() if name in only]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"can't read annotations '{path}': {error.strerror}; {KINDS}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"annotations '{path}' are no JSON ({error}); {KINDS}") from None


def _records(content: Any, name: str, path: Path) -> list[Mapping[str, Any]]:
    records = content.get(name) if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"'{path}' is no COCO JSON: it has no list of {name}; {KINDS}")
    return records


def _key(record: Mapping[str, Any], name: str, path: Path) -> int | str:
    key = record.get(name)
    if not isinstance(key, int | str):
        raise InputError(f"'{path}': an {name} is {_short(key)}; a number is needed")
    return key


def _coco_parts(annotation: Mapping[str, Any], size: Size, what: str) -> list[Part]:
    outline, box = annotation.get("segmentation"), annotation.get("bbox")
    if isinstance(outline, dict):
        return [_runs(outline, size, what)]
    if outline:
        if not isinstance(outline, list):
            raise InputError(f"{what} has the segmentation {_short(outline)}; a list of polygons is needed")
        return [_polygon(points, size, what) for points in outline]
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(
            f"{what} has no polygon, and its bbox is {_short(box)}; x, y, width and height are needed"
        )
    left, top, width, height = (_number(value, f"a value of the bbox of {what}") for value in box)
    return [_box(left, top, left + width, top + height, size, what)]


# Pascal VOC


class _NoDoctype(ET.TreeBuilder):
    """Entities, with which a small file can fill the memory, are only declared in a DOCTYPE."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a DOCTYPE, which isn't allowed")


def _read_voc(base: Path, paths: Sequence[Path], only: Collection[str]) -> dict[str, Area | None]:
    areas: dict[str, Area | None] = {}
    known: set[str] = set()
    for path in paths:
        root = _xml(path)
        objects = [(found.findtext("name", "").strip(), found) for found in root.findall("object")]
        known |= {name for name, _ in objects}
        chosen = [found for name, found in objects if not only or name in only]
        area = None
        if chosen:
            size = _size(root.findtext("size/height"), root.findtext("size/width"), f"the image of '{path}'")
            area = partial(_painted, size, [_voc_box(found, size, path) for found in chosen])
        areas[printable(path.relative_to(base).as_posix())] = area
    _check_known(only, known, base)
    return areas


def _xml(path: Path) -> ET.Element:
    try:
        root = ET.fromstring(path.read_bytes(), ET.XMLParser(target=_NoDoctype()))  # noqa: S314
    except OSError as error:
        raise InputError(f"can't read annotations '{path}': {error.strerror}; {KINDS}") from None
    except (ET.ParseError, ValueError, LookupError) as error:  # LookupError: of an unknown encoding
        raise InputError(f"'{path}' can't be read as XML ({error}); repair or remove it") from None
    if root.tag != "annotation":
        raise InputError(
            f"'{path}' is no Pascal VOC annotation: it begins with <{root.tag}>, not <annotation>; remove it"
        )
    return root


def _voc_box(found: ET.Element, size: Size, path: Path) -> Part:
    left, top, right, bottom = (
        _number(found.findtext(f"bndbox/{side}"), f"{side} of a box in '{path}'")
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return _box(left - 1, top - 1, right, bottom, size, f"a box in '{path}'")
