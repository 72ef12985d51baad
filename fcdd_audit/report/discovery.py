"""The page of a discovery: what was found, where, on which images, and what could have been found."""

from __future__ import annotations

import base64
import io
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from fcdd_audit.core.colours import OUTLINE
from fcdd_audit.core.text import plain
from fcdd_audit.discovery.saying import (
    NULLS,
    SIDES,
    Group,
    answer,
    kind_words,
    of_group,
    p_words,
    place_words,
    shares_words,
)
from fcdd_audit.experiment.folder import RunFolder

SCHEMA = 1  # of candidates.json
TILE, LARGEST = 96, 128  # px: smaller pictures are enlarged in whole pixels, of larger ones a part is shown
LINE = 2  # px, around the box
MARK, LARGEST_MARK = 4, 320  # times a mark is enlarged, and px of its longer side, at most
PICTURES, FEW = (12, 8, 5, 3), 6  # of bearers, at most: of all, and of what isn't beyond chance
BUDGET = 1_200_000  # bytes of all pictures
QUICK_BUDGET = 100_000  # of those of a quick search
NAMED = 200  # names of bearers
EVIDENCE = {
    "field": "what was compared",
    "direction": "what it does to the score",
    "effect": "effect, in inter-quartile ranges of the scores",
    "apart": "how far it stands apart from the other images",
    "strength": "strength (0: the median of the null searches, 1: about their 95 % quantile)",
    "excess": "how many more images are alike there than usual (over the root of one more than usual)",
    "displaced": "the same where each image is displaced by an offset of its own, at most",
    "side": "side that it was found on",
    "varies": "share of the mark that differs between bearers",
    "differs in": "differs in",
    "groups across sides": "groups with images of both sides",
    "content-free": "told by what is no content",
}
PROMOTED = ("repeated", "pasted")  # kinds that can be put on images
SIDED = ("nominal", "anomalous")
HANDED = "python"  # the data set of images in memory
UNTOLD = {"windows"}  # is outlined
Box = tuple[int, int, int, int]  # top, left, height, width, in pixels


@dataclass(frozen=True)
class Tile:
    """A picture. words: for those who can't see it."""

    uri: str
    words: str
    caption: str


@dataclass(frozen=True)
class Card:
    """A candidate as the page shows it. null: the name of one that is explained, else None. names: of
    bearers, with how many are left out. evidence: in words, by label. command: that audits it; None where
    none can."""

    about: Mapping[str, Any]
    number: str
    kind: str
    where: str
    shares: str
    p: str
    difference: str
    null: str | None
    bearers: list[Tile]
    mark: Tile | None
    means: list[Tile]
    names: list[str]
    left_out: int
    evidence: dict[str, str]
    command: str | None

    @property
    def size(self) -> int:
        """Of its pictures, in bytes of the page."""
        tiles = [*self.bearers, *self.means, *([self.mark] if self.mark else [])]
        return sum(len(one.uri) for one in tiles)


def discovery_context(run: RunFolder, config: Mapping[str, Any]) -> dict[str, Any]:
    """All that discovery.html.j2 shows, from candidates.json and the pictures."""
    found = run.read_json("candidates.json", SCHEMA)
    candidates = found["candidates"]
    names: tuple[Group, ...] = ("sure", "unsure", "unjudged", "made")
    groups = {name: of_group(candidates, name) for name in names}
    return {
        "title": f"Discovery: {config['run']}",
        "skip": "what was found",
        "config": config,
        "found": found,
        "answer": answer(found),
        "sides": {side: SIDES.get(side, side) or side for side in found["images"]},
        "overview": [
            {"about": one, "number": number_of(one), "kind": kind_words(one), "where": place_words(one)}
            for one in candidates
        ],
        "cards": cards_within(run, {**config, "sides": list(found["images"])}, groups, BUDGET),
        "nulls": {
            name: words
            for name, words in NULLS.items()
            if name == "mirrored" or any(one["null"] == name for one in candidates)
        },
        "p": p_words,
    }


def cards_within(
    run: RunFolder,
    config: Mapping[str, Any],
    groups: Mapping[Group, Sequence[Mapping[str, Any]]],
    budget: int,
) -> dict[str, list[Card]]:
    """The cards of each group, with as many pictures of bearers as fit into so many bytes, three at least.

    What isn't beyond chance has FEW at most.
    """
    cards: dict[str, list[Card]] = {}
    for most in PICTURES:
        fewer = min(FEW, most)
        cards = {
            name: [card(run, config, one, fewer if name in ("unsure", "unjudged") else most) for one in group]
            for name, group in groups.items()
        }
        if sum(one.size for group in cards.values() for one in group) <= budget:
            break
    return cards


def quick_contexts(run: RunFolder, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an audit's page shows of the quick searches: one of each nominal class that was searched."""
    searched = []
    for index, data in enumerate(config["data"]):
        folder = f"discovery-{index}"
        if not (run.path / folder).is_dir():
            continue
        own = RunFolder(run.path / folder)
        found = own.read_json("candidates.json", SCHEMA)
        asked = config["config"]["data"]
        classes = [data["nominal_class"]] if asked["nominal_class"] else []
        about = {
            "run": f"{config['run']}/{folder}",
            "shape": found["shape"],
            "sides": SIDED,
            "config": {
                "data": {**asked, "nominal_class": classes},
                "discovery": {"model": None, "mean": (), "std": (), "trust_model": False},
                "run": {"out": config["config"]["run"]["out"]},
            },
        }
        cards = cards_within(own, about, {"sure": found["candidates"]}, QUICK_BUDGET)["sure"]
        searched.append(
            {
                "nominal_class": data["nominal_class"],
                "folder": folder,
                "answer": answer(found),
                "cards": [replace(card, null=None) for card in cards],
                "sample": config["searched"]["sample"],
                "largest": config["searched"]["largest"],
            }
        )
    return searched


def number_of(one: Mapping[str, Any]) -> str:
    """The number in its id, which is part of names of files and anchors; ValueError for another id."""
    if not re.fullmatch(r"#[0-9]+", one["id"]):
        raise ValueError(f"{one['id']!r} is no candidate's id")
    return str(one["id"][1:])


def next_command(config: Mapping[str, Any], one: Mapping[str, Any]) -> str | None:
    """What audits a candidate, to be copied; None where it can't be put on images, or the images were handed
    over in memory, or have no sides."""
    asked = config["config"]
    data = asked["data"]
    if one["kind"] not in PROMOTED or set(config["sides"]) != set(SIDED) or data["dataset"] == HANDED:
        return None
    if one["mark"] is None and one["view"] != "image":
        return None
    flags = {
        "dataset": data["dataset"],
        "data-root": data["data_root"],
        "nominal-class": ",".join(data["nominal_class"]),
        "image-size": config["shape"][1],
        "oe": data["oe"],
        "oe-limit": data["oe_limit"],
        "masks-per-defect": data["masks_per_defect"],
        "bit-depth": data["bit_depth"],
        "model": asked["discovery"]["model"],
        "mean": ",".join(map(str, asked["discovery"]["mean"] or ())),
        "std": ",".join(map(str, asked["discovery"]["std"] or ())),
    }
    given = [word for name, value in flags.items() if value for word in (f"--{name}", str(value))]
    given += ["--skip-corrupt"] if data["skip_corrupt"] else []
    given += ["--trust-model"] if asked["discovery"]["trust_model"] else []
    file = f"{asked['run']['out']}/{config['run']}/candidates.json{one['id']}"
    return shlex.join(["fcdd-audit", "run", *given, "--candidate", file])


def card(run: RunFolder, config: Mapping[str, Any], one: Mapping[str, Any], most: int) -> Card:
    """A candidate's card. most: pictures of bearers, at most."""
    number = number_of(one)
    pictures = run.read_arrays(f"pictures-{number}.npz") if one["bearers"] else {}
    return Card(
        about=one,
        number=number,
        kind=kind_words(one),
        where=place_words(one),
        shares=shares_words(one),
        p=p_words(one["p"]),
        difference=p_words(one["difference"]),
        null=one["null"] if one["null"] in NULLS else None,
        bearers=bearer_tiles(pictures, one, most),
        mark=mark_tile(pictures),
        means=mean_tiles(pictures, one),
        names=one["bearers"][:NAMED],
        left_out=max(0, len(one["bearers"]) - NAMED),
        command=next_command(config, one),
        evidence={
            EVIDENCE.get(key, key): evidence_words(value)
            for key, value in one["evidence"].items()
            if value is not None and key not in UNTOLD
        },
    )


def evidence_words(value: Any) -> str:
    """Further numbers of a candidate, for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return plain(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {evidence_words(one)}" for key, one in value.items() if one is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(evidence_words(one) for one in value)
    return str(value)


def bearer_tiles(pictures: Mapping[str, np.ndarray], one: Mapping[str, Any], most: int) -> list[Tile]:
    """The contact sheet: at most so many bearers, evenly spread, with what they bear outlined."""
    if "images" not in pictures:
        return []
    tiles = []
    count = len(pictures["images"])
    for row in np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist():
        image, name = pictures["images"][row], pictures["names"][row]
        frame = (image.shape[1], image.shape[2])
        if "masks" in pictures:
            box = _box_of(pictures["masks"][row])
        else:
            box = pixels_of(pictures["boxes"][row] if "boxes" in pictures else one["box"], frame)
        side = str(pictures["sides"][row])
        words = f"{SIDES.get(side, side) or 'an'} image {name}{', what it bears outlined' if box else ''}"
        tiles.append(Tile(outlined(image, box), words.strip(), str(name)))
    return tiles


def mark_tile(pictures: Mapping[str, np.ndarray]) -> Tile | None:
    """The extracted mark, enlarged."""
    if "mark" not in pictures:
        return None
    mark = pictures["mark"]
    height, width = mark.shape[:2]
    factor = max(1, min(MARK, LARGEST_MARK // max(height, width)))
    large = mark.repeat(factor, axis=0).repeat(factor, axis=1)
    caption = f"the mark, {width} × {height} px, {factor} times enlarged"
    words = "the extracted mark; a chequered ground shows through where the image does"
    return Tile(_uri(large, lossless=True), words, caption)


def mean_tiles(pictures: Mapping[str, np.ndarray], one: Mapping[str, Any]) -> list[Tile]:
    """The mean of the bearers beside that of as many others."""
    if "mean_bearing" not in pictures:
        return []
    image = pictures["mean_bearing"]
    box = pixels_of(one["box"], (image.shape[1], image.shape[2]))
    captions = {"mean_bearing": "mean of the bearers", "mean_others": "mean of as many others"}
    return [
        Tile(outlined(pictures[key], box), f"{caption}, outlined where the candidate is", caption)
        for key, caption in captions.items()
    ]


def pixels_of(box: Sequence[float] | None, frame: tuple[int, int]) -> Box | None:
    """Top, left, height and width, in pixels of a frame, of a box in shares."""
    if box is None:
        return None
    left, top, width, height = box
    rows, columns = frame
    pixels = top * rows, left * columns, height * rows, width * columns
    return tuple(round(float(one)) for one in pixels)  # type: ignore[return-value]


def _box_of(mask: np.ndarray) -> Box | None:
    """The least box around a mask, bool (H, W)."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def outlined(image: np.ndarray, box: Box | None) -> str:
    """A picture from uint8 (C, H, W) with a line around the box; of a large one the part that it is in."""
    pixels = np.moveaxis(image, 0, -1)
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    top, left, rows, columns = part_around(box, (pixels.shape[0], pixels.shape[1]))
    pixels = pixels[top : top + rows, left : left + columns]
    factor = max(1, -(-TILE // min(rows, columns)))
    # A margin, so that a line around a box at the border is beside what it is around.
    large = np.pad(pixels.repeat(factor, axis=0).repeat(factor, axis=1), ((LINE, LINE), (LINE, LINE), (0, 0)))
    shown = np.pad(np.full((rows * factor, columns * factor), 255, np.uint8), LINE)
    if box is not None:
        line = np.zeros(shown.shape, bool)
        first = [(one - start) * factor for one, start in zip(box[:2], (top, left), strict=True)]
        last = [start + size * factor + 2 * LINE for start, size in zip(first, box[2:], strict=True)]
        line[max(0, first[0]) : last[0], max(0, first[1]) : last[1]] = True
        line[first[0] + LINE : last[0] - LINE, first[1] + LINE : last[1] - LINE] = False
        large[line], shown[line] = OUTLINE, 255
    return _uri(np.dstack([large, shown]))


def part_around(box: Box | None, frame: tuple[int, int]) -> Box:
    """The part of a picture that is shown: all of a small one, of a larger one LARGEST px around the box, or
    as much as the box and a half needs."""
    start, size = [], []
    for axis in (0, 1):
        first, extent = (box[axis], box[axis + 2]) if box is not None else (0, frame[axis])
        wanted = min(frame[axis], max(LARGEST, 3 * extent // 2))
        start.append(min(max(0, first + extent // 2 - wanted // 2), frame[axis] - wanted))
        size.append(wanted)
    return start[0], start[1], size[0], size[1]


def _uri(pixels: np.ndarray, lossless: bool = False) -> str:
    """uint8 (H, W, 4); larger ones than LARGEST are shrunk, unless lossless."""
    picture = Image.fromarray(pixels.astype(np.uint8))
    if not lossless:
        picture.thumbnail((LARGEST + 2 * LINE, LARGEST + 2 * LINE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=78, method=4, lossless=lossless)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
