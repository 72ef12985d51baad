"""What a field of findings.json is, in words."""

from __future__ import annotations

from typing import Any

from pydantic import Field


def said(words: str) -> Any:
    """What a field is: stands in the published schema and in docs/findings.md."""
    return Field(description=words)
