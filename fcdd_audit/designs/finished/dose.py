"""How much of a planted artifact it takes to turn decisions wrong, and where in the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fcdd_audit.designs.finished.answers import Dose, Step
from fcdd_audit.designs.finished.measuring import Score, score_all
from fcdd_audit.designs.finished.tested import Tested
from fcdd_audit.measures.placebos import newly_wrong
from fcdd_audit.measures.statistics import share_p_value
from fcdd_audit.probes.blends import Blend, patch_of
from fcdd_audit.verdict.thresholds import Thresholds

OPACITIES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)  # shares of the artifact's own
SIZES = (0.25, 0.35, 0.5, 0.7, 0.85, 1.0)
GRID = 7  # places in each direction
STEPS = len(OPACITIES) + len(SIZES) + GRID**2  # at most


def dose_of(
    score: Score,
    tested: Tested,
    clean: np.ndarray,
    threshold: float,
    device: torch.device,
    limits: Thresholds,
    bar: Any,
) -> Dose | None:
    """The dose of the artifact on one side; None for one that can't be weakened: a found one, or no blend.

    clean: scores of all the side's images without it. bar: moves on by each step. Steps are tested from the
    strongest down, until one isn't surely harmful, so that no correction for their number is needed.
    """
    if tested.blend is None:
        return None
    x, before = tested.images("clean"), clean[tested.tried.numpy()]

    def wrong(blend: Blend) -> float:
        bar.update()
        return float(newly_wrong(before, score_all(score, blend.on(x), device), threshold, tested.side))

    def steps(shares: Sequence[float], made: Callable[[float], Blend]) -> tuple[Step, ...]:
        rates = [wrong(made(share)) for share in shares]
        hits = [round(rate * len(x)) for rate in rates]
        tests = [share_p_value(found, len(x), limits.alarms, above=True) for found in hits]
        return tuple(map(Step, shares, rates, tests))

    opacity = steps(OPACITIES, tested.blend.faded)
    dose = Dose(len(x), opacity, _least(opacity, limits.tail))
    patch = patch_of(tested.blend)
    if patch is None:
        reason = "the artifact's box isn't of one size on all images"
        return replace(dose, why_no_size=reason, why_no_places=reason)
    if max(patch.room) == 0:
        reason = "the artifact reaches over the whole image"
        return replace(dose, why_no_size=reason, why_no_places=reason)
    size = steps(SIZES, lambda share: patch.shrunk(share).laid())
    rows, columns = (_places(room) for room in patch.room)
    return replace(
        dose,
        size=size,
        least_size=_least(size, limits.tail),
        rows=rows,
        columns=columns,
        places=tuple(tuple(wrong(patch.at(row, column).laid()) for column in columns) for row in rows),
    )


def _least(steps: Sequence[Step], tail: float) -> float | None:
    """The least share from which on all steps are surely harmful."""
    least = None
    for step in reversed(steps):
        if step.p > tail:
            break
        least = step.share
    return least


def _places(room: int) -> tuple[int, ...]:
    """At most GRID places from the first to the last, evenly spread."""
    return tuple(sorted({*np.linspace(0, room, min(GRID, room + 1)).round().astype(int).tolist()}))
