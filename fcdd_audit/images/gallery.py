"""Pictures that are known but not decoded yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fcdd_audit.images.decode import Decoded, decode
from fcdd_audit.images.depth import Depth, Peak
from fcdd_audit.images.files import NOTHING, LeftOut, find_files
from fcdd_audit.images.listing import printable
from fcdd_audit.images.opening import peak
from fcdd_audit.images.sealed import digest_of

WORDNET_ID = re.compile(r"n\d{8}(?![0-9])")


@dataclass(frozen=True)
class Gallery:
    """A list of pictures, each with a name for people and the class it belongs to ("" if none is known).

    read: the picture, with the depth of its data set, and its origin; raises whatever its decoder does.
    identity: text that, together with the name, changes when the picture does; OSError for a file that can't
    be read. peak: the picture's largest value if it holds more than 8 bits a channel; None: the pictures are
    in memory, and none does. All take an index into the list. what: says in errors and on progress bars whose
    pictures these are. left_out: what was, when the list, or the one it was taken from, was made.
    """

    what: str
    names: tuple[str, ...]
    classes: tuple[str, ...]
    read: Callable[[int, Depth], Decoded]
    identity: Callable[[int], str]
    peak: Callable[[int], Peak | None] | None = None
    left_out: LeftOut = NOTHING

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Iterable[int]) -> Gallery:
        """The pictures at these indices, in their order."""
        chosen = list(indices)
        own_peak = self.peak
        return Gallery(
            self.what,
            tuple(self.names[i] for i in chosen),
            tuple(self.classes[i] for i in chosen),
            lambda i, depth: self.read(chosen[i], depth),
            lambda i: self.identity(chosen[i]),
            None if own_peak is None else lambda i: own_peak(chosen[i]),
            self.left_out,
        )

    def of_class(self, *classes: str) -> Gallery:
        """The pictures of these classes."""
        chosen = set(classes)
        return self.take(i for i, name in enumerate(self.classes) if name in chosen)

    def without(self, *classes: str) -> Gallery:
        """The pictures of all other classes."""
        dropped = set(classes)
        return self.take(i for i, name in enumerate(self.classes) if name not in dropped)

    def sample(self, count: int | None, rng: np.random.Generator) -> Gallery:
        """At most `count` pictures, drawn without replacement, in the list's order; None: all."""
        if count is None or count >= len(self):
            return self
        return self.take(sorted(rng.permutation(len(self))[:count].tolist()))

    def split(self, share: float, rng: np.random.Generator) -> tuple[Gallery, Gallery]:
        """Two galleries at random: the rest, and round(share * len) pictures, if possible at least one."""
        order = rng.permutation(len(self)).tolist()
        held = max(1, round(share * len(self)))
        return self.take(sorted(order[held:])), self.take(sorted(order[:held]))


def of_files(
    paths: Sequence[Path],
    base: Path,
    what: str,
    classes: Sequence[str] | None = None,
    left_out: LeftOut = NOTHING,
) -> Gallery:
    """Image files, named by their path below `base`, and identified by their content.

    Sizes and times don't tell: other files may have the same ones, as those out of an archive do.
    """
    return Gallery(
        what,
        tuple(printable(path.relative_to(base).as_posix()) for path in paths),
        tuple(classes) if classes is not None else ("",) * len(paths),
        lambda index, depth: decode(paths[index], depth),
        lambda index: digest_of(paths[index]),
        lambda index: peak(paths[index]),
        left_out,
    )


def of_folder(base: Path, what: str) -> Gallery:
    """All images below `base`, by class.

    A class is the WordNet id in the picture's path, else the first folder below `base` that it is in, if any.
    """
    paths, left_out = find_files(base)
    return of_files(paths, base, what, [_class_of(path.relative_to(base)) for path in paths], left_out)


def _class_of(path: Path) -> str:
    for part in path.parts:
        found = WORDNET_ID.match(part)
        if found:
            return found.group()
    return printable(path.parts[0]) if len(path.parts) > 1 else ""


def of_arrays(pixels: np.ndarray, classes: Sequence[str], what: str, digest: str) -> Gallery:
    """Pictures in memory: uint8 (N, H, W) or (N, H, W, 3). digest: of all of them."""
    counts: dict[str, int] = {}
    names = []
    for name in classes:
        counts[name] = counts.get(name, -1) + 1
        names.append(f"{name}/{counts[name]:05d}")
    return Gallery(
        what,
        tuple(names),
        tuple(classes),
        lambda index, _: Decoded(Image.fromarray(pixels[index]), None),
        lambda index: f"{digest}|{index}",
    )
