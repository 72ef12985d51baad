"""stdin, stdout and stderr that never end a command, whatever is behind them."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import Any

UNREAD = {errno.EPIPE, errno.EINVAL, errno.EIO}  # the reader has gone; so on Windows; so has a terminal
READABLE = "fcdd_audit.readable"  # how codecs know `readable`
SPELLED = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "–": "-",
        "×": "x",
        "±": "+-",
        "·": "-",
        "“": '"',
        "”": '"',
        "’": "'",
        "…": "...",
        "→": "->",
    }
)


class Lasting(io.FileIO):
    """The file of a standard stream; from an error on, what is written goes nowhere.

    lost: the error.
    """

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.lost = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def make_lasting() -> None:
    """Gives this process streams where they are closed, and those to write to no way to raise an error."""
    codecs.register_error(READABLE, readable)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # closed ones in their files' order
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - as long as the process
            os.set_inheritable(stream.fileno(), True)  # workers too would open data in the free place
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream = _lasting(stream)
        setattr(sys, name, stream)


def unwritten() -> OSError | None:
    """Why something on stdout couldn't be written, such as a full disk; None: all was, or nobody reads on."""
    sys.stdout.flush()
    error = getattr(_file(sys.stdout), "lost", None)
    return None if error is None or error.errno in UNREAD else error


def readable(error: UnicodeError) -> tuple[str, int]:
    """A handler of encoding errors that spells our own signs in ASCII, and anything else as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(SPELLED)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    file = _file(stream)
    if type(file) is not io.FileIO:  # a console of Windows
        stream.reconfigure(errors=READABLE)
        return stream
    lasting = Lasting(file.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        lasting if stream.write_through else io.BufferedWriter(lasting),
        encoding=stream.encoding,
        errors=READABLE,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _file(stream: Any) -> Any:
    """What is below a stream's text and buffer."""
    buffer = getattr(stream, "buffer", stream)
    return getattr(buffer, "raw", buffer)
