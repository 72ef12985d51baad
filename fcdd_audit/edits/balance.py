"""Both sides get an artifact alike, cut out of the images that bear it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import copied
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.edits.base import EDITS, TrainingSet
from fcdd_audit.edits.pasting import BATCH, Pool, paste
from fcdd_audit.probes.base import Probe


@EDITS.register("balance")
@dataclass(frozen=True)
class Balance:
    """Puts a found artifact on both sides at the same rate, by the same cut, edge and encoding.

    Images that bear it get another bearer's, over the same region of an image without it. So many of the side
    that bears it less get it too, after such a region in another bearer's place. As many further images of
    each side get the region without the artifact only, so that no edge tells the sides apart. InputError
    where no image is without the artifact.
    """

    artifacts: ClassVar[tuple[str, ...]] = ()
    removal: ClassVar[str | None] = None
    finds: ClassVar[bool] = True

    def apply(
        self, training: TrainingSet, artifacts: Mapping[str, Probe], seed: int, progress: bool = False
    ) -> TrainingSet:
        pool, drawn = draw(training, seed)
        where = {}
        for side, one in drawn.items():
            images, masks = copied(training.of(side).images), training.bearing[side].clone()
            own = masks[one.places]
            for part in torch.arange(len(one.places)).split(BATCH):
                places, donors = one.places[part], one.donors[part]
                # Of an image that bears it, its own region: the artifact goes from there.
                bears = own[part].flatten(1).any(dim=1)[:, None, None, None]
                region = torch.where(bears, own[part], pool.mask(one.regions[part]))
                paste(images, places, pool.image(one.fillers[part]), region)
                gets = one.gets[part]
                paste(images, places[gets], pool.image(donors[gets]), pool.mask(donors[gets]))
                masks[places[gets]] = pool.mask(donors[gets])
            part_of_it = replace(training.of(side), images=images, digest=None)
            training = training.having(side, part_of_it)
            where[side] = masks
        return replace(training, bearing=where)


@dataclass(frozen=True)
class Drawn:
    """What is drawn for the images of one side that are changed, each int64 (n,).

    places: which images. gets: bool, whether the image gets the artifact, and not a placebo only. donors:
    whose, as numbers of a `Pool`; another's than its own. regions: of which bearer's mask the placebo is,
    where the image bears none. fillers: the image that the placebo is cut from.
    """

    places: Tensor
    gets: Tensor
    donors: Tensor
    regions: Tensor
    fillers: Tensor


def draw(training: TrainingSet, seed: int) -> tuple[Pool, dict[Side, Drawn]]:
    """The images of both sides, and what is drawn for them. InputError where no image bears the artifact, or
    none is without it."""
    pool = Pool.of(training)
    bears = pool.bears
    bearers, others = bears.nonzero().flatten(), (~bears).nonzero().flatten()
    if not len(bearers) or not len(others):
        which = "no" if not len(bearers) else "every"
        raise InputError(f"{which} training image bears the artifact, so that it can't be balanced")
    generator = torch_generator(seed, "balance")
    counts = {side: len(training.of(side)) for side in SIDES}
    own = dict(zip(SIDES, bears.split(list(counts.values())), strict=True))
    rate = max(float(own[side].float().mean()) for side in SIDES if counts[side])
    found: dict[Side, Drawn] = {}
    first = 0
    for side in SIDES:
        with_it, without = own[side].nonzero().flatten(), (~own[side]).nonzero().flatten()
        without = without[torch.randperm(len(without), generator=generator)]
        added = max(0, round(rate * counts[side]) - len(with_it))
        places = torch.cat([with_it, without[: 2 * added + len(with_it)]])
        gets = torch.arange(len(places)) < len(with_it) + added
        turn = torch.searchsorted(bearers, with_it + first)  # of the image itself among the bearers
        found[side] = Drawn(
            places,
            gets,
            bearers[_others(len(bearers), len(places), turn, generator)],
            *(
                numbers[torch.randint(len(numbers), (len(places),), generator=generator)]
                for numbers in (bearers, others)
            ),
        )
        first += counts[side]
    return pool, found


def _others(bearers: int, count: int, turns: Tensor, generator: torch.Generator) -> Tensor:
    """For `count` images a bearer each, in [0, bearers); the first are bearers themselves, at these turns,
    and get another one, if there is any."""
    drawn = torch.randint(bearers, (count,), generator=generator)
    if bearers > 1:
        step = 1 + torch.randint(bearers - 1, (len(turns),), generator=generator)
        drawn[: len(turns)] = (turns + step) % bearers
    return drawn
