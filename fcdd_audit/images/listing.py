"""Names in messages."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 5  # at most; of more, only the number is said


def printable(name: str) -> str:
    """A file's name as text that can be written, whatever its bytes."""
    return name.encode("utf-8", "backslashreplace").decode()


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{separator.join(names[:NAMED])}{more}"
