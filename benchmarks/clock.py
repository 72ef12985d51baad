"""Where the seconds of a run go: functions of the package are timed from outside, less what is nested."""

from __future__ import annotations

import functools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any
from unittest import mock

import torch

PACKAGE = "fcdd_audit"
OTHER = "other"

Target = tuple[str, str]  # a part, and the function that belongs to it: `package.module:function`


def waited() -> float:
    """The time, once a GPU has done what it was asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Clock:
    """Seconds by part. A second belongs to the innermost part that runs: so all parts add up to the whole.

    calls: how often each part was entered.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._parts: list[str] = []
        self._since = 0.0

    def _turn(self) -> None:
        now = waited()
        if self._parts:
            self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done within belongs to that part."""
        self._turn()
        self._parts.append(name)
        self.calls[name] += 1
        try:
            yield
        finally:
            self._turn()
            self._parts.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            with self.part(name):
                return function(*args, **named)

        return call


@contextmanager
def watching(clock: Clock, targets: Sequence[Target]) -> Iterator[None]:
    """Within, calls of the targets are on the clock, wherever in the package they are called by their name.

    AttributeError for a target that isn't there.
    """
    with ExitStack() as changed:
        for part, path in targets:
            home, _, name = path.partition(":")
            *classes, name = name.split(".")
            owner: Any = functools.reduce(getattr, classes, import_module(home))
            found = vars(owner)[name]
            owners = [owner] if classes else list(_holders(found))
            timed = clock.timed(part, found.func if isinstance(found, functools.cached_property) else found)
            if isinstance(found, functools.cached_property):
                timed = functools.cached_property(timed)
                timed.__set_name__(owner, name)
            for one in owners:
                for called in _names(one, found):
                    changed.enter_context(mock.patch.object(one, called, timed))
        yield


def _holders(found: object) -> Iterator[Any]:
    """The modules of the package that have imported it."""
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == PACKAGE and any(one is found for one in vars(module).values()):
            yield module


def _names(owner: Any, found: object) -> list[str]:
    return [name for name, one in vars(owner).items() if one is found]
