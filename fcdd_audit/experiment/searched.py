"""The quick search of every audit: what nobody named, in its training images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace

from fcdd_audit.core.progress import progress_bar
from fcdd_audit.datasets import AuditData
from fcdd_audit.discovery.candidates import SURE, ranked
from fcdd_audit.discovery.discover import FEWEST, QUICK, SMALLEST, Discovery, Search, discover
from fcdd_audit.discovery.sides import Sides, sides_of
from fcdd_audit.discovery.written import files_of
from fcdd_audit.experiment.records import key_of, plain
from fcdd_audit.experiment.store import SEARCHED, Place, Store

SEARCHING = 1  # raised when searching finds something else in the same images
MOST = 3  # candidates


def quick_search(data: AuditData, store: Store, quiet: bool, classes: int = 1) -> Mapping[str, bytes]:
    """Files of a discovery by name, candidates.json among them, from the store if they are there.

    At most MOST candidates, none that chance explains. Empty where the images can't be searched: too few, too
    small, no squares, or crops of few photographs, which repeat by nature. classes: nominal classes that are
    searched, each by itself; they share one budget of errors. A bar on stderr unless `quiet`.
    """
    if not can_be_searched(data):
        return {}
    sides = sides_of(data).enough()
    # So many null searches that a p of the classes' share of the errors can be reached.
    asked = replace(QUICK, draws=max(QUICK.draws, math.ceil(classes / SURE)))
    level = SURE / classes
    place = searched_place(data, sides, asked, level)
    with store.making(place):
        record = store.read(place)
        if record is None:
            found = _searched(sides, asked, level, quiet)
            store.write(place, files_of(found, sides, data.name).binary)
            record = store.read(place)
    return {} if record is None else record.files


def can_be_searched(data: AuditData) -> bool:
    """Whether a side has images enough, and they are squares that aren't too small, each a photograph."""
    _, height, width = data.shape
    most = max(len(data.train_nominal), len(data.train_anomalous))
    return height == width >= SMALLEST and most >= FEWEST and not data.few_photographs


def searched_place(data: AuditData, sides: Sides, asked: Search, level: float) -> Place:
    """Of what a search found. level: the p up to which a candidate is kept."""
    identity = plain(
        {
            "stage": SEARCHING,
            "dataset": data.name,
            "images": {side: images.content() for side, images in sides.images.items()},
            "search": asdict(asked),
            "level": level,
        }
    )
    return f"{SEARCHED}/{key_of(identity)}", identity


def _searched(sides: Sides, asked: Search, level: float, quiet: bool) -> Discovery:
    with progress_bar(not quiet, desc="search for other artifacts", unit="step", leave=False) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = discover(dict(sides.images), asked, advance=advance)
    sure = [one for one in found.sure if one.p is not None and one.p <= level]
    kept = [*sure, *(one for one in found.candidates if one.kind == "near-copies")]
    return replace(found, candidates=ranked(kept[:MOST]))
