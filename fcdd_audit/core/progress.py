"""Progress bars on stderr."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(shown: bool, **named: Any) -> tqdm[Any]:
    """A bar, if it is to be shown and stderr is a terminal; services and windowed programs have no stderr.

    named: as tqdm takes them.
    """
    return tqdm(disable=None if shown and sys.stderr is not None else True, **named)
