"""How image files are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reading:
    """How the image files of a data set are read.

    cache: folder for decoded images; None: the user's own. skip_corrupt: leave out files that can't be
    decoded, and say so, instead of refusing them. bit_depth: 8 to 16, of files that hold more than 8 bits a
    channel; None: told from the files (see `depth.depth_of`). progress: a bar on stderr.
    """

    cache: Path | None = None
    skip_corrupt: bool = False
    bit_depth: int | None = None
    progress: bool = False
