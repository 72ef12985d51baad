"""Imports that wait until they are needed."""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def import_matplotlib() -> None:
    """Imports Matplotlib even if MPLBACKEND names a backend that isn't installed, as that of notebooks often.

    Call it before anything else imports Matplotlib. MPLBACKEND stays as it is; a backend that is installed is
    set. What Matplotlib says of the user's settings and folders isn't shown: figures depend on neither.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            matplotlib = import_module("matplotlib")
        if backend:
            with suppress(ValueError):
                matplotlib.rcParams["backend"] = backend
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


class Late:
    """The function that `path` names, `package.module:function`: importing it waits for the first call."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, *args: Any, **named: Any) -> Any:
        module, _, function = self.path.partition(":")
        return getattr(import_module(module), function)(*args, **named)

    def __repr__(self) -> str:
        return f"Late({self.path!r})"
