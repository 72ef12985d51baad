"""Where the artifacts are that images came with: read from mask files, COCO JSON or Pascal VOC XML."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DTDForbidden
from defusedxml.ElementTree import fromstring
from pycocotools import mask as run_lengths
from skimage.draw import polygon

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.images.decode import Origin
from fcdd_audit.images.files import SUFFIXES, find_files, hidden_note
from fcdd_audit.images.gallery import printable
from fcdd_audit.images.listing import listed
from fcdd_audit.images.masks import mask_notes, read_mask, turned_along

KINDS = "give a folder of mask images, a folder of Pascal VOC XML files, or a COCO JSON file"
MAX_PIXELS = 1 << 28  # of an annotated image; more is a slip, and would fill the memory
SLACK = 1.0  # px that a box may lie outside its image: tools round, and some count VOC's pixels from 0
ROUNDING = 1e-6  # px that a box's end may pass a pixel's edge by without covering it: 0.1 + 0.2 isn't 0.3
FLAT = 1e-9  # of the square of a polygon's extent: an area up to this is none, but for rounding

ENDINGS = (*SUFFIXES, ".xml")  # that don't count when names are compared
STRANGERS = (0, False, False)  # how well paths agree that don't

Part = Callable[[], Any]  # makes what selects the part's pixels in a bool (H, W) array
Size = tuple[int, int]  # height and width
Area = Callable[
    [Size | None], np.ndarray
]  # makes such an array; it gets the image's own size, if it is known

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

    InputError for whatever can't be used as it is, and if nothing is annotated at all.
    """
    path, wanted = Path(path), frozenset(only)
    if not path.exists():
        raise InputError(f"annotations '{path}' don't exist; {KINDS}")
    found = (
        _read_folder(path, wanted)
        if path.is_dir()
        else Annotations(str(path), _read_coco(path, wanted, strict))
    )
    if not any(found.areas.values()):
        chosen = f" of {', '.join(sorted(wanted))}" if wanted else ""
        raise InputError(f"'{path}' has no box and no polygon{chosen} in it; annotate at least one image")
    return found


def _read_folder(path: Path, only: Collection[str]) -> Annotations:
    (described, hidden), (masks, hidden_masks) = find_files(path, (".xml",)), find_files(path)
    for note in hidden_note(hidden if described else hidden_masks):
        log.warning("'%s': %s", path, note)
    if described:
        return Annotations(str(path), _read_voc(path, described, only))
    if not masks:
        raise InputError(f"folder '{path}' has neither mask images nor XML files in it; {KINDS}")
    if only:
        raise InputError(f"'{path}' is a folder of masks, which have no categories; drop 'only'")
    return Annotations(str(path), _read_masks(path, masks), drawn=True)


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


# Boxes, polygons and run lengths


def _painted(size: Size, parts: Sequence[Part], _: Size | None) -> np.ndarray:
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


def _encloses_nothing(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a polygon with these corners is a point, a line, or a path there and back.

    Its area is zero, and it is no figure of eight, whose halves cancel out though it encloses them.
    """
    starts = np.stack([x - x[0], y - y[0]], axis=1)
    ends = np.roll(starts, -1, axis=0)
    least = FLAT * float(np.ptp(starts, axis=0).max()) ** 2
    if abs(_cross(starts, ends).sum()) > least:
        return False

    def sides(points: np.ndarray) -> np.ndarray:
        """On which side of each edge each point is; 0: on its line."""
        found = _cross((ends - starts)[:, None], points[None] - starts[:, None])
        return np.where(np.abs(found) > least, np.sign(found), 0)

    apart = sides(starts) * sides(ends) < 0
    return not (apart & apart.T).any()


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])


def _polygon(points: Any, size: Size, what: str) -> Part:
    """points: x and y in turn, in px from the image's upper left corner."""
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise InputError(f"{what} is {_short(points)}; a list of x and y of at least three corners is needed")
    values = np.array([_number(value, f"a corner of {what}") for value in points])
    x, y = values[0::2], values[1::2]
    _check_inside((y.min(), x.min()), (y.max(), x.max()), size, what)
    if _encloses_nothing(x, y):
        raise InputError(
            f"{what} has the polygon {_short(points)}, which encloses nothing; correct or drop it"
        )

    def pixels() -> Any:
        rows, columns = polygon(y - 0.5, x - 0.5, shape=size)  # it has pixel centres at whole numbers
        if len(rows):
            return rows, columns
        return tuple(np.floor(v).clip(0, side - 1).astype(int) for v, side in zip((y, x), size, strict=True))

    return pixels


def _runs(runs: Mapping[str, Any], size: Size, what: str) -> Part:
    """COCO's run lengths, as a list or compressed: of pixels outside and inside in turn, column by column."""
    refusal = InputError(
        f"{what} has run lengths that don't add up to its {size[1]} x {size[0]} px; export it again"
    )
    counts: Any = runs.get("counts")
    if runs.get("size") != list(size):
        raise refusal
    if isinstance(counts, list):
        if not all(type(count) is int and count >= 0 for count in counts) or sum(counts) != size[0] * size[1]:
            raise refusal
        packed = run_lengths.frPyObjects({"size": list(size), "counts": counts}, *size)
    elif isinstance(counts, str) and counts.isascii() and _adds_up(counts.encode(), size):
        packed = {"size": list(size), "counts": counts.encode()}
    else:
        raise refusal
    return lambda: run_lengths.decode(packed).astype(bool)


def _adds_up(counts: bytes, size: Size) -> bool:
    """Whether compressed run lengths make exactly that many pixels: as few as fit, and too many for one less.

    pycocotools refuses what is too long, but leaves what is too short with memory that nobody wrote to.
    """
    pixels = size[0] * size[1]
    try:
        run_lengths.decode({"size": [1, pixels], "counts": counts})
    except ValueError:
        return False
    try:
        run_lengths.decode({"size": [1, pixels - 1], "counts": counts})
    except ValueError:
        return True
    return False


def _check_known(only: Collection[str], known: Collection[str], path: Path) -> None:
    for name in sorted(only):
        if name not in known:
            raise InputError(
                f"'{path}' has no category '{name}'{suggest(name, list(known))} "
                f"(known: {', '.join(sorted(known)) or 'none'})"
            )


# COCO


def _read_coco(path: Path, only: Collection[str], strict: bool) -> dict[str, Area | None]:
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
    degenerate: list[str] = []
    for annotation in _records(content, "annotations", path):
        if wanted and annotation.get("category_id") not in wanted:
            continue
        key = _key(annotation, "image_id", path)
        if key not in images:
            raise InputError(f"'{path}' has an annotation of image {key}, which isn't in it; add or drop it")
        where, image = f"'{names[key]}' in '{path}'", images[key]
        sizes[key] = _size(image.get("height"), image.get("width"), where)
        what = f"an annotation of {where}"
        usable = annotation if strict else _without_degenerate(annotation, names[key], degenerate)
        if usable is not None:
            parts.setdefault(key, []).extend(_coco_parts(usable, sizes[key], what))
    if degenerate:
        what = (
            "1 polygon or box encloses nothing and is"
            if len(degenerate) == 1
            else f"{len(degenerate)} polygons or boxes enclose nothing and are"
        )
        log.warning("'%s': %s left out, of %s", path, what, listed(list(dict.fromkeys(degenerate))))
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


def _without_degenerate(
    annotation: Mapping[str, Any], name: str, left_out: list[str]
) -> Mapping[str, Any] | None:
    """The annotation without polygons that enclose nothing; if none is left, its box. None if that has no
    area, either. Adds its image's name to `left_out` for each polygon, and for a box without any.
    """
    outline, box = annotation.get("segmentation"), annotation.get("bbox")
    if isinstance(outline, list) and outline:
        kept = [points for points in outline if not _is_degenerate(points)]
        left_out += [name] * (len(outline) - len(kept))
        return {**annotation, "segmentation": kept} if kept or _has_area(box) else None
    if not outline and isinstance(box, list) and len(box) == 4 and 0 in box[2:]:
        left_out.append(name)
        return None
    return annotation


def _is_degenerate(points: Any) -> bool:
    """Whether a polygon encloses nothing; what is no polygon at all is refused later."""
    if not isinstance(points, list) or len(points) % 2:
        return False
    if len(points) < 6:
        return True
    return _are_near(points) and _encloses_nothing(
        np.array(points[0::2], float), np.array(points[1::2], float)
    )


def _has_area(box: Any) -> bool:
    """Whether it is a box of COCO's with a width and a height."""
    return isinstance(box, list) and len(box) == 4 and _are_near(box) and min(box[2:]) > 0


def _are_near(values: Sequence[Any]) -> bool:
    """Whether these are numbers that can be px of an image; others are refused where they are used."""
    return all(isinstance(value, int | float) and abs(value) <= MAX_PIXELS for value in values)


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


def _read_voc(base: Path, paths: Sequence[Path], only: Collection[str]) -> dict[str, Area | None]:
    areas: dict[str, Area | None] = {}
    known: set[str] = set()
    for path in paths:
        root = _xml(path)
        objects = [(found.findtext("name", "").strip(), found) for found in root.findall("object")]
        known |= {name for name, _ in objects}
        chosen = [found for name, found in objects if not only or name in only]
        areas[printable(path.relative_to(base).as_posix())] = (
            _voc_area(root, chosen, path) if chosen else None
        )
    _check_known(only, known, base)
    return areas


def _voc_area(root: Element, chosen: Sequence[Element], path: Path) -> Area:
    height, width = root.findtext("size/height"), root.findtext("size/width")
    if _is_unknown(height) and _is_unknown(width):
        return partial(_voc_area_of_image, chosen, path)
    size = _size(height, width, f"the image of '{path}'")
    return partial(_painted, size, [_voc_box(found, size, path) for found in chosen])


def _is_unknown(side: str | None) -> bool:
    """Whether a height or width is missing, empty or zero."""
    try:
        return not (side or "").strip() or float(side or "") == 0
    except ValueError:
        return False


def _voc_area_of_image(chosen: Sequence[Element], path: Path, size: Size | None) -> np.ndarray:
    """Boxes of a file that doesn't say how large its image is."""
    if size is None:
        raise InputError(
            f"'{path}' doesn't say the size of its image, and the image has no file of its own that does; "
            "write its width and height there"
        )
    return _painted(size, [_voc_box(found, size, path) for found in chosen], size)


def _xml(path: Path) -> Element:
    try:
        root: Element = fromstring(path.read_bytes(), forbid_dtd=True)
    except OSError as error:
        raise InputError(f"can't read annotations '{path}': {error.strerror}; {KINDS}") from None
    except DTDForbidden:  # entities, with which a small file can fill the memory, are declared there
        raise InputError(
            f"'{path}' can't be read as XML (it has a DOCTYPE, which isn't allowed); repair or remove it"
        ) from None
    except (ParseError, ValueError, LookupError) as error:  # LookupError: of an unknown encoding
        raise InputError(f"'{path}' can't be read as XML ({error}); repair or remove it") from None
    if root.tag != "annotation":
        raise InputError(
            f"'{path}' is no Pascal VOC annotation: it begins with <{root.tag}>, not <annotation>; remove it"
        )
    return root


def _voc_box(found: Element, size: Size, path: Path) -> Part:
    left, top, right, bottom = (
        _number(found.findtext(f"bndbox/{side}"), f"{side} of a box in '{path}'")
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return _box(left - 1, top - 1, right, bottom, size, f"a box in '{path}'")
