"""Corners and edges of the files at their own scale, searched beside the whole images."""

from __future__ import annotations

import numpy as np

from fcdd_audit.discovery.repeated import Searched
from fcdd_audit.discovery.repeats import Shape, View
from fcdd_audit.discovery.views import CROP, corner_views
from fcdd_audit.images.gallery import Gallery
from fcdd_audit.images.sets import ImageSet

# What marks of files are: all fields and shapes in five views would take several times as long.
BASE = CROP // 4
ASKED: tuple[tuple[str, Shape], ...] = (
    ("gradient", (BASE, BASE)),
    ("gradient", (BASE, 5 * BASE // 2)),
    ("whitened", (BASE, BASE)),
)


def large(images: ImageSet, places: np.ndarray) -> np.ndarray:
    """Of the images at these places those whose files are larger than the images, and no smaller than a view;
    none where that isn't known."""
    if images.origins is None:
        return places[:0]
    side = max(CROP, images.images.shape[2] + 1)
    kept = [min(images.origins[place].height, images.origins[place].width) >= side for place in places]
    return places[np.array(kept, bool)]


def corners(side: str, images: ImageSet, places: np.ndarray, gallery: Gallery) -> list[Searched]:
    """The views of corners and edges of the files of these images. gallery: of the side, with their names.
    InputError for a file that can't be decoded."""
    index = {name: place for place, name in enumerate(gallery.names)}
    names = tuple(images.names[place] for place in places)
    found = corner_views(gallery.take(index[name] for name in names))
    everyone = np.arange(len(names))
    return [
        Searched(side, _as_colour(view), _as_colour(view).images, names, everyone, ASKED, cut)
        for view, cut in zip(found.views, found.cuts, strict=True)
    ]


def _as_colour(view: View) -> View:
    """With three channels, so that sides can be compared of which one is grey."""
    return View(view.name, *(one.expand(-1, 3, -1, -1) for one in (view.images, view.mirrored)))
