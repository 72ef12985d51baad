"""What does the search say about images that break its null?

python benchmarks/discovery_breaks.py --data-root DIR [--plan] [--minutes M] [--report]

The null of repeated content mirrors images. Sets in which mirroring changes what is likely, although nobody
has put a mark on them, are made of Tiny ImageNet's images, and searched:

jpeg          61 px wide, saved as JPEG of quality 20: the last blocks are cut, so that blocks lie elsewhere
              when mirrored
light         every image is lit from the left: 1.3 times as bright there, .7 times on the right
copies        600 images, of which 90 are near-copies of 30 others: brighter or darker, and saved again
scene         one photograph, 250 times, under other light and with noise: registered parts
part          a part, the same on every image, before 250 different backgrounds
half-mirrored watermarks on 50 of 250 images, of which half were mirrored afterwards
words         words of other letters, at other places and sizes, on 60 of 250
captions      other words each time, in the middle of the bottom, on 60 of 250

Appends one row a search to benchmarks/results/discovery_breaks.csv.gz, and goes on from the rows that are
there. Images aren't kept.

--data-root  the folder that has tiny_imagenet_val/
--plan       how many searches are left, and the hours that they would take
--minutes    begin nothing new after so many minutes
--report     search nothing: print what is there, in Markdown
"""

from __future__ import annotations

import io
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from discovery import DRAWS, IMAGES, LEVEL, SETS, images_of
from discovery import Job as Planted
from longlist import LongList
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fcdd_audit.core.seeding import numpy_generator, torch_generator
from fcdd_audit.discovery.discover import Search, discover
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.probes.chain import make_probe
from fcdd_audit.probes.marking import mark_all

TIMES = 3  # sets of each kind
ODD, QUALITY = 61, 20
LIT = 0.3
COPIED, COPIES, OF = 30, 3, 600
BEARING, SPEAKING = 50, 60
Made = tuple[Tensor, Tensor]  # uint8 (N, 3, S, S), and which bear what was put on them, bool (N,)


class Job(NamedTuple):
    """A search. kind: of set, see above. set: its number."""

    kind: str
    set: int


def jobs() -> Iterator[Job]:
    """One of each kind first."""
    for number in range(TIMES):
        for kind in KINDS:
            yield Job(kind, number)


def _jpeg(images: Tensor, rng: np.random.Generator) -> Made:
    small = images[..., :ODD, :ODD]
    return torch.stack([_saved(one, QUALITY) for one in small]), _none(images)


def _light(images: Tensor, rng: np.random.Generator) -> Made:
    lit = torch.linspace(1 + LIT, 1 - LIT, images.shape[3])
    return (images.float() * lit).clamp(0, 255).round().byte(), _none(images)


def _copies(images: Tensor, rng: np.random.Generator) -> Made:
    chosen = images[:COPIED].repeat(COPIES, 1, 1, 1).float()
    levels = torch.from_numpy(rng.uniform(0.9, 1.1, len(chosen))).float()[:, None, None, None]
    again = torch.stack([_saved(one, 80) for one in (chosen * levels).clamp(0, 255).byte()])
    every = torch.cat([images[: OF - len(again)], again])
    return every, torch.arange(len(every)) >= OF - len(again)


def _scene(images: Tensor, rng: np.random.Generator) -> Made:
    return _noisy(images[0].expand(IMAGES, -1, -1, -1).float(), rng), _none(images[:IMAGES])


def _part(images: Tensor, rng: np.random.Generator) -> Made:
    """The middle of one image, round, before the others."""
    side = images.shape[2]
    away = torch.arange(side) - (side - 1) / 2
    within = away.square()[:, None] + away.square() <= (side / 3) ** 2
    return _noisy(torch.where(within, images[0], images[1 : IMAGES + 1]).float(), rng), _none(images[:IMAGES])


def _half_mirrored(images: Tensor, rng: np.random.Generator) -> Made:
    images = images[:IMAGES].clone()
    chosen = torch.from_numpy(rng.permutation(IMAGES)[:BEARING])
    probe = make_probe("watermark", {})
    images[chosen], _ = mark_all(images[chosen], probe, torch_generator(int(rng.integers(2**31)), "marks"))
    turned = torch.from_numpy(rng.random(IMAGES) < 0.5)
    images[turned] = images[turned].flip(3)
    return images, torch.zeros(IMAGES, dtype=torch.bool).index_fill(0, chosen, True)


def _words(images: Tensor, rng: np.random.Generator) -> Made:
    return _written(images, rng, anywhere=True)


def _captions(images: Tensor, rng: np.random.Generator) -> Made:
    return _written(images, rng, anywhere=False)


def _written(images: Tensor, rng: np.random.Generator, anywhere: bool) -> Made:
    """Other letters on every one of SPEAKING images."""
    images = images[:IMAGES].clone()
    side = images.shape[2]
    chosen = rng.permutation(IMAGES)[:SPEAKING]
    for place in chosen:
        picture = Image.fromarray(images[place].permute(1, 2, 0).numpy())
        word = "".join(rng.choice(list(string.ascii_letters), int(rng.integers(3, 7))))
        font = ImageFont.load_default(float(rng.uniform(9, 16)) if anywhere else 11)
        draw = ImageDraw.Draw(picture)
        _, _, wide, tall = draw.textbbox((0, 0), word, font=font)
        left, top = (side - wide) / 2, side - tall - 3
        if anywhere:
            left, top = (rng.uniform(0, max(1.0, side - length)) for length in (wide, tall))
        colour = (255, 255, 255) if not anywhere else tuple(rng.integers(0, 256, 3).tolist())
        draw.text((left, top), word, fill=colour, font=font)
        images[place] = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    return images, torch.zeros(IMAGES, dtype=torch.bool).index_fill(0, torch.from_numpy(chosen), True)


def _noisy(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Under other light each, with noise of 8 of 255 levels."""
    light = torch.from_numpy(rng.uniform(0.7, 1.3, (len(pixels), 1, 1, 1))).float()
    noise = torch.from_numpy(rng.normal(0, 8, tuple(pixels.shape))).float()
    return (pixels * light + noise).clamp(0, 255).round().byte()


def _saved(image: Tensor, quality: int) -> Tensor:
    """As JPEG, and read again."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


def _none(images: Tensor) -> Tensor:
    return torch.zeros(len(images), dtype=torch.bool)


KINDS: dict[str, Callable[[Tensor, np.random.Generator], Made]] = {
    "jpeg": _jpeg,
    "light": _light,
    "copies": _copies,
    "scene": _scene,
    "part": _part,
    "half-mirrored": _half_mirrored,
    "words": _words,
    "captions": _captions,
}


def row_of(job: Job, root: Path) -> dict[str, Any]:
    """What the search said."""
    sets = [(3 * job.set + offset) % SETS["tiny"] for offset in range(3)]
    pool = torch.cat([images_of(Planted("tiny", number), root).images for number in sets])
    if job.kind not in ("copies", "part"):
        pool = pool[:IMAGES]
    images, bears = KINDS[job.kind](pool, numpy_generator(job.set, f"a set that breaks the null: {job.kind}"))
    names = tuple(f"{place:04}" for place in range(len(images)))
    bearing = {name for name, has in zip(names, bears.tolist(), strict=True) if has}
    found = discover({"images": ImageSet(images, names)}, Search(DRAWS, sensitivity=False, seed=job.set))
    repeated = [one for one in found.candidates if one.kind == "repeated"]
    copied = [one for one in found.candidates if one.kind == "near-copies"]
    first = repeated[0] if repeated else None
    return {
        "images": len(images),
        "searched": sum(found.searched.values()),
        "p": None if first is None else first.p,
        "sure": sum(one.p is not None and one.p <= LEVEL for one in repeated),
        "box": "" if first is None else " ".join(f"{value:.2f}" for value in first.box or ()),
        "named": None if first is None else len(first.bearers),
        "true": None if first is None else len(bearing & set(first.bearers)),
        "mark": None if first is None or first.found is None else first.found.mark is not None,
        "copies": sum(len(one.bearers) for one in copied),
        "copies_true": sum(len(bearing & set(one.bearers)) for one in copied),
        "notes": " ".join(found.notes),
    }


def report(table: pd.DataFrame) -> list[str]:
    """A line a set."""
    lines = [
        "| set | p of the first | sure candidates | first's box (left, top, width, height) | named | true | "
        "near-copies |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        for _, row in table[table["kind"] == kind].sort_values("set").iterrows():
            cells = [kind, _number(row["p"], 3), row["sure"], _text(row["box"]), _number(row["named"])]
            lines.append(f"| {' | '.join(map(str, [*cells, _number(row['true']), row['copies']]))} |")
    notes = [note for text in table["notes"] for note in text.split(". ")]
    often = pd.Series(notes).value_counts()
    return [*lines, "", *(f"- {count} of {len(table)}: {note}" for note, count in often.items())]


def _number(value: float, digits: int = 0) -> str:
    return "–" if pd.isna(value) else f"{value:.{digits}f}"


def _text(value: object) -> str:
    return "–" if pd.isna(value) else str(value)


if __name__ == "__main__":
    LongList(__doc__ or "", "discovery_breaks", jobs, row_of, report).main()
