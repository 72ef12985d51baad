"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fcdd_audit.core.errors import InputError, RunError

TEMPORARY = ".tmp-"  # how the names of files begin that a killed process may leave behind


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """An OSError inside ends the run with one line that names the file, such as where the disk is full."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"can't write '{error.filename or path}' ({error.strerror or error}); what is finished is kept: "
            "make room, and run the same command again"
        ) from error


def write_text(path: Path, text: str) -> Path:
    """Write a text file at once: whoever reads it finds the old text or the new one. Returns `path`.

    RunError if it can't be written; nothing of it is left then.
    """
    return write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> Path:
    """The same as `write_text` for any content."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    with writing(path):
        try:
            temporary.write_bytes(content)
            return temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def check_writable(folder: Path, option: str = "--out") -> None:
    """InputError if the folder can't be made or written; changes nothing. option: what names another."""
    try:
        os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InputError(f"can't use '{folder}' ({error.strerror}); choose another {option}") from None
    nearest = next(one for one in (folder, *folder.absolute().parents) if os.path.exists(one))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise InputError(f"can't write to '{folder}'; choose another {option}")


def check_file(file: Path, option: str) -> None:
    """InputError if the file can't be made, replaced or written; changes nothing. option: what names it."""
    if file.exists() and not file.is_file():
        reason = "it is no file"
    elif not file.parent.is_dir():
        reason = f"'{file.parent}' is no folder"
    elif not os.access(file.parent, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
        reason = "no permission"
    else:
        return
    raise InputError(f"can't write to '{file}' ({reason}); choose another {option}")


def append_text(path: Path, text: str) -> Path:
    """Add to a text file, which may not be there yet. Returns `path`.

    RunError if it can't be written; it stays as it was then.
    """
    if not path.exists():
        return write_text(path, text)
    size = path.stat().st_size
    with writing(path):
        try:
            with path.open("ab") as file:
                file.write(text.encode())
        except OSError:
            os.truncate(path, size)
            raise
    return path
