"""What is kept of a piece of work: an identity, which says what it is of, and files with their checksums."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IDENTITY = "identity.json"
SUMS = "SHA256SUMS"  # as `sha256sum --check` reads it
MISSING = "nothing"
DIGEST = re.compile("[0-9a-f]{16}|[0-9a-f]{64}")

Identity = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A record as it was read. files: by name, without the identity and the checksums."""

    identity: Identity
    files: Mapping[str, bytes]

    def json(self, name: str) -> dict[str, Any]:
        """The content of one of its JSON files."""
        content: dict[str, Any] = json.loads(self.files[name])
        return content


class DamagedError(Exception):
    """A record isn't what it was when it was written."""


def plain(identity: Mapping[str, Any]) -> Identity:
    """An identity as JSON gives it back: tuples are lists, keys are text, and 1.0 is 1."""
    found: Identity = json.loads(as_json(identity), parse_float=_number)
    return found


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def as_json(value: Any) -> str:
    """JSON for people, the same for equal values."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def key_of(identity: Mapping[str, Any]) -> str:
    """The name of a record: 16 hex digits of the SHA-256 of its identity."""
    return hashlib.sha256(as_json(identity).encode()).hexdigest()[:16]


def differences(wanted: Any, found: Any, at: str = "") -> Iterator[str]:
    """What is otherwise in another identity: "recipe.epochs 6, was 8"."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in dict.fromkeys([*wanted, *found]):
            below = f"{at}.{name}" if at else name
            yield from differences(wanted.get(name, MISSING), found.get(name, MISSING), below)
    elif wanted != found and DIGEST.fullmatch(str(wanted)) and DIGEST.fullmatch(str(found)):
        yield f"{at} changed"
    elif wanted != found:
        yield f"{at} {_said(wanted)}, was {_said(found)}"


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def write(folder: Path, identity: Identity, files: Mapping[str, bytes]) -> None:
    """Write a record into a folder of its own, which is made. files: by name, with slashes where they are in
    folders. OSError if it can't be."""
    folder.mkdir()
    contents = {**files, IDENTITY: as_json(identity).encode()}  # a list that was cut lacks it
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sums = "".join(f"{_digest(content)}  {name}\n" for name, content in contents.items())
    (folder / SUMS).write_text(sums, encoding="utf-8")


def read(folder: Path) -> Record:
    """A record with all its files. DamagedError if one is missing, or isn't what was written."""
    try:
        sums = (folder / SUMS).read_text(encoding="utf-8")
        listed = {name: digest for digest, name in (line.split("  ", 1) for line in sums.splitlines())}
        contents = {name: (folder / name).read_bytes() for name in listed}
    except (OSError, ValueError) as error:
        missing = Path(getattr(error, "filename", None) or folder / SUMS).name
        raise DamagedError(f"{missing}: {getattr(error, 'strerror', None) or 'unreadable'}") from error
    for name, digest in listed.items():
        if _digest(contents[name]) != digest:
            raise DamagedError(f"{name}: its checksum is wrong")
    if IDENTITY not in contents:
        raise DamagedError(f"{SUMS}: {IDENTITY} isn't in it")
    try:
        return Record(json.loads(contents.pop(IDENTITY)), contents)
    except ValueError as error:
        raise DamagedError(f"{IDENTITY}: {error}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
