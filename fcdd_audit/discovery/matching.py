"""Which images bear what a few of them have in common: all are compared with the mean of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fcdd_audit.discovery.repeats import FIELDS, Vectors, View, Window, moves_of, vectors_of

ROUNDS = 3
MARGIN = 0.15  # of the way from the most alike decoy to the median bearer, that a bearer must be beyond
FEWEST = 3  # bearers that a template is made of


@dataclass(frozen=True)
class Template:
    """The mean of what bearers have in common at a window, as a unit vector (d,), and the least correlation
    with it that makes a bearer: what no decoy reaches."""

    field: str
    window: Window
    vector: Tensor
    whiten: Tensor | None
    moves: tuple[int, ...]
    limit: float


def fit(view: View, field: str, window: Window, bearers: np.ndarray) -> tuple[Template, np.ndarray]:
    """The template of some bearers, refined, and all images of the view that bear it, places in rising order.

    A mirrored window is one of the mirrored images. The decoys are the same images mirrored the other way, in
    which the mark isn't there, and which are as many.
    """
    vectors = vectors_of(view, field, (window.height, window.width))
    n, reach = len(view.images), max(moves_of(min(view.images.shape[2:])))
    moves = tuple(range(-reach, reach + 1))
    everything = _moved(vectors, window, moves)  # (moves, 2n, d)
    own, decoys = everything[:, :n], everything[:, n:]
    if window.mirrored:
        own, decoys = decoys, own
    found = bearers
    vector = _start(own[:, bearers])
    limit = 1.0
    for _ in range(ROUNDS):
        likeness, move = (own @ vector).max(dim=0)
        highest, usual = float((decoys @ vector).max()), float(likeness[found].median())
        limit = highest + MARGIN * max(0.0, usual - highest)
        kept = np.flatnonzero((likeness > limit).numpy())
        if len(kept) < FEWEST:
            break
        found = kept
        vector = F.normalize(own[move[found], found].mean(0), dim=0)
    return Template(field, window, vector, vectors.whiten, moves, limit), found


def _start(own: Tensor) -> Tensor:
    """The mean of bearers, (moves, b, d), each moved to be most like the one that all are most like."""
    middle = own[len(own) // 2]
    likeness = torch.stack([(own @ one).max(dim=0).values for one in middle])  # (b, b)
    _, moves = (own @ middle[likeness.sum(1).argmax()]).max(dim=0)
    return F.normalize(own[moves, torch.arange(len(moves))].mean(0), dim=0)


def bearing(images: Tensor, template: Template) -> np.ndarray:
    """Which of these images bear it, bool (n,). images: uint8 (n, C, S, T), of the template's view, mirrored
    if its window is."""
    shape = (template.window.height, template.window.width)
    vectors = Vectors(FIELDS[template.field](images), shape, template.whiten)
    own = _moved(vectors, template.window, template.moves)
    return ((own @ template.vector).max(dim=0).values > template.limit).numpy()


def _moved(vectors: Vectors, window: Window, moves: Sequence[int]) -> Tensor:
    """(moves, images, d): the window of every image at all displacements; the one in the middle is none."""
    places = [(window.top + down, window.left + right) for down in moves for right in moves]
    found = [vectors.at(*place) for place in places]
    middle = found[len(found) // 2]
    if middle is None:
        raise ValueError(f"the window {window} isn't inside the images")
    return torch.stack([middle if one is None else one for one in found])
