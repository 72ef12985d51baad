"""The views in which repeated content is sought: whole images, and native pixels of their corners and edges.

Marks are put so many pixels from a corner, whatever the size of the image. Where images are reduced to the
detector's size, they come to lie at other places and blur; cut from the files at native scale they don't.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.repeats import View
from fcdd_audit.images.ahead import in_order
from fcdd_audit.images.decode import OWN_DEPTH
from fcdd_audit.images.depth import Depth
from fcdd_audit.images.gallery import Gallery

CROP = 96  # px
LARGEST = 96  # px a side, of whole images that are searched
LEAST = 8  # px, of a crop or view
AHEAD = 64  # pictures whose crops wait to be taken


@dataclass(frozen=True)
class Anchor:
    """Where a view is cut: down and across are shares of the room that the crop leaves, in [0, 1].

    In the middle of the width an image's crop is its own opposite; else that lies at the other end.
    """

    name: str
    down: float
    across: float

    def place(self, size: tuple[int, int], crop: int, mirrored: bool = False) -> tuple[int, int]:
        """Top and left, in px, in an image of that height and width. mirrored: of the opposite crop."""
        across = 1 - self.across if mirrored else self.across
        return int(self.down * (size[0] - crop)), int(across * (size[1] - crop))


ANCHORS = (
    Anchor("lower-left", 1, 0),
    Anchor("upper-left", 0, 0),
    Anchor("left", 0.5, 0),
    Anchor("bottom", 1, 0.5),
    Anchor("top", 0, 0.5),
)


OPPOSITE = {"lower-left": "lower-right", "upper-left": "upper-right", "left": "right"}


@dataclass(frozen=True)
class Cut:
    """Where a view's images were cut from their files. crop: px of a side. sizes: int64 (n, 2), height and
    width of the whole upright images."""

    anchor: Anchor
    crop: int
    sizes: np.ndarray

    def called(self, mirrored: bool) -> str:
        """The place for people: that of the mirrored images is the opposite one."""
        name = self.anchor.name
        return OPPOSITE.get(name, name) if mirrored else name

    def frames(self, images: np.ndarray, mirrored: bool) -> list[tuple[int, int, int, int]]:
        """Height and width of these images, and top and left of the view in them."""
        sizes = [(int(rows), int(columns)) for rows, columns in self.sizes[images]]
        return [(*size, *self.anchor.place(size, self.crop, mirrored)) for size in sizes]


@dataclass(frozen=True)
class CornerViews:
    """Views at native scale, all of the same images.

    views: in the order of `anchors`. places: int64 (m,), of the views' images in what they were cut from.
    left_out: int64, places of images smaller than the crop. sizes: int64 (m, 2), height and width in px of
    the whole upright images. crop: side of the views, in px.
    """

    views: tuple[View, ...]
    places: np.ndarray
    left_out: np.ndarray
    sizes: np.ndarray
    crop: int
    anchors: tuple[Anchor, ...] = ANCHORS

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Where each view was cut."""
        return tuple(Cut(anchor, self.crop, self.sizes) for anchor in self.anchors)


def image_view(images: Tensor) -> View:
    """Whole images and their mirror images, the view "image".

    images: uint8 (n, C, S, S), C is 1 or 3. ValueError for other images.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images are uint8 (n, 1 or 3, S, S), not {images.dtype} {tuple(images.shape)}")
    own = images.shape[2]
    if images.shape[3] != own:
        raise ValueError(f"images are square, not {images.shape[3]}x{own} px")
    return View("image", images, images.flip(-1))


def reduced(images: Tensor, largest: int = LARGEST) -> Tensor:
    """Whole images, uint8 (n, C, S, S), as they are searched: larger ones are reduced to so many px."""
    if images.shape[2] <= largest:
        return images
    return F.interpolate(images, (largest, largest), mode="bilinear", antialias=True)


def corner_views(
    gallery: Gallery,
    crop: int = CROP,
    *,
    anchors: Sequence[Anchor] = ANCHORS,
    depth: Depth = OWN_DEPTH,
    advance: Callable[[int], None] = lambda _: None,
) -> CornerViews:
    """The corners and the middles of the edges of all images, at native scale.

    "lower-left" shows the lower left crops and, as their mirrored ones, the mirrored lower right crops, so
    that both corners are searched; "upper-left" and "left" (the middle of that edge) likewise; "bottom" and
    "top" the middle of that edge and its own mirror image. Views have 3 channels if any crop has colour,
    else 1. Each picture is decoded once, and only its crops are kept.

    crop: side of the views, in px. anchors: of the views that are cut. depth: of the pictures' data set.
    advance: is told of pictures that are done. ValueError for a crop under LEAST; InputError for a picture
    that can't be decoded.
    """
    if crop < LEAST:
        raise ValueError(f"crops are at least {LEAST} px, not {crop}")
    shape = (len(anchors), 2, len(gallery), 3, crop, crop)
    cut = np.empty(shape, np.uint8)  # memory that is never written to is never taken
    places: list[int] = []
    sizes: list[tuple[int, int]] = []
    coloured = False
    for place, (size, crops) in in_order(
        gallery, _cutter(gallery, crop, anchors, depth), "cut", AHEAD, False
    ):
        advance(1)
        if crops is None:
            continue
        cut[:, :, len(places)] = crops if crops.shape[2] == 3 else np.repeat(crops, 3, 2)
        coloured = coloured or bool((crops != crops[:, :, :1]).any())
        places.append(place)
        sizes.append(size)
    kept = torch.from_numpy(cut)[:, :, : len(places)]
    if not coloured:
        kept = kept[:, :, :, :1].clone()
    return CornerViews(
        tuple(View(anchor.name, *both) for anchor, both in zip(anchors, kept, strict=True)),
        np.array(places, np.int64),
        np.setdiff1d(np.arange(len(gallery)), places).astype(np.int64),
        np.array(sizes, np.int64).reshape(-1, 2),
        crop,
        tuple(anchors),
    )


def _cutter(
    gallery: Gallery, crop: int, anchors: Sequence[Anchor], depth: Depth
) -> Callable[[int], tuple[tuple[int, int], np.ndarray | None]]:
    """From a place in the gallery to the picture's height and width and its crops, (anchors, 2, C, S, S).

    None for a picture that is too small. The second of two crops is the opposite one, mirrored.
    """

    def cut(place: int) -> tuple[tuple[int, int], np.ndarray | None]:
        try:
            picture = gallery.read(place, depth).picture
        except Exception as error:  # whatever a decoder raises on a damaged file
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"can't decode {gallery.what} image {gallery.names[place]}: {reason}") from None
        pixels = np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)
        size = pixels.shape[1], pixels.shape[2]
        if min(size) < crop:
            return size, None
        crops = []
        for anchor in anchors:
            for mirrored in (False, True):
                top, left = anchor.place(size, crop, mirrored)
                own = pixels[:, top : top + crop, left : left + crop]
                crops.append(own[..., ::-1] if mirrored else own)
        return size, np.stack(crops).reshape(len(anchors), 2, -1, crop, crop)

    return cut
