"""COCO JSON: which images bear the artifact, and where."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.listing import listed
from fcdd_audit.natural.shapes import (
    KINDS,
    MAX_PIXELS,
    Area,
    Part,
    Size,
    box_part,
    check_known,
    encloses_nothing,
    number_of,
    painted,
    polygon_part,
    runs_part,
    shortened,
    size_of,
)

log = logging.getLogger("fcdd_audit")


def read_coco(path: Path, only: Collection[str], strict: bool) -> dict[str, Area | None]:
    """Where the artifact is, by file_name; None where an image has none. The rest is as in
    `annotations.read_annotations`."""
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
        sizes[key] = size_of(image.get("height"), image.get("width"), where)
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
        name: partial(painted, sizes[key], parts[key]) if key in parts else None
        for key, name in names.items()
    }


def _categories(content: Any, only: Collection[str], path: Path) -> list[int | str]:
    """The ids of the categories with these names."""
    if not only:
        return []
    names = {
        _key(record, "id", path): str(record.get("name")) for record in _records(content, "categories", path)
    }
    check_known(only, set(names.values()), path)
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
        raise InputError(f"'{path}': an {name} is {shortened(key)}; a number is needed")
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
    return _are_near(points) and encloses_nothing(
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
        return [runs_part(outline, size, what)]
    if outline:
        if not isinstance(outline, list):
            raise InputError(
                f"{what} has the segmentation {shortened(outline)}; a list of polygons is needed"
            )
        return [polygon_part(points, size, what) for points in outline]
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(
            f"{what} has no polygon, and its bbox is {shortened(box)}; x, y, width and height are needed"
        )
    left, top, width, height = (number_of(value, f"a value of the bbox of {what}") for value in box)
    return [box_part(left, top, left + width, top + height, size, what)]
