"""The test images of a finished detector: with and without the artifact, and with placebos in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.experiment.explaining import in_turn
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.measures.placebos import likeness
from fcdd_audit.natural.removal import elsewhere, inpaint
from fcdd_audit.probes.base import Probe
from fcdd_audit.probes.blends import Blend, blend_of
from fcdd_audit.probes.marking import marked_pairs
from fcdd_audit.probes.placebos import FLAT, Placebos

SEED = 0  # of the artifact's places and the placebos' contents
TRIED = 100  # images of each side that placebos are tried on
DONORS = 256  # images that patches are cut from
ALIKE = 0.5  # placebos of a higher correlation with the artifact aren't of other content
ARTIFACT, ELSEWHERE = "artifact", "elsewhere"


@dataclass(frozen=True)
class Mark:
    """The artifact, or a placebo, on the images that placebos are tried on.

    images: float (n, C, H, W) in [0, 1]: with the mark, or, of a found artifact, with what is masked removed.
    mask: bool (n, 1, H, W).
    """

    kind: str
    images: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Tested:
    """One side's test images, and what placebos are made of them.

    pairs: of a found artifact only those that bear it. tried: places of the images that placebos are tried
    on, int64 (n,), evenly spread. kinds: of the placebos, none if none can be made. marks: the artifact
    first, then the placebos in the order of their kinds. found: whether marks are taken off the images, not
    put on. likeness: see `measures.placebos`; NaN for a found artifact. why_none: why there are no placebos.
    blend: the artifact on the tried images; None of a found one, or where it can't be weakened or moved.
    """

    pairs: Pairs
    tried: Tensor
    kinds: tuple[str, ...]
    marks: Callable[[], Iterator[Mark]]
    found: bool
    likeness: float = float("nan")
    why_none: str | None = None
    blend: Blend | None = None

    @property
    def side(self) -> Side:
        return self.pairs.side

    def images(self, variant: str) -> Tensor:
        """A variant of the tried images, float (n, C, H, W) in [0, 1]."""
        return self.pairs.variants[variant][self.tried].float() / 255


def spread(images: int, most: int) -> Tensor:
    """Places of at most so many of the images, int64: any first n of them are spread evenly over all."""
    count = min(images, most)
    return torch.from_numpy(np.linspace(0, images - 1, count).round().astype(np.int64))[in_turn(None, count)]


def planted_sides(probe: Probe, images: Mapping[Side, ImageSet], placebos: int) -> dict[Side, Tested]:
    """Test images that the artifact is put on. placebos: how many. InputError where it doesn't fit."""
    return {side: planted_side(probe, side, images[side], images["nominal"], placebos) for side in SIDES}


def planted_side(probe: Probe, side: Side, part: ImageSet, nominal: ImageSet, count: int) -> Tested:
    """The same of one side. nominal: images that patches are cut from. count: of placebos."""
    placebos = Placebos(count, SEED, nominal.images[spread(len(nominal), DONORS)])
    generator = torch_generator(SEED, f"places of the artifact on {side} images")
    pairs = marked_pairs(side, part, probe, generator)
    tried = spread(len(part), TRIED)
    x = part.images[tried].float() / 255
    places = torch_generator(SEED, f"places of placebos on {side} images")
    try:
        blend = blend_of(probe, x.shape, places, x.device)
    except InputError as error:
        return Tested(pairs, tried, (), lambda: iter(()), False, why_none=str(error))
    alike = likeness(np.array([_correlation(blend, other) for other in placebos.of(blend)]))
    if alike > ALIKE:
        reason = (
            f"placebos come out like the artifact itself (correlation {alike:.2f}), because its content has "
            "hardly another form"
        )
        return Tested(pairs, tried, (), lambda: iter(()), False, alike, reason, blend)

    def marks() -> Iterator[Mark]:
        yield Mark(ARTIFACT, blend.on(x), blend.mask)
        for kind, other in zip(placebos.kinds, placebos.of(blend), strict=True):
            yield Mark(kind, other.on(x), other.mask)

    return Tested(pairs, tried, placebos.kinds, marks, False, alike, None, blend)


def found_sides(pairs: Mapping[Side, Pairs], placebos: int) -> dict[Side, Tested]:
    """Test images that came with the artifact, of the sides where some bear it. Placebos: as much removed at
    so many other places."""
    return {
        side: _found(own.at(bearing), placebos)
        for side, own in pairs.items()
        if len(bearing := _bearing(own))
    }


def _bearing(pairs: Pairs) -> Tensor:
    bears = pairs.bearing
    return torch.arange(len(pairs)) if bears is None else bears.nonzero()[:, 0]


def _found(pairs: Pairs, placebos: int) -> Tested:
    tried = spread(len(pairs), TRIED)
    few = pairs.at(tried)
    if few.mask is None:
        raise ValueError("a found artifact has a mask")
    mask = few.mask
    truth = few.masks.get("clean")

    def marks() -> Iterator[Mark]:
        yield Mark(ARTIFACT, few.variants["clean"].float() / 255, mask)
        for number in range(placebos):
            away = elsewhere(mask, torch_generator(SEED, f"removal {number} on {few.side} images"), truth)
            yield Mark(ELSEWHERE, inpaint(few.variants["marked"], away).float() / 255, away)

    return Tested(pairs, tried, (ELSEWHERE,) * placebos, marks, True)


def _correlation(artifact: Blend, placebo: Blend) -> float:
    """Of a placebo's content with the artifact's, in [-1, 1]: 1 where it is the same, else 0 where one of
    them is flat."""
    where = artifact.mask[:, 0]
    pair = torch.stack([artifact.shade[where], placebo.shade[where]]).double()
    if (pair[0] - pair[1]).abs().max() < 2 * FLAT:  # no more than 8 bits can tell apart
        return 1.0
    if (pair.std(dim=1) < 1e-9).any():
        return 0.0
    return float(torch.corrcoef(pair)[0, 1])
