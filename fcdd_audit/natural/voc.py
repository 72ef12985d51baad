"""Pascal VOC XML: which images bear the artifact, and where."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DTDForbidden
from defusedxml.ElementTree import fromstring

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.listing import printable
from fcdd_audit.natural.shapes import (
    KINDS,
    Area,
    Part,
    Size,
    box_part,
    check_known,
    number_of,
    painted,
    size_of,
)


def read_voc(base: Path, paths: Sequence[Path], only: Collection[str]) -> dict[str, Area | None]:
    """Where the artifact is, by path below `base`; None where an image has none. The rest is as in
    `annotations.read_annotations`."""
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
    check_known(only, known, base)
    return areas


def _voc_area(root: Element, chosen: Sequence[Element], path: Path) -> Area:
    height, width = root.findtext("size/height"), root.findtext("size/width")
    if _is_unknown(height) and _is_unknown(width):
        return partial(_voc_area_of_image, chosen, path)
    size = size_of(height, width, f"the image of '{path}'")
    return partial(painted, size, [_voc_box(found, size, path) for found in chosen])


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
    return painted(size, [_voc_box(found, size, path) for found in chosen], size)


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
        number_of(found.findtext(f"bndbox/{side}"), f"{side} of a box in '{path}'")
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return box_part(left - 1, top - 1, right, bottom, size, f"a box in '{path}'")
