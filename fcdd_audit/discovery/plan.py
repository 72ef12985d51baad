"""How much a search of pasted windows does, and which images take part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.standing import EXCHANGES
from fcdd_audit.discovery.windows import PARTS

CHANNELS = (1, 3)  # of an image


@dataclass(frozen=True)
class Plan:
    """How much is searched.

    parts: windows of the smaller side / part. chosen_on, estimated_on: receivers that windows are chosen on,
    and others that effects are estimated on. places: own images that say what a paste does at a place; they
    are no donors. donors, own: units of each side that are searched at most, and fewest at least.
    permutations: of the null. shown: donors a direction that are sorted into groups. batch: images scored at
    a time. InputError for a number that makes no search.
    """

    parts: tuple[int, ...] = PARTS
    chosen_on: int = 4
    estimated_on: int = 8
    places: int = 12
    donors: int = 200
    own: int = 60
    fewest: int = 20
    permutations: int = EXCHANGES
    shown: int = 60
    batch: int = 256

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in vars(self).items() if name != "parts"}
        for name, value in {**numbers, "part": min(self.parts, default=0)}.items():
            if value < 1:
                raise InputError(f"{name.replace('_', ' ')} is {value}; a search needs at least 1")

    @property
    def taken(self) -> int:
        """Images of the receiving side that are no donors."""
        return self.chosen_on + self.estimated_on + self.places


def check_images(donors: Tensor, receiving: Tensor) -> None:
    """InputError unless both are (N, 1 or 3, H, W) of one shape, uint8 or float in [0, 1]."""
    for name, images in (("donors", donors), ("receiving", receiving)):
        if images.ndim != 4 or images.shape[1] not in CHANNELS:
            raise InputError(
                f"{name} images have the shape {tuple(images.shape)}; it must be (N, C, H, W), C 1 or 3"
            )
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise InputError(f"{name} images are {images.dtype}; they must be uint8, or float in [0, 1]")
        if images.is_floating_point() and not ((images >= 0) & (images <= 1)).all():
            raise InputError(f"{name} images have values outside [0, 1]; divide those of 8 bits by 255")
    if donors.shape[1:] != receiving.shape[1:]:
        raise InputError(
            f"donors are {tuple(donors.shape[1:])} and receiving images {tuple(receiving.shape[1:])}; "
            "windows are pasted at the same place, so both must have one shape"
        )


def labels_of(
    donors: Tensor,
    receiving: Tensor,
    donor_groups: np.ndarray | None,
    receiving_groups: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Group ids of both sides, int (N,) each; where there are none, every image has its own. InputError for
    groups of one side only, or of another number than the images."""
    given = donor_groups, receiving_groups
    if (donor_groups is None) != (receiving_groups is None):
        raise InputError("groups of near-copies are given for one side only; give them for both, or for none")
    if donor_groups is None or receiving_groups is None:
        return np.arange(len(donors)), len(donors) + np.arange(len(receiving))
    for name, groups, images in zip(("donors", "receiving"), given, (donors, receiving), strict=True):
        ids = np.asarray(groups)
        if ids.shape != (len(images),) or not np.issubdtype(ids.dtype, np.integer):
            raise InputError(
                f"groups of {name} images are {ids.dtype} of shape {ids.shape}; they must be {len(images)} "
                "whole numbers"
            )
    return np.asarray(donor_groups), np.asarray(receiving_groups)


def one_each(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Indices of one random image of each group, in random order."""
    order = rng.permutation(len(labels))
    _, firsts = np.unique(labels[order], return_index=True)
    return order[np.sort(firsts)]


def counts_of(donors: int, receiving: int, plan: Plan) -> tuple[int, int]:
    """How many donors and own donors are searched; InputError where there are too few."""
    needed = plan.taken + plan.fewest
    for name, have, need in (("donor", donors, plan.fewest), ("receiving", receiving, needed)):
        if have < need:
            raise InputError(
                f"there are {have} different {name} images, and a search of pasted windows takes {need}"
            )
    return min(donors, plan.donors), min(receiving - plan.taken, plan.own)
