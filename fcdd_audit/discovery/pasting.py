"""Candidates from pasted windows: what moves a detector's score, wherever it lies and whether it repeats or
not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations

import numpy as np
import torch

from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.discovery.candidates import EXCHANGED, SURE, Candidate, Found, Share
from fcdd_audit.discovery.pasted import Donor, Score, scored_images, search
from fcdd_audit.discovery.pasted import Found as Direction
from fcdd_audit.images.sets import ImageSet

FEWEST = 3  # donors that count as the strongest tenth


def count_scored(sides: Mapping[str, ImageSet]) -> int:
    """How many images are scored, both ways together."""
    shape = next(iter(sides.values())).images.shape[2:]
    pairs = permutations([len(images) for images in sides.values()], 2)
    return sum(scored_images(donors, receiving, *shape) for donors, receiving in pairs)


def pasted_candidates(
    sides: Mapping[str, ImageSet],
    groups: Mapping[str, np.ndarray],
    score: Score,
    device: torch.device | str,
    seed: int,
    advance: Callable[[int], object],
) -> list[Candidate]:
    """A candidate for each side and direction in which windows surely move the other side's scores.

    sides: nominal and anomalous images. groups: of near-copies, from one numbering. p is family-wise over
    both sides and directions. InputError and RunError as in `pasted.search`.
    """
    found = []
    for donors, receiving in permutations(sides, 2):
        searched = search(
            score,
            sides[donors].images,
            sides[receiving].images,
            numpy_generator(seed, f"pasted windows of {donors} images"),
            donor_groups=groups[donors],
            receiving_groups=groups[receiving],
            device=device,
            advance=advance,
        )
        found += [
            _candidate(one, donors, sides[donors], searched.units, len(sides))
            for one in searched.candidates(SURE / len(sides))
        ]
    return found


def _candidate(found: Direction, side: str, images: ImageSet, units: int, times: int) -> Candidate:
    """Of the donors that move the score at least half as far as the strongest tenth do."""
    sign = 1 if found.direction == "raises" else -1
    effects = np.array([sign * donor.estimated for donor in found.donors])
    strongest = np.median(effects[: max(FEWEST, len(effects) // 10)])
    donors = [found.donors[place] for place in np.flatnonzero(effects >= strongest / 2)]
    places = [donor.image for donor in donors]
    rest = np.setdiff1d(np.arange(len(images)), places)
    return Candidate(
        "",
        "pasted",
        tuple(images.names[place] for place in places),
        {side: Share(len(places), units)},
        "image",
        None,
        min(1.0, times * found.p),
        EXCHANGED,
        {
            "direction": found.direction,
            "side": side,
            "effect": float(np.median([donor.estimated for donor in donors])),
            "apart": found.apart,
            "windows": [_box(donor, images) for donor in donors],
        },
        Found(images.images[places], images.images[torch.from_numpy(rest)]),
    )


def _box(donor: Donor, images: ImageSet) -> list[float]:
    """Left, top, width and height of a donor's window, as shares of the view."""
    height, width = images.images.shape[2:]
    window = donor.window
    return [window.left / width, window.top / height, window.side / width, window.side / height]
