"""Artifacts that the images came with: nothing is planted, only found."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.options import check_options
from fcdd_audit.core.registry import Registry
from fcdd_audit.images.cache import CENTRE
from fcdd_audit.images.decode import Fit, Origin
from fcdd_audit.natural.annotations import read_annotations
from fcdd_audit.natural.shapes import KINDS
from fcdd_audit.probes.base import Probe
from fcdd_audit.probes.chain import PLUS, make_probe, probe_names
from fcdd_audit.probes.checks import check_interval

ROUNDING = 1e-9  # of sums of shares

log = logging.getLogger("fcdd_audit")


@runtime_checkable
class NaturalArtifact(Protocol):
    """Knows where an artifact is on images that came with it.

    on_outliers: whether it is looked for on outlier exposure too. by_name: whether images are known by name.
    """

    by_name: ClassVar[bool]

    @property
    def on_outliers(self) -> bool: ...

    def find(
        self,
        names: Sequence[str],
        shape: tuple[int, int],
        fit: Fit = "squash",
        origins: Sequence[Origin | None] | None = None,
    ) -> Tensor:
        """Where each image's artifact is, bool (N, 1, H, W) of shape (H, W); all False where it has none.

        names: of all images at once. fit: how the images were made square. origins: of the images' files,
        None for those that have none. InputError where that can't be told.
        """
        ...


NATURAL: Registry[type[NaturalArtifact]] = Registry("natural artifact")


def check_artifact(name: str) -> None:
    """InputError unless it names a natural artifact, a probe, or a chain of probes."""
    if name in NATURAL:
        return
    for part in name.split(PLUS):
        if part in NATURAL:
            raise InputError(
                f"'{part}' is found on images, not planted, so it can't be used in '{name}'; name it alone"
            )
    probe_names(name)


def make_artifact(name: str, options: Mapping[str, Mapping[str, Any]]) -> Probe | NaturalArtifact:
    """The natural artifact of that name, else `make_probe`."""
    check_artifact(name)
    if name not in NATURAL:
        return make_probe(name, options)
    chosen = options.get(name, {})
    check_options(name, NATURAL[name], chosen)
    return NATURAL[name](**chosen)


def _means(values: np.ndarray, start: float, end: float, cells: int) -> np.ndarray:
    """Means over so many equal cells between start and end (px) of the first axis: (N, ...) to (cells, ...).

    By running sums: a product of matrices takes longer, and far longer when its threads share busy cores.
    """
    edges = np.linspace(start, end, cells + 1)
    whole = np.minimum(edges.astype(int), len(values) - 1)
    sums = np.cumsum(values, axis=0, dtype=np.float64)
    # Up to each edge: all pixels before the one that it is in, and its share of that one.
    up_to = sums[whole] - values[whole] * (whole + 1 - edges)[:, None]
    return np.diff(up_to, axis=0) * cells / (end - start)


def _shares(start: float, length: float, pixels: int) -> np.ndarray:
    """How much of each pixel lies in an interval, given in shares of the axis; (pixels,), in [0, 1]."""
    pixel, first, last = np.arange(pixels), start * pixels, (start + length) * pixels
    return np.clip(np.minimum(last, pixel + 1) - np.maximum(first, pixel), 0, None)


def _covered(coverage: np.ndarray) -> Tensor:
    """The pixels of which at least half is covered (see `fitted`). coverage: in [0, 1]."""
    best = coverage.max()
    least = 0.5 if best >= 0.5 * (1 - ROUNDING) else best / 2
    return torch.from_numpy((coverage > ROUNDING) & (coverage >= least * (1 - ROUNDING)))


def fitted(mask: np.ndarray, shape: tuple[int, int], fit: Fit = "squash") -> Tensor:
    """A mask brought to the images' size as they were: bool (H, W) of any size to bool `shape`.

    fit: as in `images.cache.cached`: the whole mask is squashed, or its `centre` cut out. A pixel is
    artifact if at least half of its area is. Thin artifacts must not vanish: if no pixel of the whole image
    reaches half, those count of which at least half as much is covered as of the best one. (A thin part
    beside a thick one does vanish.) Empty if no part of the mask is in the cut.
    """
    height, width = mask.shape
    side = min(height, width) * CENTRE
    tall, wide = (side, side) if fit == "centre" else (height, width)
    top, left = (height - tall) / 2, (width - wide) / 2
    rows = _means(mask, top, top + tall, shape[0])
    return _covered(_means(rows.T, left, left + wide, shape[1]).T)


@NATURAL.register("region")
@dataclass(frozen=True)
class Region:
    """The same box of every image of one's own, such as a camera's date: found, not planted.

    left, top: the box's upper left corner as shares of the image's width and height, in [0, 1).
    width, height: its sides as such shares, in (0, 1]; it must lie inside the image and can't be all of it.

    Shares of the image as the detector sees it: where a data set cuts out the centre, of what is cut out.
    Outlier exposure comes from elsewhere and isn't taken to bear it.
    """

    by_name: ClassVar[bool] = False

    left: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0

    def __post_init__(self) -> None:
        check_interval("region", "[0, 1)", left=self.left, top=self.top)
        check_interval("region", "(0, 1]", width=self.width, height=self.height)
        for name, side in (("left", "width"), ("top", "height")):
            start, length = getattr(self, name), getattr(self, side)
            if start + length > 1 + ROUNDING:
                raise InputError(
                    f"region {name} {start:g} and {side} {length:g} reach outside the image; they may add up "
                    "to 1 at most"
                )
        if self.width == 1 and self.height == 1:
            raise InputError("the region is the whole image; an artifact must be a part of it")

    @property
    def on_outliers(self) -> bool:
        return False

    def find(
        self,
        names: Sequence[str],
        shape: tuple[int, int],
        fit: Fit = "squash",
        origins: Sequence[Origin | None] | None = None,
    ) -> Tensor:
        """The same mask for every name, bool (N, 1, H, W) of shape (H, W); half-covered pixels count."""
        rows = _shares(self.top, self.height, shape[0])
        columns = _shares(self.left, self.width, shape[1])
        return _covered(np.outer(rows, columns)).repeat(len(names), 1, 1, 1)


@NATURAL.register("mask")
@dataclass(frozen=True)
class Masked:
    """What is marked for each image in mask files, COCO JSON or Pascal VOC XML: found, not planted.

    masks: a folder of masks, a folder of XML files, or a JSON file; see `annotations.read_annotations`.
    only: names of the categories that are artifacts, separated by commas; empty: all. outliers: whether the
    annotations are for outlier exposure too. strict: refuse COCO's polygons and boxes that enclose nothing
    instead of leaving them out.
    """

    by_name: ClassVar[bool] = True

    masks: str = ""
    only: str = ""
    outliers: bool = False
    # No part of the repr, which is in the key of finished cells: strictness changes no number.
    strict: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if not self.masks.strip():
            raise InputError(f"mask masks is empty; {KINDS}, with --set mask.masks=PATH")

    @property
    def on_outliers(self) -> bool:
        return self.outliers

    def find(
        self,
        names: Sequence[str],
        shape: tuple[int, int],
        fit: Fit = "squash",
        origins: Sequence[Origin | None] | None = None,
    ) -> Tensor:
        """Where each image's artifact is, bool (N, 1, H, W) of shape (H, W); all False where it has none.

        names: of all images that the annotations are for, at once, so that none is given another's mask. fit:
        how the images were made square. origins: as in `Annotations.masks`. Warns of annotations that fit no
        image. InputError for annotations that can't be used.
        """
        chosen = [name.strip() for name in self.only.split(",") if name.strip()]
        found = torch.zeros(len(names), 1, *shape, dtype=torch.bool)
        annotations = read_annotations(self.masks, chosen, self.strict)
        marked = {path for path, area in annotations.areas.items() if area is not None}
        if unused := len(marked.difference(annotations.match(names))):
            log.warning("%d of %d annotations in '%s' fit no image", unused, len(marked), self.masks)
        for target, mask in zip(found, annotations.masks(names, origins), strict=True):
            if mask is not None:
                target[0] = fitted(mask, shape, fit)
        return found
