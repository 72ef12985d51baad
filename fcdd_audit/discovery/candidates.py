"""Candidates: artifacts that nobody named, best first, as candidates.json has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy.stats import fisher_exact
from torch import Tensor

from fcdd_audit.discovery.extraction import Extracted
from fcdd_audit.discovery.matching import Template

Frame = tuple[int, int, int, int]
Kind = Literal["repeated", "pasted", "placeless", "near-copies"]

SOUGHT: tuple[Kind, ...] = ("repeated", "pasted")  # found by a search among many

SCHEMA = 1  # of candidates.json
SURE = 0.05  # family-wise error of a candidate
MIRRORED = "mirrored"  # the null of repeated content
EXCHANGED = "exchanged"  # that of pasted windows


@dataclass(frozen=True)
class Share:
    """How many images of a side bear it, of how many."""

    bearing: int
    images: int

    @property
    def value(self) -> float | None:
        """In [0, 1]; None without images."""
        return self.bearing / self.images if self.images else None


@dataclass(frozen=True)
class Found:
    """What the pictures of a candidate are made of. bearing, others: uint8 (n, C, S, T) in its view, bearers
    first in the order of `bearers`; others that don't bear it. mark: what was extracted, if anything.
    template: what tells which images bear it, if anything does. frames: of a view that was cut from files,
    height and width of each bearer's file, and top and left of the view in it, in px; else empty."""

    bearing: Tensor
    others: Tensor
    mark: Extracted | None = None
    template: Template | None = None
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """An artifact that may be one.

    id: #1, #2, ... best first. bearers: names of the images that bear it. share: by side. difference: exact
    p-value of a difference between the shares (Fisher), None with one side. view: where it was searched, such
    as `image` or `lower-left`. box: left, top, width, height as shares of the view; None without a place. p:
    family-wise p-value of the search, None where no null can judge it, and null says why; else null names
    it. evidence: further numbers, by name.
    """

    id: str
    kind: Kind
    bearers: tuple[str, ...]
    share: Mapping[str, Share]
    view: str
    box: tuple[float, float, float, float] | None
    p: float | None
    null: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    found: Found | None = field(default=None, repr=False, compare=False)

    @property
    def difference(self) -> float | None:
        """Exact p-value of the difference of the shares, in (0, 1]; None where only one side was counted, and
        of what a search has found that isn't sure: the search itself has chosen its side."""
        if self.kind in SOUGHT and (self.p is None or self.p > SURE):
            return None
        return difference(list(self.share.values()))

    def as_json(self) -> dict[str, Any]:
        """Its entry in candidates.json, without the names of its files."""
        return {
            "id": self.id,
            "kind": self.kind,
            "bearers": list(self.bearers),
            "share": {side: one.value for side, one in self.share.items()},
            "counts": {side: [one.bearing, one.images] for side, one in self.share.items()},
            "difference": self.difference,
            "view": self.view,
            "box": None if self.box is None else [round(value, 4) for value in self.box],
            "p": self.p,
            "null": self.null,
            "evidence": dict(self.evidence),
        }


def difference(shares: Sequence[Share]) -> float | None:
    """Fisher's exact test of two shares, two-sided, in (0, 1]; None without two sides with images."""
    if len(shares) != 2 or not all(one.images for one in shares):
        return None
    table = [[one.bearing, one.images - one.bearing] for one in shares]
    return float(fisher_exact(table).pvalue)


def ranked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Best first, with ids: those that a null can judge by p, then the others as they were given."""
    order = sorted(
        range(len(candidates)),
        key=lambda place: np.inf if (p := candidates[place].p) is None else p,
    )
    return tuple(replace(candidates[place], id=f"#{rank}") for rank, place in enumerate(order, 1))
