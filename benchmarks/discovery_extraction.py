"""Does an extracted mark move a detector as the true one does, and is one extracted where there is none?

python benchmarks/discovery_extraction.py --data-root DIR [--plan] [--minutes M] [--report]

CIFAR-10, 32 px. A small FCDD learns one class against the nine others, of which half bear a mark. The mark,
at a lower opacity, is put on some of 400 test images of three other classes; from these, and the box known to
2 px, it is extracted. The true mark, at the same opacity, and the extracted one are put on 200 images of each
side that nothing else used: shift, the mean change of the nominal scores in their interquartile range, and
the verdict on each side at the threshold that 400 other nominal images set, as for a finished detector.

A detector relies on a mark that moves the nominal scores by at least .3 IQR.

Rows with 0 for the opacity are of groups that bear nothing: the most alike at a random place, of the same
400 images. Their `extracted` is the largest shift by any of this class's detectors.

Appends one row an extraction to benchmarks/results/discovery_extraction.csv.gz, and goes on from the rows
that are there. Neither detectors nor images are kept.

--data-root  the folder that has cifar10/
--plan       how many extractions are left, and the hours that they would take
--minutes    begin nothing new after so many minutes
--report     make nothing: print the rates of what is there, in Markdown
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from discovery import MARKS
from finished_audits import LIMITS, Pool, verdicts
from longlist import LongList, rate
from PIL import Image
from torch import Tensor

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.core.sides import SIDES, Side
from fcdd_audit.detectors import Detector, build, fit
from fcdd_audit.discovery.alignment import Fields, gradients, likeness
from fcdd_audit.discovery.boxes import Box, laid
from fcdd_audit.discovery.extraction import Extracted, extract
from fcdd_audit.edits.plant import plant
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures.detection import threshold
from fcdd_audit.probes.base import Probe
from fcdd_audit.probes.chain import make_probe
from fcdd_audit.probes.marking import mark_all
from fcdd_audit.probes.placed import Placed

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
NOMINAL = ("deer", "dog", "cat")  # the three classes after each, which are searched, served for nothing
GROUPS = 12  # that bear nothing, of each nominal class
OPACITIES, BEARERS = (0.4, 0.7, 1.0), (20, 60, 120)
TRAINED_ON, OTHERS, HALF = 1500, 166, 0.5
SEARCHED, VALIDATED, TESTED = 400, 400, 200
SIDE = 32
SHIFT = 2  # px by which the box may be wrong on each side
LEAST = 4  # px of the box a side
SHAPES = ((8, 8), (8, 20), (6, 16), (12, 12))  # of groups that bear nothing
RELIES, LOW, HIGH, NOTHING = 0.3, 0.8, 1.25, 0.1
CPU = torch.device("cpu")


class Job(NamedTuple):
    """An extraction. number: of the group; opacity, bearers: 0 and their number where nothing is borne."""

    nominal: str
    probe: str
    opacity: float
    bearers: int
    number: int = 0


@dataclass(frozen=True)
class Faded:
    """A mark at a share of its opacity."""

    inner: Probe
    share: float
    placed = True

    def apply(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        marked, mask = self.inner.apply(x, generator)
        return x * (1 - self.share) + marked * self.share, mask


def jobs() -> Iterator[Job]:
    """Detector by detector; then groups that bear nothing."""
    for nominal in NOMINAL:
        for probe in MARKS:
            for opacity in OPACITIES:
                for bearers in BEARERS:
                    yield Job(nominal, probe, opacity, bearers)
        for number in range(GROUPS):
            for bearers in BEARERS:
                yield Job(nominal, "", 0.0, bearers, number)


def own_probe(name: str) -> Probe:
    """A mark whose opacity is 1, so that a share of it is its opacity; a line is moved but a little."""
    options = {"watermark": {"opacity": 1.0}, "line": {"jitter": 0.03}}
    return make_probe(name, {name: options[name]} if name in options else {})


@cache
def images_of(root: Path, part: str, name: str, first: int, count: int) -> Tensor:
    """Images of a class, uint8 (count, 3, 32, 32)."""
    files = sorted((root / "cifar10" / part / name).glob("*"))[first : first + count]
    pixels = []
    for file in files:
        with Image.open(file) as picture:
            pixels.append(torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1))
    return torch.stack(pixels)


@cache
def detector_of(root: Path, nominal: str, probe: str) -> Detector:
    """Trained with the mark on half of the anomalous images."""
    own = images_of(root, "train", nominal, 0, TRAINED_ON)
    others = torch.cat([images_of(root, "train", one, 0, OTHERS) for one in CLASSES if one != nominal])
    marked = plant(others, own_probe(probe), HALF, torch_generator(0, f"{probe} against {nominal}"))
    recipe = Recipe.of(epochs=15, batch_size=32, shift=0.0625)
    detector = build("fcdd", own, 0, {}, recipe.network, recipe.normalise)
    with torch.enable_grad():
        fit(detector, own, marked, recipe, 0, CPU)
    return detector.eval()


def searched(root: Path, nominal: str) -> Tensor:
    """400 test images of the three classes that follow."""
    place = CLASSES.index(nominal)
    names = [CLASSES[(place + step) % len(CLASSES)] for step in (1, 2, 3)]
    return torch.cat([images_of(root, "test", one, 600, 134) for one in names])[:SEARCHED]


def scores(detector: Detector, images: Tensor) -> np.ndarray:
    return torch.cat([detector.score(part.float() / 255) for part in images.split(200)]).double().numpy()


def row_of(job: Job, root: Path) -> dict[str, Any]:
    return of_mark(job, root) if job.probe else of_nothing(job, root)


def of_mark(job: Job, root: Path) -> dict[str, Any]:
    """What the extracted mark does, beside the true one."""
    detector = detector_of(root, job.nominal, job.probe)
    true = Faded(own_probe(job.probe), job.opacity)
    found = extracted_of(job, true, searched(root, job.nominal))
    tested = tested_images(root, job.nominal)
    row = {"shift": shift_by(detector, tested["nominal"], true), "found": found is not None}
    if found is None:
        return row
    mine = as_probe(found, (SIDE, SIDE))
    own = verdicts_of(detector, root, job.nominal, true)
    other = verdicts_of(detector, root, job.nominal, mine)
    return {
        **row,
        "extracted": shift_by(detector, tested["nominal"], mine),
        **{f"{side}_true": own[side] for side in SIDES},
        **{f"{side}_extracted": other[side] for side in SIDES},
        "varies": found.varies,
        "surplus": found.surplus,
    }


def of_nothing(job: Job, root: Path) -> dict[str, Any]:
    """What is extracted of images that are only alike."""
    images = searched(root, job.nominal)
    rng = numpy_generator(job.number, f"a group of {job.bearers} of {job.nominal} that bears nothing")
    height, width = SHAPES[job.number % len(SHAPES)]
    top, left = (int(rng.integers(SIDE - side + 1)) for side in (height, width))
    box = (top, left, height, width)
    chosen = most_alike(images, box, job.bearers)
    rest = torch.ones(len(images), dtype=torch.bool).index_fill(0, chosen, False)
    found = extract(images[chosen], images[rest], box, generator=torch_generator(job.number, "decoys"))
    if found is None:
        return {"found": False}
    tested = tested_images(root, job.nominal)["nominal"]
    mine = as_probe(found, (SIDE, SIDE))
    by = [abs(shift_by(detector_of(root, job.nominal, one), tested, mine)) for one in MARKS]
    return {"found": True, "extracted": max(by), "varies": found.varies, "surplus": found.surplus}


def most_alike(images: Tensor, box: Box, count: int) -> Tensor:
    """Places of the images that are most like one of them in the box."""
    fields = Fields.of(images, gradients(images).mean(dim=0), box, SHIFT)
    like = likeness(fields, torch.arange(len(images)), box)
    best, members = like.topk(count, dim=1)
    return members[best.sum(dim=1).argmax()]


def extracted_of(job: Job, probe: Probe, images: Tensor) -> Extracted | None:
    """The mark put on some of the images, and extracted from them, its box being known to 2 px."""
    key = f"{job.nominal} {job.probe} {job.opacity} {job.bearers}"
    rng = numpy_generator(job.number, key)
    images = images[torch.from_numpy(rng.permutation(len(images)))]
    bearing, mask = mark_all(images[: job.bearers], probe, torch_generator(job.number, key))
    if mask is None:
        raise ValueError(f"{job.probe} has no place")
    where = mask[:, 0].any(dim=0)
    rows, columns = (where.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    wrong = rng.integers(-SHIFT, SHIFT + 1, 4).tolist()
    top, left = max(0, int(rows[0]) + wrong[0]), max(0, int(columns[0]) + wrong[1])
    bottom, right = min(SIDE, int(rows[-1]) + 1 + wrong[2]), min(SIDE, int(columns[-1]) + 1 + wrong[3])
    top, left = min(top, bottom - LEAST), min(left, right - LEAST)
    box = (top, left, bottom - top, right - left)
    generator = torch_generator(job.number, f"decoys {key}")
    return extract(bearing, images[job.bearers :], box, generator=generator)


def as_probe(mark: Extracted, frame: tuple[int, int]) -> Placed:
    """The mark where its bearers have it."""
    alpha = laid(mark.alpha[None, :1], mark.box, mark.moves, frame)
    paint = laid((mark.alpha * mark.colour)[None], mark.box, mark.moves, frame)
    return Placed(alpha, paint, mark.masks(frame))


def tested_images(root: Path, nominal: str) -> dict[Side, Tensor]:
    """Test images of both sides that served for nothing else."""
    others = [one for one in CLASSES if one != nominal]
    anomalous = torch.cat([images_of(root, "test", one, 0, 23) for one in others])[:TESTED]
    return {"nominal": images_of(root, "test", nominal, VALIDATED, TESTED), "anomalous": anomalous}


def shift_by(detector: Detector, images: Tensor, probe: Probe) -> float:
    """Mean change of the scores, in their interquartile range."""
    marked, _ = mark_all(images, probe, torch_generator(0, "shift"))
    before, after = scores(detector, images), scores(detector, marked)
    return float((after - before).mean() / np.subtract(*np.percentile(before, [75, 25])))


def verdicts_of(detector: Detector, root: Path, nominal: str, probe: Probe) -> dict[Side, str]:
    """On each side, as of a finished detector; what is missing where there is none."""
    validated = scores(detector, images_of(root, "test", nominal, 0, VALIDATED))
    pools = {}
    for side, images in tested_images(root, nominal).items():
        marked, mask = mark_all(images, probe, torch_generator(0, "verdict"))
        every = np.arange(len(images))
        pairs = Pairs(side, tuple(map(str, every)), {"clean": images, "marked": marked}, mask)
        pools[side] = Pool(pairs, scores(detector, images), scores(detector, marked), every, every)
    places = {side: pool.audited for side, pool in pools.items()}
    found = verdicts(pools, places, threshold(validated, LIMITS.score_quantile))
    return {one.side: str(one.missing or one.verdict) for one in found.sides}


def report(table: pd.DataFrame) -> list[str]:
    """Ratios of the shifts and verdicts where the detector relies, and groups that bear nothing."""
    if table.empty:
        return ["none made"]
    marked, nothing = table[table["opacity"] > 0], table[table["opacity"] == 0]
    lines = ["| | extracted | relies and extracted | ratio .8 to 1.25 | same verdict, both sides |"]
    lines.append("| --- | --- | --- | --- | --- |")
    groups: list[tuple[str, pd.DataFrame]] = [("all", marked)]
    for column in ("probe", "opacity", "bearers", "nominal"):
        groups += [(f"{column} {value}", own) for value, own in marked.groupby(column)]
    for name, own in groups:
        used = own[own["found"].astype(bool) & (own["shift"].abs() >= RELIES)]
        good = (used["extracted"] / used["shift"]).between(LOW, HIGH)
        same = pd.concat([used[f"{side}_true"] == used[f"{side}_extracted"] for side in SIDES])
        lines.append(f"| {name} | {int(own['found'].sum())} of {len(own)} | {len(used)} | {rate(good)} | ")
        lines[-1] += f"{rate(same)} |"
    harmless = ~nothing["found"].astype(bool) | (nothing["extracted"].abs() < NOTHING)
    lines += ["", f"Groups that bear nothing: no mark in {rate(~nothing['found'].astype(bool))}"]
    return [*lines, f"no mark, or a shift under {NOTHING} IQR, in {rate(harmless)}"]


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    LongList(__doc__ or "", "discovery_extraction", jobs, row_of, report).main()
