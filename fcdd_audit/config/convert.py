"""Settings as they are written, in the types that they have."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.detectors import DETECTORS
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.natural import NATURAL
from fcdd_audit.probes import PROBES
from fcdd_audit.verdict.thresholds import Thresholds

WHOLE_NUMBERS = (
    *("seeds", "workers", "image_size", "oe_limit", "masks_per_defect", "placebos"),
    *("explained", "sanity"),
)
RECIPE_FIELDS = tuple(f.name for f in dataclasses.fields(Recipe))


def check(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)


def parse_option(assignment: str) -> tuple[str, str, Any]:
    """`watermark.text=(c) me` as (name, option, value); the value as a Python literal, else as text."""
    target, equals, text = assignment.partition("=")
    name, dot, option = target.strip().partition(".")
    if not (equals and dot and name and option):
        raise InputError(f"--set '{assignment}' must read NAME.OPTION=VALUE, as in watermark.size=0.5")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    return name, option, text if _takes_text(name, option) and not isinstance(value, str) else value


def _takes_text(name: str, option: str) -> bool:
    """Whether the option's default is text: then digits are text too."""
    known: dict[str, Any] = {
        name: kind for registry in (PROBES, NATURAL, DETECTORS, EXPLAINERS) for name, kind in registry.items()
    }
    if name not in known:
        return False
    parameter = inspect.signature(known[name]).parameters.get(option)
    return parameter is not None and isinstance(parameter.default, str)


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _number(key: str, value: Any, kind: type) -> Any:
    label = key.replace("_", " ")
    if isinstance(value, bool):
        raise InputError(f"{label} is {value}; a number is needed")
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{label} is '{value}'; a number is needed") from None
    if kind is int and number != float(value):
        raise InputError(f"{label} is {value}; a whole number is needed")
    return number


def recipe_value(key: str, value: Any) -> Any:
    """A setting of the recipe in its own type."""
    default = getattr(Recipe(), key)
    if isinstance(default, bool):
        return _flag(key, value)
    if isinstance(default, tuple):
        return tuple(_share(key, item) for item in _items(value) if item != "none")
    return str(value) if isinstance(default, str) else _number(key, value, type(default))


def _share(key: str, value: Any) -> float:
    """A number, also as a fraction: 2/3."""
    top, slash, bottom = str(value).partition("/")
    if not slash:
        return _number(key, value, float)
    below = _number(key, bottom, float)
    check(below != 0, f"{key.replace('_', ' ')} is '{value}'; a number is needed")
    return _number(key, top, float) / below


def _flag(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("1", "true", "yes", "0", "false", "no"):
        return str(value).lower() in ("1", "true", "yes")
    raise InputError(f"{key.replace('_', ' ')} is '{value}'; true or false is needed")


def convert(key: str, value: Any) -> Any:
    """A setting in its own type; InputError if it can't be read so."""
    if key in ("detectors", "explainers", "nominal_class"):
        return tuple(str(item) for item in _items(value))
    if key == "prevalence":
        return tuple(_number(key, item, float) for item in _items(value))
    if key in WHOLE_NUMBERS:
        return _number(key, value, int)
    if key == "quantile":
        return _number(key, value, float)
    if key in ("data_root", "out", "cache", "calibration", "weights"):
        if not isinstance(value, str | Path):
            raise InputError(f"{key.replace('_', ' ')} is {value!r}; a path is needed")
        return Path(value).expanduser()
    if key in ("skip_corrupt", "download"):
        return _flag(key, value)
    kinds: dict[str, type] = {"recipe": Recipe, "options": Mapping, "thresholds": Thresholds}
    if key not in kinds:
        return str(value)
    if not isinstance(value, kinds[key]):
        raise InputError(f"{key} is {value!r}; a {kinds[key].__name__} is needed")
    return value
