"""Found artifacts on test images that came without them: what donors bear, put on others, and placebos."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from fcdd_audit.core.arrays import spread
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.datasets import AuditData
from fcdd_audit.datasets.base import MIN_TEST
from fcdd_audit.discovery.copies import copies
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.images.sets import ImageSet, sha256
from fcdd_audit.measures.transplants import DONOR, PLACEBO, UNSEEN
from fcdd_audit.natural.locate import found_pairs
from fcdd_audit.natural.removal import inpaint
from fcdd_audit.natural.transplant import cut_out, in_place_of, laid, opposite
from fcdd_audit.probes.marking import marked_pairs
from fcdd_audit.probes.placed import Placed

REMOVED, TRANSPLANTED = "removed", "transplanted"  # the halves of the question of a found artifact
LAYERS, LEAST_DONORS = 10, 8  # images that an artifact is cut out of, at most and at least
RECEIVERS = 100  # images of a side that every donor's is put on, at most
OTHER: Mapping[Side, Side] = {"nominal": "anomalous", "anomalous": "nominal"}


@dataclass(frozen=True)
class Transplants:
    """Test images of one side, the receivers, with what each donor bears, and with placebos.

    names: of the receivers. variants: uint8 (N, C, H, W) by name, `DONOR` and `PLACEBO` of each donor, and
    `UNSEEN`.
    """

    names: tuple[str, ...]
    variants: Mapping[str, Tensor]

    def content(self) -> str:
        """Hex digest of every name and pixel, in order."""
        digest = hashlib.sha256(repr(self.names).encode())
        for name, images in self.variants.items():
            digest.update(f"{name} {sha256(images)}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class TestImages:
    """What a found artifact is tested on. obstacles: by the side of its donors, why it can't be put on
    others."""

    pairs: dict[Side, Pairs]
    transplants: dict[Side, Transplants] = field(default_factory=dict)
    obstacles: dict[Side, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def crossed(receivers: ImageSet, donors: Placed, placebos: Placed) -> Transplants:
    """At most `RECEIVERS` of these images, evenly spread, with the artifact of every donor.

    placebos: a layer for each donor's. Something unseen is put on each image at one donor's place, in turn.
    """
    few = receivers.take(spread(len(receivers), RECEIVERS))
    variants: dict[str, Tensor] = {}
    for name, layers in ((DONOR, donors), (PLACEBO, placebos)):
        variants |= {name.format(k): laid(few.images, layers, k) for k in range(len(layers))}
    unseen, count = opposite(donors, placebos), len(donors)
    variants[UNSEEN] = torch.cat(
        [laid(image[None], unseen, place % count) for place, image in enumerate(few.images)]
    )
    return Transplants(few.names, variants)


def removed(data: AuditData, masks: dict[str, Tensor], progress: bool = False) -> TestImages:
    """Test images that bear the artifact, as they are and with it taken off. masks: as of `locate`."""
    pairs, notes = found_pairs(data, masks, progress)
    return TestImages(pairs, notes=tuple(notes))


def transplanted(
    data: AuditData, masks: dict[str, Tensor], progress: bool = False, either: bool = False
) -> TestImages:
    """What test images of one side bear is put on those of the other.

    either: whether it is put on those of its own side where too few of the other one bear it.

    masks: as `natural.locate` gives them. Images that bear it themselves aren't tested; where fewer than 10
    of a side are left, all of them are, with it removed.
    """
    notes: list[str] = []
    tested = {side: receivers(side, data, masks, notes, progress) for side in SIDES}
    cut = {side: donated(side, data, masks, notes) for side in SIDES}
    obstacles: dict[Side, str] = {
        side: f"{0 if own is None else len(own)} {side} test image(s) bear it and aren't copies of training "
        f"images; at least {LEAST_DONORS} are needed to cut it out of, and to put it on others"
        for side, own in cut.items()
        if own is None or len(own) < LEAST_DONORS
    }
    pairs, transplants = {}, {}
    for side in SIDES:
        # A side that no question is asked of gets what there is: its variants must be there.
        source = OTHER[side]
        if cut[source] is None or (either and source in obstacles):
            source = side
        layers = cut[source]
        if layers is None:
            raise ValueError("no test image bears the artifact")
        placebos = in_place_of(layers, _others(tested[source].images, len(layers), source))
        pairs[side] = _pairs(side, tested[side], layers, placebos)
        if source not in obstacles and (either or source != side):
            transplants[side] = crossed(tested[side], layers, placebos)
    return TestImages(pairs, transplants, obstacles, tuple(notes))


def receivers(
    side: Side, data: AuditData, masks: Mapping[str, Tensor], notes: list[str], progress: bool = False
) -> ImageSet:
    """The test images of a side that it can be put on, without it. notes: gets what must be said of them."""
    part, mask = data.parts()[f"test_{side}"], masks[f"test_{side}"]
    free = (~mask.flatten(1).any(dim=1)).nonzero().flatten().tolist()
    if len(free) == len(part):
        return part
    if len(free) >= MIN_TEST:
        notes.append(
            f"{len(part) - len(free)} of {len(part)} {side} test images bear the artifact, and aren't "
            "among those that it is put on."
        )
        return part.take(free)
    notes.append(
        f"{len(free)} {side} test images don't bear the artifact, which are too few; it is removed from the "
        "others before something is put on them."
    )
    return replace(part, images=inpaint(part.images, mask, progress), digest=None)


def donated(side: Side, data: AuditData, masks: Mapping[str, Tensor], notes: list[str]) -> Placed | None:
    """What at most `LAYERS` test images of a side bear, of which no training image that bears it is a
    near-copy; None without any. notes: gets what must be said of them."""
    tested, trained = (masks[f"{part}_{side}"].flatten(1).any(dim=1) for part in ("test", "train"))
    bearers, known = tested.nonzero().flatten(), trained.nonzero().flatten()
    if not len(bearers):
        return None
    parts = data.parts()
    images = parts[f"test_{side}"].images[bearers]
    groups = copies(torch.cat([parts[f"train_{side}"].images[known], images]))
    seen = set(groups[: len(known)].tolist())
    unseen = torch.tensor([group not in seen for group in groups[len(known) :].tolist()])
    if not unseen.all():
        notes.append(
            f"{int((~unseen).sum())} {side} test images that bear the artifact are near-copies of training "
            "images that bear it, and it isn't cut out of them."
        )
    places = unseen.nonzero().flatten()
    if not len(places):
        return None
    chosen = places[spread(len(places), LAYERS)]
    return cut_out(images[chosen], masks[f"test_{side}"][bearers[chosen]])


def _others(images: Tensor, count: int, side: Side) -> Tensor:
    """So many images, drawn; again from the first where there are too few."""
    drawn = torch.randperm(len(images), generator=torch_generator(0, f"donors of placebos, {side}"))
    return images[drawn[torch.arange(count) % len(images)]]


def _pairs(side: Side, part: ImageSet, donors: Placed, placebos: Placed) -> Pairs:
    """Each image with what one donor bears, and with that donor's placebo."""
    own, placebo = (
        marked_pairs(side, part, layers, torch_generator(0, f"transplanted onto {side} images"))
        for layers in (donors, placebos)
    )
    variants = {**own.variants, "placebo": placebo.variants["marked"]}
    return Pairs(side, own.names, variants, own.mask, own.masks)


TESTED: Mapping[str, Callable[[AuditData, dict[str, Tensor], bool], TestImages]] = {
    REMOVED: removed,
    TRANSPLANTED: transplanted,
}
