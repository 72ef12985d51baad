"""What can be set of a registry's entry: the fields of a frozen dataclass, by their declared types."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest

NEEDS = {
    bool: "true or false is needed",
    int: "a whole number is needed",
    float: "a finite number is needed",
    str: "text is needed",
    tuple: "a tuple is needed",
}


@dataclass(frozen=True)
class Option:
    """kind: what its values are: bool, int, float, str or tuple. optional: whether it may be None."""

    kind: type
    optional: bool
    default: Any

    def accepts(self, value: Any) -> bool:
        """Whether the value has the declared type. A float may be written as an int and must be finite."""
        if value is None:
            return self.optional
        if self.kind is not float:
            return type(value) is self.kind
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)


def options_of(entry: type) -> dict[str, Option]:
    """The options of a registry's entry by name, in their order.

    They are the fields of the entry itself where it is a dataclass (probes, explainers, natural artifacts),
    else of its `Options` (detectors); an entry without either has none.
    """
    holder = entry if dataclasses.is_dataclass(entry) else getattr(entry, "Options", None)
    if holder is None:
        return {}
    hints = get_type_hints(holder)
    return {
        field.name: Option(*_kind(hints[field.name]), field.default) for field in dataclasses.fields(holder)
    }


def _kind(hint: Any) -> tuple[type, bool]:
    """The type of the values, and whether they may be None."""
    if get_origin(hint) in (Union, UnionType):
        (wanted,) = (one for one in get_args(hint) if one is not type(None))
        return _kind(wanted)[0], True
    if get_origin(hint) is Literal:
        return type(get_args(hint)[0]), False
    return get_origin(hint) or hint, False


def check_options(name: str, entry: type, given: Mapping[str, Any]) -> None:
    """InputError if the entry has no such option, or a value isn't of the declared type."""
    known = options_of(entry)
    for key, value in given.items():
        if key not in known:
            names = ", ".join(known) or "none"
            raise InputError(f"{name} has no option '{key}'{suggest(key, list(known))} (known: {names})")
        if not known[key].accepts(value):
            raise InputError(f"{name} {key} is {value!r}; {NEEDS[known[key].kind]}")
