"""Text that knows whether it is damaged."""

from __future__ import annotations

import hashlib
import json
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
