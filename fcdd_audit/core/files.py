"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from fcdd_audit.core.errors import InputError

TEMPORARY = ".tmp-"  # how the names of files begin that a killed process may leave behind


def write_text(path: Path, text: str) -> Path:
    """Write a text file at once: whoever reads it finds the old text or the new one. Returns `path`."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    return temporary.replace(path)


def check_writable(folder: Path) -> None:
    """InputError if the folder can't be made or written; changes nothing."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if os.path.exists(one))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise InputError(f"can't write to '{folder}'; choose another --out")
