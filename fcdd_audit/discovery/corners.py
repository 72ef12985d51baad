"""Corners and edges of the files at their own scale, searched beside the whole images."""

from __future__ import annotations

from functools import partial

import numpy as np
from torch import Tensor

from fcdd_audit.discovery.matching import Template, bearing
from fcdd_audit.discovery.repeated import Searched
from fcdd_audit.discovery.repeats import Shape, View
from fcdd_audit.discovery.views import ANCHORS, CROP, Anchor, corner_views
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
    """The views of corners and edges of the files of these images; all large files of the side are matched
    with what is sure.

    gallery: of the side, with their names. InputError for a file that can't be decoded.
    """
    names = tuple(images.names[place] for place in places)
    found = corner_views(_of_names(gallery, names))
    everyone = np.arange(len(names))
    return [
        Searched(
            side,
            view := _as_colour(own),
            view.images,
            names,
            everyone,
            ASKED,
            cut,
            partial(_widened, side, images, places, gallery, view, cut.anchor),
            view.mirrored,
        )
        for own, cut in zip(found.views, found.cuts, strict=True)
    ]


def _widened(
    side: str, images: ImageSet, places: np.ndarray, gallery: Gallery, view: View, anchor: Anchor
) -> Searched:
    """One view, of all large files of the side."""
    every = large(images, np.arange(len(images)))
    names = tuple(images.names[place] for place in every)
    found = corner_views(_of_names(gallery, names), anchors=(anchor,))
    whole = _as_colour(found.views[0])
    sampled = np.searchsorted(every, places)
    return Searched(side, view, whole.images, names, sampled, ASKED, found.cuts[0], None, whole.mirrored)


def files_bearing(gallery: Gallery, template: Template) -> np.ndarray:
    """Which files bear what a template of a corner or edge was made of, bool (n,); none that is smaller than
    the view. ValueError for a template of whole images. InputError for a file that can't be decoded."""
    anchor = next(one for one in ANCHORS if one.name == template.anchor)
    found = corner_views(gallery, template.side, anchors=(anchor,))
    view = _as_colour(found.views[0])
    bears = np.zeros(len(gallery), bool)
    bears[found.places] = bearing(view.images, template, view.mirrored)
    return bears


def _of_names(gallery: Gallery, names: tuple[str, ...]) -> Gallery:
    index = {name: place for place, name in enumerate(gallery.names)}
    return gallery.take(index[name] for name in names)


def _as_colour(view: View) -> View:
    """With three channels, so that sides can be compared of which one is grey."""
    both: list[Tensor] = [one.expand(-1, 3, -1, -1) for one in (view.images, view.mirrored)]
    return View(view.name, *both)
