"""Is a mark that nobody named found, and is anything found where nothing was planted?

python benchmarks/discovery.py --data-root DIR [--plan] [--minutes M] [--part I/N] [--report]

Sets of 250 images that nothing was chosen on are searched as they are, and with a mark planted on some of
them. Appends one row a search to benchmarks/results/discovery.csv.gz, and goes on from the rows that are
there. A hit is a candidate among the first three with p at most 5 %, whose box overlaps the mark's (IoU at
least .3) and half of whose bearers bear it. Images aren't kept.

--data-root  the folder that has cifar10/, tiny_imagenet_val/, voc_animals/, imagenet_1k_one_each/,
             magnetic_tile/ and hymenoptera/
--plan       how many searches are left, and the hours that they would take, from one of each source
--minutes    begin nothing new after so many minutes
--part       every N-th search, from the I-th (0 to N - 1) on, into discovery-I.csv.gz, to run several at once
--report     search nothing: print the rates of what is there, in Markdown
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from rows import write_rows
from torch import Tensor

from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.core.text import percent
from fcdd_audit.discovery.candidates import Candidate
from fcdd_audit.discovery.discover import Search, discover
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.measures.statistics import share
from fcdd_audit.probes.chain import make_probe

RESULTS = Path(__file__).parent / "results" / "discovery.csv.gz"
IMAGES = 250  # of a set
DRAWS = 199
LEVEL = 0.05
FIRST, OVERLAP, TRUE = 3, 0.3, 0.5  # of a hit
KEY = ["source", "set", "probe", "opacity", "bearers", "jitter"]
APART = ("frame", "bars")  # their own mirror images, which are listed apart and without p
MARKS = ("watermark", "date", "logo", "patch", "ruler", "line")
# Tiny ImageNet's first ten classes, and CIFAR-10's training images, served to develop the search.
DEVELOPED_ON = 10
SEARCHED_BEFORE = 3750  # CIFAR-10's first training images of a class, which trials may have seen
SETS = {"tiny": 38, "cifar10": 40, "voc": 6, "imagenet": 4, "tiles": 3, "hymenoptera": 2, "cifar10-train": 40}


class Job(NamedTuple):
    """A search.

    opacity: that the mark's own is multiplied with. set: number of the source's set. probe: "" for none.
    bearers: images that bear it. jitter: of its place, as a share of the width; -1: the probe's own.
    """

    source: str
    set: int
    probe: str = ""
    opacity: float = 0.0
    bearers: int = 0
    jitter: float = -1.0


def jobs() -> Iterator[Job]:
    """The most telling first: clean sets in turns with marks that are to be found; then what is harder."""
    clean = [
        *(Job("tiny", place) for place in range(38)),
        *(Job("cifar10", place) for place in range(40)),
        *(Job("voc", place) for place in range(6)),
    ]
    sets = iter(range(10_000))
    planted = [
        Job("tiny", next(sets) % 38, probe, opacity, bearers)
        for bearers in (20, 50)
        for _ in range(2)
        for opacity in (0.8, 0.5)
        for probe in MARKS
    ]
    planted += [Job("voc", next(sets) % 6, probe, opacity, 20) for opacity in (0.8, 0.5) for probe in MARKS]
    harder = [Job("tiny", next(sets) % 38, probe, 0.3, 20) for probe in MARKS]
    harder += [Job("tiny", next(sets) % 38, probe, opacity, 10) for opacity in (0.8, 0.5) for probe in MARKS]
    harder += [Job("tiny", next(sets) % 38, probe, 0.8, 20, 0.3) for probe in ("watermark", "logo", "patch")]
    harder += [
        Job("cifar10", next(sets) % 40, probe, opacity, 20) for opacity in (0.8, 0.5) for probe in MARKS
    ]
    symmetric = [Job("tiny", next(sets) % 38, probe, 0.8, 20) for probe in ("frame", "bars")]
    disc = Job("tiny", next(sets) % 38, "disc", 0.8, 20)
    yield from _in_turns(planted, clean)
    yield from harder
    yield disc
    yield from _in_turns(*_more())
    yield from symmetric


def _more() -> tuple[list[Job], list[Job]]:
    """Marks on other sources, on 5 % and all of the images, faint, opaque and moved; and clean sets."""
    numbers = {source: iter(range(10_000)) for source in SETS}

    def marked(source: str, opacities: Sequence[float], bearers: int, jitter: float = -1.0) -> list[Job]:
        marks = MARKS if jitter < 0 else ("watermark", "logo", "patch")
        return [
            Job(source, next(numbers[source]) % SETS[source], probe, opacity, bearers, jitter)
            for opacity in opacities
            for probe in marks
        ]

    both = (0.8, 0.5)
    others = [*marked("imagenet", both, 20), *marked("tiles", both, 20), *marked("hymenoptera", both, 20)]
    others += [*marked("imagenet", both, 50), *marked("voc", both, 50), *marked("cifar10", both, 50)]
    shares = [*marked("tiny", both, 13), *marked("tiny", both, IMAGES)]
    strengths = [*marked("tiny", (1.0,), 20), *marked("tiny", (0.2,), 50)]
    moved = [*marked("tiny", (0.8,), 20, 0.1), *marked("tiny", (0.8,), 20, 0.2)]
    clean = [
        Job(source, place)
        for source in ("imagenet", "tiles", "hymenoptera", "cifar10-train")
        for place in range(SETS[source])
    ]
    return [*others, *shares, *strengths, *moved], clean


def _in_turns(first: Sequence[Job], second: Sequence[Job]) -> Iterator[Job]:
    for turn in range(max(len(first), len(second))):
        yield from first[turn : turn + 1]
        yield from second[turn : turn + 1]


@cache
def files_of(source: str, root: Path) -> tuple[tuple[Path, ...], ...]:
    """Files of each set of a source, each with images of its own."""
    if source == "tiny":
        classes = sorted(one for one in (root / "tiny_imagenet_val").iterdir() if one.is_dir())[DEVELOPED_ON:]
        groups = [classes[start : start + 5] for start in range(0, len(classes), 5)]
        return tuple(tuple(file for one in group for file in sorted(one.glob("*"))) for group in groups)
    if source == "cifar10":
        classes = sorted(one for one in (root / "cifar10" / "test").iterdir() if one.is_dir())
        every = [sorted(one.glob("*")) for one in classes]
        return tuple(tuple(own[start : start + IMAGES]) for start in range(0, 1000, IMAGES) for own in every)
    if source == "cifar10-train":
        classes = sorted((root / "cifar10" / "train").iterdir())
        classes = [one for one in classes if one.name not in ("automobile", "frog")]
        return _sets_of([sorted(one.glob("*"))[SEARCHED_BEFORE:] for one in classes])
    if source == "imagenet":
        return _sets_of([sorted((root / "imagenet_1k_one_each").glob("*.JPEG"))])
    if source == "tiles":
        return _sets_of([sorted((root / "magnetic_tile" / "images" / "free").glob("*"))])[: SETS["tiles"]]
    if source == "hymenoptera":
        return _sets_of([sorted((root / "hymenoptera").glob(f"*/{one}/*")) for one in ("ants", "bees")])
    return _sets_of([sorted(one.glob("*")) for one in sorted((root / "voc_animals" / "images").iterdir())])


def _sets_of(groups: Sequence[Sequence[Path]]) -> tuple[tuple[Path, ...], ...]:
    """Sets of one group each; of fewer than 125 images there is none."""
    return tuple(
        tuple(own[start : start + IMAGES])
        for own in groups
        for start in range(0, len(own) - IMAGES // 2, IMAGES)
    )


def images_of(job: Job, root: Path) -> ImageSet:
    """The images of a set, as they are; photographs of other sizes are squeezed to 64 px."""
    files = files_of(job.source, root)[job.set]
    pixels = []
    for file in files:
        with Image.open(file) as picture:
            whole = picture.convert("RGB")
        if whole.size not in ((32, 32), (64, 64)):
            whole = whole.resize((64, 64), Image.Resampling.BOX)
        pixels.append(torch.from_numpy(np.array(whole)).permute(2, 0, 1))
    return ImageSet(torch.stack(pixels), tuple(str(file) for file in files))


def planted(images: ImageSet, job: Job) -> tuple[ImageSet, set[str], Tensor]:
    """With the mark on some of them; their names, and where it is on any, bool (H, W)."""
    x = images.images.clone()
    key = f"{job.source} {job.set} {job.probe} {job.opacity} {job.bearers}"
    drawn = numpy_generator(0, f"bearers {key}").permutation(len(x))[: job.bearers]
    chosen = torch.from_numpy(drawn)
    clean = x[chosen].float() / 255
    options = {} if job.jitter < 0 else {job.probe: {"jitter": job.jitter}}
    marked, mask = make_probe(job.probe, options).apply(clean, torch_generator(0, f"marks {key}"))
    x[chosen] = ((clean + job.opacity * (marked - clean)) * 255).round().byte()
    return ImageSet(x, images.names), {images.names[place] for place in drawn.tolist()}, mask.any(0)[0]


def row_of(job: Job, root: Path) -> dict[str, Any]:
    """What a search came to."""
    images = images_of(job, root)
    bearers: set[str] = set()
    where = None
    if job.probe:
        images, bearers, where = planted(images, job)
    started = time.monotonic()
    found = discover({"images": images}, Search(DRAWS, sensitivity=False, seed=job.set))
    apart = job.probe in APART
    repeated = [one for one in found.candidates if one.kind == "repeated" and (one.p is None) == apart]
    best = repeated[0] if repeated else None
    hits = [one for one in repeated[:FIRST] if where is not None and is_hit(one, bearers, where)]
    own = max(repeated[:FIRST], key=lambda one: len(bearers & set(one.bearers)), default=None)
    return {
        **job._asdict(),
        "images": len(images),
        "p": None if best is None else best.p,
        "hit": bool(hits),
        "iou": None if own is None or where is None else iou(own, where),
        "named": None if own is None else len(own.bearers),
        "true": None if own is None else len(bearers & set(own.bearers)),
        "own_p": None if own is None else own.p,
        "mark": None if own is None or own.found is None else own.found.mark is not None,
        "box": "" if best is None else " ".join(f"{value:.2f}" for value in best.box or ()),
        "seconds": round(time.monotonic() - started, 1),
    }


def is_hit(candidate: Candidate, bearers: set[str], where: Tensor) -> bool:
    """Whether a candidate is the mark: sure enough or listed apart, in its place, and on its bearers."""
    true = len(bearers & set(candidate.bearers))
    sure = candidate.p is None or candidate.p <= LEVEL  # none: only of what is listed apart
    return sure and true >= TRUE * len(candidate.bearers) > 0 and iou(candidate, where) >= OVERLAP


def iou(candidate: Candidate, where: Tensor) -> float:
    """Overlap of a candidate's box with the box around the mark, in [0, 1]."""
    if candidate.box is None:
        return 0.0
    rows, columns = np.where(where.numpy())
    height, width = where.shape
    left, top, wide, tall = candidate.box
    one = (left * width, top * height, (left + wide) * width, (top + tall) * height)
    other = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    inner = [max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])]
    both = max(0.0, inner[2] - inner[0]) * max(0.0, inner[3] - inner[1])
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return float(both / (areas - both))


def read_rows(path: Path = RESULTS) -> pd.DataFrame:
    """All rows that are there, of all parts."""
    parts = sorted([path, *path.parent.glob("discovery-*.csv.gz")])
    tables = [
        pd.read_csv(part, keep_default_na=False, na_values=[""]).fillna({"probe": ""})
        for part in parts
        if part.exists()
    ]
    return pd.concat(tables, ignore_index=True).drop_duplicates(KEY) if tables else pd.DataFrame(columns=KEY)


def jobs_of(part: tuple[int, int]) -> list[Job]:
    """Every N-th search, from the I-th on: the same whenever it is asked."""
    return list(jobs())[part[0] :: part[1]]


def left(table: pd.DataFrame) -> list[Job]:
    """The searches that have no row yet."""
    done = {tuple(row) for row in table[KEY].itertuples(index=False)}
    return [job for job in jobs() if tuple(job) not in done]


def go_on(path: Path, minutes: float, root: Path, part: tuple[int, int]) -> None:
    """Search what is left, until the time is up."""
    started = time.monotonic()
    own = path if part[1] == 1 else path.with_name(f"discovery-{part[0]}.csv.gz")
    table = pd.read_csv(own).fillna({"probe": ""}) if own.exists() else pd.DataFrame(columns=KEY)
    mine = {*jobs_of(part)}
    for job in (job for job in left(read_rows(path)) if job in mine):
        if time.monotonic() - started >= 60 * minutes:
            break
        row = pd.DataFrame([row_of(job, root)])
        table = row if table.empty else pd.concat([table, row], ignore_index=True)
        write_rows(own, table)
        print(f"{time.monotonic() - started:.0f} s: {job}", file=sys.stderr)


def report(table: pd.DataFrame) -> list[str]:
    """Rates, with exact intervals of searches."""
    clean, marked = table[table["probe"] == ""], table[table["probe"] != ""]
    lines = ["| clean sets | with a candidate of p <= .05 |", "| --- | --- |"]
    for source, own in [*clean.groupby("source"), ("all", clean)]:
        lines.append(f"| {source} | {_rate(own['p'] <= LEVEL)} |")
    lines += [
        "",
        "| images | mark | opacity | bearers | jitter | hits |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (source, opacity, bearers, jitter), rows in marked.groupby(
        ["source", "opacity", "bearers", "jitter"]
    ):
        about = f"{opacity:g} | {bearers} | {'own' if jitter < 0 else f'{jitter:g}'}"
        lines.append(f"| {source} | all | {about} | {_rate(rows['hit'])} |")
        for probe, own in rows.groupby("probe"):
            lines.append(f"| {source} | {probe} | {about} | {int(own['hit'].sum())} of {len(own)} |")
    return lines


def _rate(said: pd.Series) -> str:
    found = share(int(said.sum()), len(said))
    interval = percent({"value": found.value, "low": found.low, "high": found.high})
    return f"{int(said.sum())} of {len(said)}: {interval}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--part", type=lambda text: tuple(map(int, text.split("/"))), default=(0, 1))
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args(arguments)
    if options.report:
        print("\n".join(report(read_rows())))
        return
    if options.data_root is None:
        parser.error("give --data-root")
    torch.set_num_threads(1)
    if options.plan:
        missing = left(read_rows())
        seconds = {one.source: row_of(one, options.data_root)["seconds"] for one in reversed(missing)}
        hours = sum(seconds[one.source] for one in missing) / 3600
        print(f"{len(missing)} searches left, about {hours:.1f} hours on one core")
        return
    go_on(RESULTS, options.minutes, options.data_root, options.part)


if __name__ == "__main__":
    main()
