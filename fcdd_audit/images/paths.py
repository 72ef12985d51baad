"""Paths for files that are written for images, whatever these are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from fcdd_audit.images.files import SUFFIXES

LONGEST = 120  # bytes of a part of a path
FORBIDDEN = frozenset('<>:"|?*\\')  # in names of files, somewhere


def safe_paths(names: Sequence[str]) -> list[str]:
    """A path of a .png for each image, all different, that stay in the folder they are put in.

    An image's own path is kept where every part of it is harmless as a file's name anywhere, so that the
    folder can be given as masks; else it is `image-N.png`.
    """
    taken: set[str] = set()
    paths = []
    for place, name in enumerate(names):
        path = next(one for one in _proposed(name, place) if _is_free(one, taken))
        taken |= {str(one).lower() for one in (path, *path.parents)}
        paths.append(str(path))
    return paths


def _proposed(name: str, place: int) -> Iterator[PurePosixPath]:
    parts = name.split("/")
    stem = PurePosixPath(parts[-1])
    parts[-1] = (stem.stem if stem.suffix.lower() in SUFFIXES else parts[-1]) + ".png"
    if all(_is_harmless(part) for part in parts):
        yield PurePosixPath(*parts)
    attempt = f"image-{place}"
    while True:
        yield PurePosixPath(f"{attempt}.png")
        attempt += "-"


def _is_harmless(part: str) -> bool:
    return (
        part not in (".png", "")
        and part[0] not in ".-~ "
        and part[-1] not in ". "
        and part.isprintable()
        and not FORBIDDEN & set(part)
        and len(part.encode()) <= LONGEST
    )


def _is_free(path: PurePosixPath, taken: set[str]) -> bool:
    """Whether no other path is the same, or a file where this one has a folder, or the other way round."""
    folders = {str(one).lower() for one in path.parents}
    return str(path).lower() not in taken and not any(one.endswith(".png") for one in folders & taken)
