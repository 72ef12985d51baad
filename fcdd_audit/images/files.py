"""Finding image files below a folder, without what is hidden there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


class Found(NamedTuple):
    """Paths, sorted, and the hidden files that were left out when they were looked for."""

    paths: list[Path]
    hidden: frozenset[Path]


def find_files(folder: Path, suffixes: Collection[str] = SUFFIXES) -> Found:
    """Files below `folder` with these suffixes in any case. Linked folders count, but once.

    Hidden is what has a name that begins with a point, and all that is in such a folder: copies that Jupyter
    and macOS make of files are no data. `folder` itself may be hidden.
    """
    paths: list[Path] = []
    hidden: set[Path] = set()
    seen = set()
    for base, below, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(base)
        if place in seen:
            below.clear()
            continue
        seen.add(place)
        hidden |= _hidden(Path(base), below, names, suffixes)
        below[:] = [name for name in below if not _is_hidden(name)]
        shown = (Path(base, name) for name in names if not _is_hidden(name))
        paths += [path for path in shown if path.suffix.lower() in suffixes and path.is_file()]
    return Found(sorted(paths), frozenset(hidden))


def subfolders(folder: Path) -> Found:
    """The folders right below `folder`, without hidden ones, and the image files hidden beside them."""
    entries = sorted(folder.iterdir())
    folders = [entry for entry in entries if entry.is_dir()]
    names = [entry.name for entry in entries if not entry.is_dir()]
    hidden = _hidden(folder, [entry.name for entry in folders], names, SUFFIXES)
    return Found([entry for entry in folders if not _is_hidden(entry.name)], frozenset(hidden))


def hidden_note(hidden: Collection[Path]) -> list[str]:
    """The line for people on hidden files that were left out; none if there are none."""
    if not hidden:
        return []
    return [f"{len(hidden)} hidden {'file was' if len(hidden) == 1 else 'files were'} left out."]


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _hidden(base: Path, folders: Iterable[str], names: Iterable[str], suffixes: Collection[str]) -> set[Path]:
    """The files with these suffixes that are hidden in `base`, given what is right in it."""
    found = {base / name for name in names if _is_hidden(name)}
    for folder in folders:
        if _is_hidden(folder):
            found |= {Path(place, name) for place, _, inside in os.walk(base / folder) for name in inside}
    return {path for path in found if path.suffix.lower() in suffixes}
