"""Imports that wait until they are needed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def importing() -> Iterator[None]:
    """Spares heavy imports the search for garbage, which takes a fifth of their time and finds none."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class Late:
    """The function that `path` names, `package.module:function`: importing it waits for the first call."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, *args: Any, **named: Any) -> Any:
        module, _, function = self.path.partition(":")
        return getattr(import_module(module), function)(*args, **named)

    def __repr__(self) -> str:
        return f"Late({self.path!r})"
