"""Finding image files below a folder, without what is hidden there."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fcdd_audit.core.errors import InputError
from fcdd_audit.images.listing import listed, printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
REMEDY = "get their data (git annex get, dvc pull) or see to their permissions"
log = logging.getLogger("fcdd_audit")


@dataclass(frozen=True)
class LeftOut:
    """What was found where files were looked for, but isn't used.

    hidden: files. unread: names of files and folders that can't be read, each with the reason.
    """

    hidden: frozenset[Path] = frozenset()
    unread: frozenset[str] = frozenset()

    def __or__(self, other: LeftOut) -> LeftOut:
        return LeftOut(self.hidden | other.hidden, self.unread | other.unread)

    def notes(self, what: str, skip_corrupt: bool) -> list[str]:
        """The lines for people; none if there is nothing to say. InputError as in `unread_notes`."""
        return [*hidden_note(self.hidden), *unread_notes(what, sorted(self.unread), skip_corrupt)]


NOTHING = LeftOut()


class Found(NamedTuple):
    """Paths, sorted, and what was left out when they were looked for."""

    paths: list[Path]
    left_out: LeftOut


def find_files(folder: Path, suffixes: Collection[str] = SUFFIXES, base: Path | None = None) -> Found:
    """Files below `folder` with these suffixes in any case. Linked folders count, but once.

    Hidden is what has a name that begins with a point, and all that is in such a folder: copies that Jupyter
    and macOS make of files are no data. `folder` itself may be hidden. What can't be read is named by its
    path below `base`, by default `folder`: such files, folders, and links without a suffix whose target isn't
    there, because it may have been a folder. A `folder` that doesn't exist is empty.
    """
    base = base or folder
    paths: list[Path] = []
    hidden: set[Path] = set()
    unread: set[str] = set()
    seen = set()

    def fail(error: OSError) -> None:
        if os.path.lexists(error.filename):
            unread.add(_named(Path(error.filename), base, reason_of(error)))

    for place, below, names in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        hidden |= _hidden(Path(place), below, names, suffixes)
        below[:] = [name for name in below if not _is_hidden(name)]
        for path in (Path(place, name) for name in names if not _is_hidden(name)):
            wanted = path.suffix.lower() in suffixes
            if reason := _reason_against(path, wanted):
                unread.add(_named(path, base, reason))
            elif wanted:
                paths.append(path)
    return Found(sorted(paths), LeftOut(frozenset(hidden), frozenset(unread)))


def subfolders(folder: Path, base: Path | None = None) -> Found:
    """The folders right below `folder`, without hidden ones, and the image files hidden beside them.

    What can't be read is named as `find_files` does.
    """
    base = base or folder
    unread: set[str] = set()

    def fail(error: OSError) -> None:
        unread.add(_named(folder, base, reason_of(error)))

    _, below, names = next(os.walk(folder, onerror=fail), (folder, [], []))
    paths = sorted(folder / name for name in below if not _is_hidden(name))
    for path in paths:
        if not os.access(path, os.R_OK | os.X_OK):
            unread.add(_named(path, base, os.strerror(errno.EACCES)))
    for path in (folder / name for name in names if not _is_hidden(name)):
        if reason := _reason_against(path, wanted=False):
            unread.add(_named(path, base, reason))
    hidden = _hidden(folder, below, names, SUFFIXES)
    return Found(paths, LeftOut(frozenset(hidden), frozenset(unread)))


def is_folder(path: Path) -> bool:
    """Whether there is a folder. InputError where permissions hide that."""
    try:
        return path.is_dir()
    except OSError as error:
        raise InputError(f"can't look at '{path}': {reason_of(error)}; see to the permissions") from None


def hidden_note(hidden: Collection[Path]) -> list[str]:
    """The line for people on hidden files that were left out; none if there are none."""
    if not hidden:
        return []
    return [f"{len(hidden)} hidden {'file was' if len(hidden) == 1 else 'files were'} left out."]


def unread_line(what: str, unread: Collection[str]) -> str:
    """How many files and folders can't be read, of what, and which. unread: names with reasons."""
    kind = "file or folder" if len(unread) == 1 else "files or folders"
    return f"{len(unread)} {kind} of {what} can't be read: {listed([*unread], '; ')}"


def unread_notes(what: str, unread: Collection[str], skip_corrupt: bool) -> list[str]:
    """The line for people on what can't be read, which is also logged; none if there is none.

    InputError, unless `skip_corrupt`.
    """
    if not unread:
        return []
    line = unread_line(what, unread)
    if not skip_corrupt:
        raise InputError(f"{line} - {REMEDY}, or leave them out with --skip-corrupt")
    log.warning("%s - left out", line)
    return [f"Left out: {line}."]


def reason_of(error: OSError) -> str:
    """Why something can't be read, in few words."""
    name = error.filename
    if isinstance(error, FileNotFoundError | NotADirectoryError) and name and os.path.islink(name):
        return "a link whose target isn't there"
    return error.strerror or " ".join(str(error).split()) or type(error).__name__


def _reason_against(path: Path, wanted: bool) -> str | None:
    """Why something that is no folder can't be read, if it can't.

    wanted: whether it is looked for by its suffix. Something else may only have been a folder, if anything.
    """
    if not wanted and path.suffix:
        return None
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return reason_of(error)
    if not wanted:
        return None
    if not stat.S_ISREG(mode):
        return "no regular file"
    return None if os.access(path, os.R_OK) else os.strerror(errno.EACCES)


def _named(path: Path, base: Path, reason: str) -> str:
    return f"{printable(path.relative_to(base).as_posix())}: {reason}"


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "lost+found"  # which file systems keep for themselves


def _hidden(base: Path, folders: Iterable[str], names: Iterable[str], suffixes: Collection[str]) -> set[Path]:
    """The files with these suffixes that are hidden in `base`, given what is right in it."""
    found = {base / name for name in names if _is_hidden(name)}
    for folder in folders:
        if _is_hidden(folder):
            found |= {Path(place, name) for place, _, inside in os.walk(base / folder) for name in inside}
    return {path for path in found if path.suffix.lower() in suffixes}
