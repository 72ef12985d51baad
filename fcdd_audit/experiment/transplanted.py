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
    """What a found artifact is tested on. obstacles: by side, why it can't be put on its images. validation:
    those that set the threshold, where not all do."""

    pairs: dict[Side, Pairs]
    transplants: dict[Side, Transplants] = field(default_factory=dict)
    obstacles: dict[Side, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    validation: ImageSet | None = None


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

    masks: as `natural.locate` gives them. Images that bear it themselves are neither tested nor set the
    threshold; where fewer than 10 test images of a side are left, all stay, with it removed, and so do
    validation images, as they are. either: whether training is rid of it and it is then planted: validation
    images are rid of it too, and it is put on images of its own side where too few of the other one bear it.
    """
    notes: list[str] = []
    tested = {side: receivers(f"test_{side}", data, masks, notes, progress) for side in SIDES}
    cut = {side: donated(side, data, masks, notes) for side in SIDES}
    enough = {side: own for side, own in cut.items() if own is not None and len(own) >= LEAST_DONORS}
    pairs: dict[Side, Pairs] = {}
    transplants: dict[Side, Transplants] = {}
    obstacles: dict[Side, str] = {}
    for side in SIDES:
        source = side if either and OTHER[side] not in enough else OTHER[side]
        layers = enough.get(source)
        if layers is None:
            few = [len(one) for one in (cut[source],) if one is not None]
            obstacles[side] = (
                f"{sum(few)} {source} test image(s) bear it that aren't copies of others or of training "
                f"images; at least {LEAST_DONORS} are needed to cut it out of, and to put it on others"
            )
            pairs[side] = _unmarked(side, tested[side])
            continue
        placebos = in_place_of(layers, _others(tested[source].images, len(layers), source))
        pairs[side] = _pairs(side, tested[side], layers, placebos)
        if either or masks[f"train_{source}"].any():  # else no detector is asked
            transplants[side] = crossed(tested[side], layers, placebos)
    free = int((~masks["validation"].flatten(1).any(dim=1)).sum())
    # Where nearly all nominal images bear it and training keeps it, it belongs to what is nominal in use.
    settable = either or free >= MIN_TEST
    validation = receivers("validation", data, masks, notes, progress) if settable else None
    return TestImages(pairs, transplants, obstacles, tuple(notes), validation)


def receivers(
    name: str, data: AuditData, masks: Mapping[str, Tensor], notes: list[str], progress: bool = False
) -> ImageSet:
    """The images of a part without the artifact. notes: gets what must be said of them."""
    part, mask, called = data.parts()[name], masks[name], name.replace("_", " ").removeprefix("test ")
    free = (~mask.flatten(1).any(dim=1)).nonzero().flatten().tolist()
    if len(free) == len(part):
        return part
    of_test = "" if name == "validation" else " test"
    if len(free) >= MIN_TEST:
        notes.append(
            f"{len(part) - len(free)} of {len(part)} {called}{of_test} images bear the artifact, and are "
            "left out where it is put on others."
        )
        return part.take(free)
    notes.append(
        f"{len(free)} {called}{of_test} images don't bear the artifact, which are too few; it is removed "
        "from the rest where it is put on others."
    )
    return replace(part, images=inpaint(part.images, mask, progress), digest=None)


def donated(side: Side, data: AuditData, masks: Mapping[str, Tensor], notes: list[str]) -> Placed | None:
    """What at most `LAYERS` test images of a side bear; None without any. notes: gets what must be said.

    Of near-copies of each other one counts, and none that is one of a training image that bears it.
    """
    parts = data.parts()
    bearers = masks[f"test_{side}"].flatten(1).any(dim=1).nonzero().flatten()
    if not len(bearers):
        return None
    images = parts[f"test_{side}"].images[bearers]
    known = [parts[f"train_{one}"].images[masks[f"train_{one}"].flatten(1).any(dim=1)] for one in SIDES]
    groups = copies(torch.cat([*known, images])).tolist()
    seen = set(groups[: -len(images)])
    places = []
    for place, group in enumerate(groups[-len(images) :]):
        if group not in seen:
            seen.add(group)
            places.append(place)
    if len(places) < len(images):
        notes.append(
            f"{len(images) - len(places)} {side} test images that bear the artifact are near-copies of "
            "others or of training images that bear it, and it isn't cut out of them."
        )
    if not places:
        return None
    chosen = [places[place] for place in spread(len(places), LAYERS)]
    return cut_out(images[chosen], masks[f"test_{side}"][bearers[chosen]])


def _others(images: Tensor, count: int, side: Side) -> Tensor:
    """So many images, drawn; again from the first where there are too few."""
    drawn = torch.randperm(len(images), generator=torch_generator(0, f"donors of placebos, {side}"))
    return images[drawn[torch.arange(count) % len(images)]]


def _unmarked(side: Side, part: ImageSet) -> Pairs:
    """Of a side that nothing can be put on: nothing is asked of it."""
    nowhere = torch.zeros(len(part), 1, *part.images.shape[2:], dtype=torch.bool)
    truth = {} if part.masks is None else {"clean": part.masks}
    variants = dict.fromkeys(("clean", "marked", "placebo"), part.images)
    return Pairs(side, part.names, variants, nowhere, truth)


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
