"""What a function handed over in Python runs, and what it was given: by that its results are known again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from types import CodeType, FunctionType, MethodType
from typing import Any

PLAIN = (bool, int, float, complex, str, bytes, PurePath, type(None))


@dataclass(frozen=True)
class Code:
    """parts: functions and classes, in the order in which they are reached. values: in words, by name."""

    parts: tuple[object, ...]
    values: Mapping[str, str]


def code_of(function: object) -> Code:
    """The function, and what it names in its own package or script: functions, classes, plain values, also
    its arguments' defaults, what it closes over and, of a partial, what is filled in.

    What it imports from elsewhere isn't followed, and arrays and tensors aren't looked at.
    """
    found = _Reached(project_of(function))
    found.see(name_of(function), function)
    return Code(tuple(found.parts), found.values)


def name_of(function: object) -> str:
    """For people; of an object that can be called, its class's."""
    made = _within(function)
    return getattr(made, "__qualname__", None) or type(made).__qualname__


def project_of(one: object) -> str:
    """The package or script that it is from."""
    made = _within(one)
    home: str = getattr(made, "__module__", None) or type(made).__module__
    return home.partition(".")[0]


def _within(one: object) -> object:
    while isinstance(one, partial):
        one = one.func
    return one


@dataclass
class _Reached:
    """What is found on the way."""

    project: str
    parts: list[object] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    objects: list[object] = field(default_factory=list)  # that were looked into

    def see(self, name: str, one: object) -> None:
        if _is_plain(one):
            self.values[name] = repr(one)
        elif isinstance(one, partial):
            self.see(name, one.func)
            self._see_all(name, {**dict(enumerate(one.args)), **one.keywords})
        elif isinstance(one, MethodType):
            self.see(name, one.__func__)
            self.see(name, one.__self__)
        elif project_of(one) == self.project and not any(one is known for known in self.objects):
            self.objects.append(one)
            self._see_inside(name, one)

    def _see_inside(self, name: str, one: object) -> None:
        if isinstance(one, FunctionType):
            self.parts.append(one)
            self._see_function(one)
        elif isinstance(one, type):
            self.parts.append(one)
            for base in one.__bases__:
                self.see(base.__name__, base)
            for function in _methods(one):
                self._see_function(function)
        else:
            self.see(type(one).__name__, type(one))
            self._see_all(name, getattr(one, "__dict__", {}))

    def _see_function(self, function: FunctionType) -> None:
        """What it names and was given."""
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                self.see(name, function.__globals__[name])
        called = function.__qualname__
        self._see_all(called, dict(enumerate(function.__defaults__ or ())))
        self._see_all(called, function.__kwdefaults__ or {})
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self.see(f"{called}.{name}", cell.cell_contents)
            except ValueError:  # it is filled later
                continue

    def _see_all(self, owner: str, given: Mapping[Any, object]) -> None:
        for name, one in given.items():
            self.see(f"{owner}.{name}", one)


def _is_plain(one: object) -> bool:
    if isinstance(one, tuple | list):
        return all(map(_is_plain, one))
    if isinstance(one, dict):
        return all(_is_plain(key) and _is_plain(value) for key, value in one.items())
    return isinstance(one, PLAIN)


def _methods(kind: type) -> Iterator[FunctionType]:
    for one in vars(kind).values():
        function = getattr(one, "fget", getattr(one, "__func__", one))  # of a property, of the class
        if isinstance(function, FunctionType):
            yield function


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))
