"""Work on a gallery's pictures, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fcdd_audit.core.progress import progress_bar
from fcdd_audit.images.gallery import Gallery

Found = TypeVar("Found")


def in_order(
    gallery: Gallery, work: Callable[[int], Found], doing: str, ahead: int, progress: bool
) -> Iterator[tuple[int, Found]]:
    """Each index of the gallery and what `work` makes of it, in the gallery's order.

    doing: stands before the gallery's name on the progress bar. ahead: at most so many results wait in
    memory to be taken.
    """
    with (
        ThreadPoolExecutor() as pool,
        progress_bar(
            progress, total=len(gallery), desc=f"{doing} {gallery.what}", unit="image", leave=False
        ) as bar,
    ):
        for first in range(0, len(gallery), ahead):
            indices = range(first, min(first + ahead, len(gallery)))
            for index, found in zip(indices, pool.map(work, indices), strict=True):
                bar.update()
                yield index, found
