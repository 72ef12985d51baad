"""Files by their content: digests, and text that knows whether it is damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any


def sealed(content: Any) -> str:
    """JSON in one line, after a line with its SHA-256."""
    text = json.dumps(content)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def unsealed(text: str) -> Any:
    """What `sealed` was given; ValueError if that isn't what the text is."""
    digest, _, content = text.partition("\n")
    if digest != hashlib.sha256(content.encode()).hexdigest():
        raise ValueError("a checksum is wrong")
    return json.loads(content)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def put(source: Path, target: Path) -> None:
    """Move a whole file to where a damaged one, or a folder, may be."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)
