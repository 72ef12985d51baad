"""What images that repeat something have in common: a mark, as a blend that can be put on other images.

Three steps. *Alignment*: every bearer is moved by a few pixels so that gradients agree. *Support*: where the
bearers' mean gradient is steeper than that of any decoy, which is the group of most alike images among those
without the mark, found, sized and aligned in the same way. *Blend*: on the support, opacity and colour by the
likelihood of each bearer's pixels given its own background, which is predicted from around the mark. What is
without a support is no mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fcdd_audit.discovery.alignment import Fields, aligned, gradients, likeness
from fcdd_audit.discovery.blending import HALO, blended
from fcdd_audit.discovery.boxes import Box, grown, laid
from fcdd_audit.discovery.support import SEEDS, by_chance, decoys_of, overall, strength_of, support_of

FEWEST = 5  # bearers, below which nothing is told from chance
FEWEST_OTHERS = 20
POOL = 384  # images that decoys are made of
SURPLUS = 1.4  # times the strongest decoy: more than that is a mark
NOTHING = 1.0  # strength of decoys on images that are flat
GROWTHS = 4  # of the support, at most
FAINT = 0.04  # opacity under which there is no mark
WEAK, TYPICAL = 0.25, 0.9  # as a share of this quantile of the opacities: also no mark


@dataclass(frozen=True)
class Extracted:
    """A mark that several images bear.

    support: bool (h, w). alpha, colour: float32 (C, h, w) in [0, 1]; alpha is 0 outside the support and the
    same in all channels. moves: int64 (B, 2), rows and columns by which each bearer's mark lies off the box.
    box: top, left, height and width in pixels, grown from the given one. varies: share of the support, in
    [0, 1], whose colour differs between bearers by more than what shines through explains, as other digits or
    handwriting do. surplus: how strong it is, in units of the strongest decoy.
    """

    support: Tensor
    alpha: Tensor
    colour: Tensor
    moves: Tensor
    box: Box
    varies: float
    surplus: float

    def masks(self, frame: tuple[int, int]) -> Tensor:
        """Where it is on each bearer: bool (B, 1, H, W) for images of that height and width."""
        return laid(self.support[None, None], self.box, self.moves, frame)


def extract(
    bearing: Tensor, others: Tensor, box: Box, *, shift: int = 2, generator: torch.Generator
) -> Extracted | None:
    """The mark that the bearing images share near the box; None where there is none.

    bearing, others: uint8 (N, C, H, W), C is 1 or 3. box: top, left, height, width in pixels. shift: how far
    a bearer's mark may lie off the box, in pixels. generator: draws the decoys. ValueError for other images,
    a box that isn't inside them, fewer than 5 bearing images or fewer than 20 others.
    """
    _check(bearing, others, box, shift)
    region = grown(box, shift + HALO, (bearing.shape[2], bearing.shape[3]))
    pool = others[torch.randperm(len(others), generator=generator)[:POOL]]
    usual = gradients(pool).mean(dim=0)
    mine, theirs = (Fields.of(images, usual, region, shift) for images in (bearing, pool))
    seeds = torch.randperm(len(bearing), generator=generator)[:SEEDS]
    medoid = int(seeds[likeness(mine, seeds, region).sum(dim=1).argmax()])
    moves, template = aligned(mine, region, mine.window(region)[medoid])
    spread = theirs.spread(region)
    strength = strength_of(mine.window(region, moves), mine.weights, spread)
    decoys = decoys_of(pool, len(bearing), region, shift, generator)
    surplus = overall(strength) / max(NOTHING, *map(overall, decoys))
    if surplus < SURPLUS:
        return None
    chance = by_chance(mine, theirs, template, region, spread, generator)
    found = support_of(strength, chance)
    for _ in range(GROWTHS):  # where the blend goes on beyond the support, so does the mark
        if not found.any():
            return None
        alpha, colour, varying = blended(bearing, pool, moves, found, region, shift, generator)
        limit = max(FAINT, WEAK * float(alpha[0][found].quantile(TYPICAL)))
        support = alpha[0] >= limit
        if not (support & ~found).any():
            break
        found = found | support
    if not support.any():
        return None
    return Extracted(
        support,
        torch.where(support, alpha, 0.0),
        torch.where(support, colour, 0.0),
        moves,
        region,
        float(varying[support].float().mean()),
        surplus,
    )


def _check(bearing: Tensor, others: Tensor, box: Box, shift: int) -> None:
    for name, images in (("bearing", bearing), ("others", others)):
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"{name} are {images.dtype} of shape {tuple(images.shape)}; "
                "they must be uint8 of shape (N, 1 or 3, H, W)"
            )
    if bearing.shape[1:] != others.shape[1:]:
        raise ValueError(
            f"bearing images are {tuple(bearing.shape[1:])} and others {tuple(others.shape[1:])}; "
            "they must be alike"
        )
    if len(bearing) < FEWEST or len(others) < FEWEST_OTHERS:
        raise ValueError(
            f"{len(bearing)} bearing images and {len(others)} others; "
            f"at least {FEWEST} and {FEWEST_OTHERS} are needed"
        )
    top, left, height, width = box
    inside = top >= 0 and left >= 0 and top + height <= bearing.shape[2] and left + width <= bearing.shape[3]
    if not inside or height < 2 or width < 2:
        raise ValueError(f"box {box} must be inside images of {tuple(bearing.shape[2:])} and at least 2x2 px")
    if shift < 0:
        raise ValueError(f"shift is {shift}; it must be 0 or more")
