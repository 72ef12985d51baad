"""Candidates that are listed apart, since mirrored images can't judge what is its own mirror image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.discovery.candidates import SURE, Candidate
from fcdd_audit.discovery.described import borne_by, described
from fcdd_audit.discovery.repeated import MOST_OF, Searched
from fcdd_audit.discovery.symmetric import SEARCHES, Symmetric, symmetric

SYMMETRIC = "none: it is its own mirror image, so that mirrored images can't judge it"
SEARCHED = (
    "What is its own mirror image (frames, borders, bars, fences) is listed apart, without a p-value: if it "
    "is alike on more images than anything is once each image is displaced by an offset of its own. "
    "Photographs have such content by nature too."
)
UNSEARCHED = "What is its own mirror image (frames, borders, bars, fences) was not searched for."


def count_displaced(searched: Sequence[Searched]) -> int:
    """How many searches are made, for a progress bar."""
    return len(searched) * (1 + SEARCHES)


def symmetric_candidates(
    searched: Sequence[Searched], seed: int, advance: Callable[[int], None]
) -> list[Candidate]:
    """What repeats and is its own mirror image, of each side; what an earlier side has is left out.

    searched: whole images of each side. advance: is told of each search that is done.
    """
    found: list[Candidate] = []
    for own in searched:
        others = [one for one in searched if one is not own]
        finds = symmetric(own.view, numpy_generator(seed, f"displaced {own.side} images"), advance)
        for place, one in enumerate(finds):
            bearers = {own.names[image] for image in own.sampled[one.bears]}
            if not any(_covers(earlier, bearers) for earlier in found):
                found.append(_candidate(one, own, others, seed, place))
    return found


def without(candidates: Sequence[Candidate], apart: Sequence[Candidate]) -> list[Candidate]:
    """The candidates but those not beyond chance that are a part of what is listed apart: most of their
    bearers bear that. Nothing changes in the others."""
    return [
        one
        for one in candidates
        if one.p is None or one.p <= SURE or not any(_covers(other, {*one.bearers}) for other in apart)
    ]


def _covers(one: Candidate, bearers: set[str]) -> bool:
    return len(bearers & {*one.bearers}) >= MOST_OF * len(bearers)


def _candidate(one: Symmetric, own: Searched, others: Sequence[Searched], seed: int, place: int) -> Candidate:
    generator = torch_generator(seed, f"extraction of symmetric {own.side} {place}")
    borne = borne_by(own, others, one.window, one.template, one.bears)
    found = described(borne, own, one.window, one.box, one.template, generator)
    evidence = {"field": one.template.field, "excess": one.excess, "displaced": one.displaced}
    return replace(found, null=SYMMETRIC, evidence={**evidence, **found.evidence})
