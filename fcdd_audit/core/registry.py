"""One dict and one decorator for every family: data sets, detectors, explainers, probes."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fcdd_audit.core.errors import InputError

T = TypeVar("T")


def suggest(word: str, known: list[str]) -> str:
    """`"; did you mean 'x'?"` for the nearest of `known`, or an empty string."""
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


@dataclass(frozen=True)
class Foreign:
    """An entry from outside this package. home: the module that registered it."""

    kind: str
    name: str
    home: str


REGISTRIES: dict[str, Registry[Any]] = {}  # by kind


def foreign_entries() -> list[Foreign]:
    """Of all registries: what another process has to import before it knows as much as this one."""
    own = __name__.partition(".")[0]
    return [
        Foreign(kind, name, home)
        for kind, registry in REGISTRIES.items()
        for name, home in registry.homes().items()
        if home.partition(".")[0] != own
    ]


class Registry(Generic[T]):
    """Names to entries, in the order of registration."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._homes: dict[str, str] = {}
        REGISTRIES[kind] = self

    def register(self, name: str, home: str | None = None) -> Callable[[T], T]:
        """Decorator that adds an entry under `name`; ValueError if the name is taken.

        home: the module to import for it; None: the one that calls.
        """
        home = home or sys._getframe(1).f_globals["__name__"]

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered already")
            self._entries[name] = entry
            self._homes[name] = home
            return entry

        return add

    @contextmanager
    def lent(self, name: str, entry: T, home: str) -> Iterator[None]:
        """Within, there is one entry more; ValueError if the name is taken."""
        self.register(name, home)(entry)
        try:
            yield
        finally:
            del self._entries[name], self._homes[name]

    def homes(self) -> dict[str, str]:
        """Names to the modules that registered them."""
        return {name: self._homes[name] for name in self._entries}

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            hint = suggest(name, list(self._entries))
            known = ", ".join(self._entries)
            raise InputError(f"unknown {self.kind} '{name}'{hint} (known: {known})")
        return self._entries[name]

    def items(self) -> list[tuple[str, T]]:
        """Names and entries."""
        return list(self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def summary(self, name: str) -> str:
        """The entry's `summary`, else the first line of its docstring."""
        entry = self[name]
        words = getattr(entry, "summary", None) or entry.__doc__ or ""
        return next(iter(words.strip().splitlines()), "")
