"""Errors of other people's code, as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fcdd_audit.core.errors import AuditError, InputError
from fcdd_audit.core.text import one_line

LONGEST = 200  # characters of a foreign error's message


class NotFiniteError(InputError):
    """A model gives scores that aren't finite."""


def reason_of(error: BaseException) -> str:
    """Kind and message, the message cut where it is long."""
    words = one_line(str(error))
    short = words if len(words) <= LONGEST else f"{words[:LONGEST].rstrip()} ..."
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


@contextmanager
def failing_as(what: str, remedy: str) -> Iterator[None]:
    """Whatever fails inside becomes an InputError of one line: what failed, why, and what to do."""
    try:
        yield
    except AuditError:
        raise
    except (Exception, SystemExit) as error:  # a script may exit when it is imported
        raise InputError(f"{what} ({reason_of(error)}); {remedy}") from error
