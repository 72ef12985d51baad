"""What a discovery leaves on disk: candidates.json, marks, masks, and the pictures that its page shows."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fcdd_audit.core.arrays import npz_file, spread
from fcdd_audit.discovery.candidates import SCHEMA, Candidate, Found, Kind
from fcdd_audit.discovery.discover import Discovery
from fcdd_audit.discovery.extraction import Extracted
from fcdd_audit.discovery.saying import SURE
from fcdd_audit.discovery.sides import Sides
from fcdd_audit.images.paths import safe_paths
from fcdd_audit.natural.promoted import CANDIDATES

WINDOWS = "windows"  # evidence that is a box of each bearer, as shares
SHOWN = 12  # bearers whose pictures are kept


@dataclass(frozen=True)
class Entry:
    """A candidate, an artifact that may be one; best first.

    id: #1, #2, ... bearers: names of the images that bear it; those of a folder are paths below the data
    root. share: of each side's images, how many bear it. counts: bearing images, and all. difference: exact
    p-value of a difference between the shares (Fisher), null with one side. view: where it was searched. box:
    left, top, width, height as shares of the view; null without a place. p: family-wise p-value, null where
    no null can judge it; null: which one judged it, or why none can. mark: file of the extracted mark, or
    null. masks: folder of a mask a bearer, or null. template: file of what tells other images that bear it,
    or null. evidence: further numbers, by name.
    """

    id: str
    kind: Kind
    bearers: list[str]
    share: dict[str, float | None]
    counts: dict[str, tuple[int, int]]
    difference: float | None
    view: str
    box: tuple[float, float, float, float] | None
    p: float | None
    null: str
    mark: str | None
    masks: str | None
    template: str | None
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Files:
    """content: of candidates.json. binary: all files by name, candidates.json too."""

    content: dict[str, Any]
    binary: dict[str, bytes]


def files_of(found: Discovery, sides: Sides, dataset: str) -> Files:
    """All of a discovery's files but its page and config.json."""
    entries: list[dict[str, Any]] = []
    binary: dict[str, bytes] = {}
    for number, one in enumerate(found.candidates, 1):
        mark = None if one.found is None else one.found.mark
        files = {"mark": f"mark-{number}.png", "masks": f"masks-{number}"} if mark is not None else {}
        if one.found is not None and one.found.template is not None:
            files["template"] = f"template-{number}.npz"
            binary[files["template"]] = npz_file(one.found.template.arrays())
        entries.append(entry(one, **files))
        if mark is not None and one.found is not None:
            binary[files["mark"]] = png(mark_pixels(mark))
            paths = safe_paths(one.bearers)
            for path, mask in zip(paths, masks_of(mark, one.found), strict=True):
                binary[f"{files['masks']}/{path}"] = png(mask.astype(np.uint8) * 255)
        pictures = pictures_of(one, sides)
        if pictures:
            binary[f"pictures-{number}.npz"] = npz_file(pictures)
    content = plain(
        {
            "schema": SCHEMA,
            "dataset": dataset,
            "shape": list(next(iter(sides.images.values())).images.shape[1:]),
            "images": found.images,
            "searched": found.searched,
            "draws": found.draws,
            "sensitivity": [asdict(one) for one in found.spiked],
            "notes": [*sides.notes, *found.notes, *_draws_note(found.draws)],
            "candidates": entries,
        }
    )
    return Files(content, {**binary, CANDIDATES: f"{json.dumps(content, indent=1)}\n".encode()})


def masks_of(mark: Extracted, found: Found) -> Iterator[np.ndarray]:
    """Where the mark is on each bearer, bool (H, W): as it was searched or, of a view that was cut from the
    files, on the whole file."""
    own = mark.masks((found.bearing.shape[2], found.bearing.shape[3]))[:, 0].numpy()
    if not found.frames:
        yield from own
        return
    for mask, (rows, columns, top, left) in zip(own, found.frames, strict=True):
        whole = np.zeros((rows, columns), bool)
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        yield whole


def _draws_note(draws: int) -> list[str]:
    if 1 / (1 + draws) <= SURE:
        return []
    return [f"With {draws} null searches no p can be {SURE} or less; 19 are the fewest that can."]


def entry(
    candidate: Candidate, mark: str | None = None, masks: str | None = None, template: str | None = None
) -> dict[str, Any]:
    """A candidate as candidates.json has it, with the names of its files."""
    content = candidate.as_json()
    evidence = content.pop("evidence")
    return {**content, "mark": mark, "masks": masks, "template": template, "evidence": evidence}


def plain(value: Any) -> Any:
    """Only what JSON knows: no NaN, nothing of numpy's."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def png(pixels: np.ndarray) -> bytes:
    """uint8 (H, W) or (H, W, 4) as a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def mark_pixels(mark: Extracted) -> np.ndarray:
    """Colour and alpha of a mark, uint8 (h, w, 4), cut to its support."""
    rows, columns = (mark.support.any(axis).nonzero()[:, 0] for axis in (1, 0))
    part = (..., slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    colour = mark.colour.expand(3, *mark.support.shape)[part]
    both = torch.cat([colour, mark.alpha.mean(dim=0, keepdim=True)[part]])
    return (both.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def pictures_of(candidate: Candidate, sides: Sides) -> dict[str, np.ndarray]:
    """What the page shows of a candidate; empty for one without bearers.

    Pictures of some bearers with names and sides, and with masks if a mark was extracted; the mark; means of
    the bearers and of as many others.
    """
    if not candidate.bearers:
        return {}
    chosen = spread(len(candidate.bearers), SHOWN)
    names = [candidate.bearers[place] for place in chosen]
    side_of = sides.side_of
    arrays = {
        "names": np.array(names),
        "sides": np.array([side_of.get(name, "") for name in names]),
    }
    if candidate.found is None:
        return {"images": _named(names, sides), **arrays}
    bearing = candidate.found.bearing
    arrays = {"images": bearing[chosen].numpy(), **arrays}
    windows = candidate.evidence.get(WINDOWS, ())
    if len(windows) == len(candidate.bearers):
        arrays["boxes"] = np.array([windows[place] for place in chosen], float)
    others = candidate.found.others
    if len(others):
        arrays["mean_bearing"] = _mean(bearing)
        arrays["mean_others"] = _mean(others[spread(len(others), len(bearing))])
    mark = candidate.found.mark
    if mark is not None:
        arrays["mark"] = mark_pixels(mark)
        frame = (bearing.shape[2], bearing.shape[3])
        arrays["masks"] = mark.masks(frame)[chosen, 0].numpy()
    return arrays


def _mean(images: Tensor) -> np.ndarray:
    return images.float().mean(dim=0).round().to(torch.uint8).numpy()


def _named(names: Sequence[str], sides: Sides) -> np.ndarray:
    """The images of these names, (N, C, H, W)."""
    known = {
        name: image
        for images in sides.images.values()
        for name, image in zip(images.names, images.images, strict=True)
    }
    return torch.stack([known[name] for name in names]).numpy()
