"""Which images bear what a few of them have in common: all are compared with the mean of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.repeats import FIELDS, Vectors, View, Window, moves_of, vectors_of

ROUNDS = 3
CHUNK = 512  # images at a time
MARGIN = 0.15  # of the way from the most alike decoy to the median bearer, that a bearer must be beyond
HELD = 250_000_000  # numbers of windows held at once
PLACE = ("top", "left", "height", "width")
FEWEST = 3  # bearers that a template is made of


@dataclass(frozen=True)
class Template:
    """The mean of what bearers have in common at a window, as a unit vector (d,), and the least correlation
    with it that makes a bearer: what no decoy reaches. side: px, of the view's images. anchor: of a view that
    is cut from the files; empty: whole images."""

    field: str
    window: Window
    vector: Tensor
    whiten: Tensor | None
    moves: tuple[int, ...]
    limit: float
    side: int
    anchor: str = ""

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays, for `read_template`; the whitening in half precision, as it is large."""
        whiten = {} if self.whiten is None else {"whiten": self.whiten.half().numpy()}
        return {
            "field": np.array(self.field),
            "vector": self.vector.numpy(),
            "moves": np.array(self.moves),
            "limit": np.array(self.limit),
            "side": np.array(self.side),
            "anchor": np.array(self.anchor),
            **{f"window.{name}": np.array(value) for name, value in asdict(self.window).items()},
            **whiten,
        }


def read_template(path: Path) -> Template:
    """What `Template.arrays` gave. InputError for a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _template({name: arrays[name] for name in arrays.files})
    except Exception as error:  # whatever numpy raises on a damaged file
        raise InputError(
            f"'{path}' can't be read ({type(error).__name__}), which tells the images that bear the "
            "candidate; search again"
        ) from None


def _template(arrays: Mapping[str, Any]) -> Template:
    field = str(arrays["field"])
    if field not in FIELDS:
        raise ValueError(f"no field {field!r}")
    top, left, height, width = (int(arrays[f"window.{name}"]) for name in PLACE)
    side, vector, moves = int(arrays["side"]), arrays["vector"], arrays["moves"].tolist()
    inside = 0 <= top <= side - height and 0 <= left <= side - width and min(height, width) > 0
    if not inside or vector.ndim != 1 or len(vector) % (height * width) or not moves or max(moves) > side:
        raise ValueError("the window doesn't fit")
    return Template(
        field,
        Window(top, left, height, width, bool(arrays["window.mirrored"])),
        torch.from_numpy(vector).float(),
        torch.from_numpy(arrays["whiten"]).float() if "whiten" in arrays else None,
        tuple(map(int, moves)),
        float(arrays["limit"]),
        side,
        str(arrays["anchor"]),
    )


def reach_of(view: View) -> int:
    """By how many pixels a mark may be moved between two images that are compared."""
    return max(moves_of(min(view.images.shape[2:])))


def fit(
    view: View, field: str, window: Window, bearers: np.ndarray, reach: int | None = None
) -> tuple[Template, np.ndarray]:
    """The template of some bearers, refined, and the images of the view that bear it, places in rising order.

    A mirrored window is one of the mirrored images. The decoys are the same images mirrored the other way, in
    which the mark isn't there, and which are as many. An image bears it if the template of the others does
    so, so that none is counted because it is in the template. None where fewer than FEWEST stand out from the
    decoys. reach: by how many pixels it may be moved on an image, or less where that takes too much memory;
    None: as images are compared.
    """
    vectors = vectors_of(view, field, (window.height, window.width))
    n, usual, side = len(view.images), reach_of(view), view.images.shape[2]
    moves = _within_memory(max(usual, reach or 0), usual, vectors)
    everything = _moved(vectors, window, moves)  # (moves, 2n, d)
    own, decoys = everything[:, :n], everything[:, n:]
    if window.mirrored:
        own, decoys = decoys, own
    found, vector = bearers, _start(own[:, bearers])
    for _ in range(ROUNDS):
        likeness, move = (own @ vector).max(dim=0)
        limit = _limit(decoys @ vector, likeness[found])
        kept = np.flatnonzero((likeness > limit).numpy())
        if len(kept) < FEWEST:
            return Template(field, window, vector, vectors.whiten, moves, limit, side), np.array([], int)
        found = kept
        aligned = own[move[found], found]
        vector = F.normalize(aligned.mean(0), dim=0)
    limit = _limit(decoys @ vector, (own @ vector).max(dim=0).values[found])
    template = Template(field, window, vector, vectors.whiten, moves, limit, side)
    bears = (own @ vector).max(dim=0).values > limit
    without = F.normalize(aligned.sum(0) - aligned, dim=1)  # of the others, for each that is in it
    bears[found] = torch.einsum("mbd,bd->mb", own[:, found], without).max(dim=0).values > limit
    named = np.flatnonzero(bears.numpy())
    return template, named if len(named) >= FEWEST else named[:0]


def _within_memory(reach: int, least: int, vectors: Vectors) -> tuple[int, ...]:
    """Displacements up to `reach` px, or as many of them, `least` px in any case, as can be held at once."""
    images, channels = vectors.field.shape[:2]
    each = images * channels * vectors.shape[0] * vectors.shape[1]
    while reach > least and (2 * reach + 1) ** 2 * each > HELD:
        reach -= 1
    return tuple(range(-reach, reach + 1))


def _limit(decoys: Tensor, bearers: Tensor) -> float:
    """decoys, bearers: correlations with a template. Beyond the most alike decoy by MARGIN of the way to the
    median bearer."""
    highest, usual = float(decoys.max()), float(bearers.median())
    return highest + MARGIN * max(0.0, usual - highest)


def bearing(images: Tensor, template: Template, mirrored: Tensor | None = None) -> np.ndarray:
    """Which of these images bear it, bool (n,). images: uint8 (n, C, S, S), of the template's view. mirrored:
    what stands in their place if its window is one of mirrored images; None: they are mirrored themselves."""
    window = template.window
    shape = (window.height, window.width)
    flipped = window.mirrored and mirrored is None
    found = []
    for batch in (mirrored if window.mirrored and mirrored is not None else images).split(CHUNK):
        pixels = batch.flip(-1) if flipped else batch
        vectors = Vectors(FIELDS[template.field](pixels), shape, template.whiten)
        own = _moved(vectors, window, template.moves)
        found.append(((own @ template.vector).max(dim=0).values > template.limit).numpy())
    return np.concatenate(found) if found else np.zeros(0, bool)


def _start(own: Tensor) -> Tensor:
    """The mean of bearers, (moves, b, d), each moved to be most like the one that all are most like."""
    middle = own[len(own) // 2]
    likeness = torch.stack([(own @ one).max(dim=0).values for one in middle])  # (b, b)
    _, moves = (own @ middle[likeness.sum(1).argmax()]).max(dim=0)
    return F.normalize(own[moves, torch.arange(len(moves))].mean(0), dim=0)


def _moved(vectors: Vectors, window: Window, moves: Sequence[int]) -> Tensor:
    """(moves, images, d): the window of every image at all displacements; the one in the middle is none."""
    places = [(window.top + down, window.left + right) for down in moves for right in moves]
    found = [vectors.at(*place) for place in places]
    middle = found[len(found) // 2]
    if middle is None:
        raise ValueError(f"the window {window} isn't inside the images")
    return torch.stack([middle if one is None else one for one in found])
