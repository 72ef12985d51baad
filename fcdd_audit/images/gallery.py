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
from fcdd_audit.images.files import find_files
from fcdd_audit.images.opening import peak

WORDNET_ID = re.compile(r"n\d{8}(?![0-9])")


@dataclass(frozen=True)
class Gallery:
    """A list of pictures, each with a name for people and the class it belongs to ("" if none is known).

    read: the picture, with the depth of its data set, and its origin; raises whatever its decoder does.
    identity: text that, together with the name, changes when the picture does. peak: the picture's largest
    value if it holds more than 8 bits a channel; None: no picture does. All take an index into the list.
    what: says in errors and on progress bars whose pictures these are. hidden: files that were left out
    when the list, or the one it was taken from, was made.
    """

    what: str
    names: tuple[str, ...]
    classes: tuple[str, ...]
    read: Callable[[int, Depth], Decoded]
    identity: Callable[[int], str]
    peak: Callable[[int], Peak | None] | None = None
    hidden: frozenset[Path] = frozenset()

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
            self.hidden,
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


def printable(name: str) -> str:
    """A file's name as text that can be written, whatever its bytes."""
    return name.encode("utf-8", "backslashreplace").decode()


def of_files(
    paths: Sequence[Path],
    base: Path,
    what: str,
    classes: Sequence[str] | None = None,
    hidden: frozenset[Path] = frozenset(),
) -> Gallery:
    """Image files, named by their path below `base`."""
    place = base.resolve()

    def identity(index: int) -> str:
        stat = paths[index].stat()
        return f"{place}|{stat.st_size}|{stat.st_mtime_ns}"

    return Gallery(
        what,
        tuple(printable(path.relative_to(base).as_posix()) for path in paths),
        tuple(classes) if classes is not None else ("",) * len(paths),
        lambda index, depth: decode(paths[index], depth),
        identity,
        lambda index: peak(paths[index]),
        hidden,
    )


def of_folder(base: Path, what: str) -> Gallery:
    """All images below `base`, by class.

    A class is the WordNet id in the picture's path, else the first folder below `base` that it is in, if any.
    """
    paths, hidden = find_files(base)
    return of_files(paths, base, what, [_class_of(path.relative_to(base)) for path in paths], hidden)


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
