"""Do pasted windows find discs that a detector relies on, and do they cry wolf where there are none?

python benchmarks/discovery_pasted.py --data-root DIR [--plan] [--minutes M] [--report]

CIFAR-10, 32 px: small FCDD and HSC learn one class against another. Twins are trained on the images as they
are, and with orange discs at random places of a fifth of one side. Windows of 200 test images of either side
are pasted onto 200 of the other:

null   twins trained without discs, images without discs
disc   twins trained with discs on a side, and windows of that side's images, a fifth of which have discs
novel  twins trained without discs, windows of images of which a fifth have discs

The pairs of classes leave out frogs, and cats against dogs, on which the limits were set.

Appends one row a search (one side's windows, both directions) to benchmarks/results/discovery_pasted.csv.gz,
and goes on from the rows that are there. Neither detectors nor images are kept.

--data-root  the folder that has cifar10/
--plan       how many searches are left, and the hours that they would take
--minutes    begin nothing new after so many minutes
--report     make nothing: print the rates of what is there, in Markdown
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from discovery_extraction import CLASSES, images_of, scores
from longlist import LongList, rate
from torch import Tensor

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.detectors import Detector, build, fit
from fcdd_audit.discovery.pasted import Donor, search
from fcdd_audit.measures.detection import auroc
from fcdd_audit.probes.discs import Disc
from fcdd_audit.probes.marking import mark_all

LEFT_OUT = "frog"
DEVELOPED_ON = ("cat", "dog")
PAIRS, WITH_DISCS = 20, 6
TRAINED_ON, SEARCHED, SHARE = 1000, 200, 0.2
DISC = Disc(colour="orange", size=0.25)
DETECTORS = ("fcdd", "hsc")
LEVEL = 0.05
FIRST = 30  # donors that are looked at
INSIDE = 0.1  # of a disc in a window, which then has it
DIRECTIONS = ("raises", "lowers")
CPU = torch.device("cpu")


class Job(NamedTuple):
    """A search. kind: null, disc or novel. donors: the side that windows are cut from."""

    kind: str
    nominal: str
    anomalous: str
    detector: str
    donors: Side


def pairs() -> list[tuple[str, str]]:
    """Which class is nominal, and which is not: drawn once."""
    both = [pair for pair in combinations(CLASSES, 2) if LEFT_OUT not in pair and pair != DEVELOPED_ON]
    rng = numpy_generator(0, "pairs of classes")
    chosen = [both[place] for place in rng.permutation(len(both))[:PAIRS]]
    return [pair if rng.random() < 0.5 else pair[::-1] for pair in chosen]


def jobs() -> Iterator[Job]:
    """Pair by pair, the detectors' own twins one after the other."""
    for place, (nominal, anomalous) in enumerate(pairs()):
        for detector in DETECTORS:
            yield from (Job("null", nominal, anomalous, detector, side) for side in SIDES)
            if place < WITH_DISCS:
                for kind in ("novel", "disc"):
                    yield from (Job(kind, nominal, anomalous, detector, side) for side in reversed(SIDES))


@lru_cache(maxsize=1)
def twin(root: Path, nominal: str, anomalous: str, detector: str, discs: Side | None) -> Detector:
    """Trained with discs on a side, or without."""
    images = {
        "nominal": images_of(root, "train", nominal, 0, TRAINED_ON),
        "anomalous": images_of(root, "train", anomalous, 0, TRAINED_ON),
    }
    recipe = Recipe.of(epochs=10, batch_size=32, flip=0.5, precision="float32")
    made = build(detector, images["nominal"], 0, {}, recipe.network, recipe.normalise)
    if discs is not None:
        images[discs], _ = with_discs(images[discs], f"training {discs} {nominal} {anomalous}")
    with torch.enable_grad():
        fit(made, images["nominal"], images["anomalous"], recipe, 0, CPU)
    return made.eval()


def with_discs(images: Tensor, purpose: str) -> tuple[Tensor, Tensor]:
    """Discs on a fifth of the images, and where they are, bool (N, H, W)."""
    marked, masks = mark_all(images, DISC, torch_generator(0, f"discs {purpose}"))
    chosen = numpy_generator(0, f"bearers {purpose}").permutation(len(images))[: round(SHARE * len(images))]
    bears = torch.zeros(len(images), dtype=torch.bool).index_fill(0, torch.from_numpy(chosen), True)
    if masks is None:
        raise ValueError("discs have a place")
    where = masks[:, 0] & bears[:, None, None]
    return torch.where(bears[:, None, None, None], marked, images), where


def row_of(job: Job, root: Path) -> dict[str, Any]:
    """What both directions came to."""
    own = twin(root, job.nominal, job.anomalous, job.detector, job.donors if job.kind == "disc" else None)
    clean = {
        "nominal": images_of(root, "test", job.nominal, 0, SEARCHED),
        "anomalous": images_of(root, "test", job.anomalous, 0, SEARCHED),
    }
    donors, receiving = clean[job.donors], clean["nominal" if job.donors == "anomalous" else "anomalous"]
    where = torch.zeros_like(donors[:, 0], dtype=torch.bool)
    if job.kind != "null":
        donors, where = with_discs(donors, f"searched {job.donors} {job.nominal} {job.anomalous}")
    marked, _ = mark_all(receiving, DISC, torch_generator(0, "shift"))
    before, after = scores(own, receiving), scores(own, marked)
    key = f"{job.kind} {job.nominal} {job.anomalous} {job.detector} {job.donors}"
    found = search(own.score, donors, receiving, numpy_generator(0, key))
    row: dict[str, Any] = {
        "auroc": auroc(scores(own, clean["nominal"]), scores(own, clean["anomalous"])),
        "shift": float(np.median(after - before) / np.subtract(*np.percentile(before, [75, 25]))),
    }
    for direction in DIRECTIONS:
        one = getattr(found, direction)
        first = one.donors[:FIRST]
        row |= {
            f"{direction}_p": one.p,
            f"{direction}_apart": one.apart,
            f"{direction}_candidate": one.is_candidate(LEVEL),
            f"{direction}_discs": float(np.mean([has_disc(donor, where) for donor in first])),
        }
    return row


def has_disc(donor: Donor, where: Tensor) -> bool:
    """Whether a tenth of the image's disc is in the window."""
    mask = where[donor.image]
    return bool(mask.any()) and bool(donor.window.of(mask).sum() >= INSIDE * mask.sum())


def report(table: pd.DataFrame) -> list[str]:
    """Searches with a candidate, and discs among the first donors."""
    lines = [
        "| kind | windows of | detector | searches | shift by a disc, in IQR | a candidate at p <= .05 | "
        "discs among the first 30, in the direction of the shift |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in ("null", "novel", "disc"):
        every = table[table["kind"] == kind]
        groups = [("both", "all", every)]
        groups += [(side, name, own) for (side, name), own in every.groupby(["donors", "detector"])]
        for side, name, own in groups:
            if own.empty:
                continue
            any_found = own[[f"{one}_candidate" for one in DIRECTIONS]].astype(bool).any(axis=1)
            discs = own["raises_discs"].where(own["shift"] > 0, own["lowers_discs"])
            told = "–" if kind == "null" else f"{100 * discs.mean():.0f} % ({100 * discs.min():.0f} at least)"
            cells = [kind, side, name, len(own), f"{own['shift'].median():.2f}", rate(any_found), told]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    LongList(__doc__ or "", "discovery_pasted", jobs, row_of, report).main()
