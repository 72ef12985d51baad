"""Functions that are imported when they are first called."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Late:
    """The function that `path` names, `package.module:function`: importing it waits for the first call."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, *args: Any, **named: Any) -> Any:
        module, _, function = self.path.partition(":")
        return getattr(import_module(module), function)(*args, **named)

    def __repr__(self) -> str:
        return f"Late({self.path!r})"
