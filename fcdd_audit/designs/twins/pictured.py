"""Which test images the page shows of a question: the most, the median and the least affected one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.designs.affected import ORDER, OTHER, by_affect
from fcdd_audit.experiment.explaining import KEPT, Explained
from fcdd_audit.experiment.reading import Measured
from fcdd_audit.experiment.setup import Setup


class Pictured(NamedTuple):
    """An image that is shown. part: the place of its side in `Setup.marked`; turn: its own place there. why:
    `most`, `median` or `least` affected, or `other`: the first one of the other side."""

    part: int
    turn: int
    why: str


def pictured(measured: Measured, setup: Setup) -> tuple[Pictured, ...]:
    """Of the side that the conflict set changes, the images that the artifact affects most, in the median and
    least, and the first image of the other side; none without a pair of twins.

    Affected: how far the conflict set moves the score of the first seed's planted twin the wrong way (up on
    nominal images, down on anomalous ones). Ranked are the first KEPT explained images that count, as
    in `by_affect`.
    """
    if not measured.planted:
        return ()
    direction = DIRECTIONS[measured.question.plant_on]
    chosen = []
    for place, part in enumerate(setup.marked):
        if part.pairs.side != direction.changed:
            chosen += [Pictured(place, 0, OTHER)] * bool(len(part.order))
            continue
        turns = _counting(measured, part)
        usual, conflict = measured.planted[0].scores.changed_pair(measured.question.plant_on)
        moved = conflict - usual
        wrong = (moved if direction.changed == "nominal" else -moved)[part.order[turns].numpy()]
        chosen += [Pictured(place, turns[one], why) for one, why in by_affect(wrong)]
    return tuple(sorted(chosen, key=lambda one: ORDER.index(one.why)))


def examples(chosen: Sequence[Pictured], setup: Setup) -> tuple[dict[str, np.ndarray], dict[Pictured, int]]:
    """examples-N.npz, each chosen image once, and the row of each choice in it.

    `clean` and `marked`, uint8 (n, C, H, W); `mask`, bool (n, 1, H, W), where the artifact has a place;
    `name` and `side`, (n,).
    """
    images = sorted({(one.part, one.turn) for one in chosen})
    turns = [[turn for place, turn in images if place == part] for part in range(len(setup.marked))]
    shown = [one.pairs.at(one.order[own]) for one, own in zip(setup.marked, turns, strict=True)]
    arrays = {
        variant: torch.cat([pairs.variants[variant] for pairs in shown]).numpy()
        for variant in ("clean", "marked")
    }
    masks = [pairs.mask for pairs in shown if pairs.mask is not None]
    if masks:  # an artifact without a place has none
        arrays["mask"] = torch.cat(masks).numpy()
    names = [name for pairs in shown for name in pairs.names]
    sides = np.repeat([pairs.side for pairs in shown], [*map(len, shown)])
    rows = {one: images.index((one.part, one.turn)) for one in chosen}
    return {**arrays, "name": np.array(names, dtype=str), "side": sides}, rows


def kept_at(chosen: Sequence[Pictured], setup: Setup) -> list[int]:
    """The places of the chosen images among a cell's kept heatmaps."""
    before = np.cumsum([0, *(min(KEPT, len(one.order)) for one in setup.marked)]).tolist()
    return [before[one.part] + one.turn for one in chosen]


def _counting(measured: Measured, part: Explained) -> list[int]:
    """Turns of the kept images that count."""
    turns = range(min(KEPT, len(part.order)))
    bearing = measured.question.bearing
    if bearing is None:
        return [*turns]
    return [turn for turn in turns if bearing[part.order[turn]]]
