"""The kinds of values that settings have, and text read as one of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)

from fcdd_audit.core.directions import AUTO
from fcdd_audit.core.errors import InputError

TIME, SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smh]?)"), {"s": 1, "m": 60, "h": 3600}
CONFIG = ConfigDict(coerce_numbers_to_str=True)
NEEDS = {  # by the start of pydantic's word for what is wrong
    "int": "a whole number is needed",
    "float": "a number is needed",
    "finite": "a finite number is needed",
    "bool": "true or false is needed",
    "path": "a path is needed",
    "string": "text is needed",
    "tuple": "a list, or text with commas, is needed",
}
BOUNDS = {
    "greater_than": "it must be over {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be under {lt}",
    "less_than_equal": "it must be at most {le}",
}


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is needed")
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a whole number is needed")
    return value


def _bare(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _as_written(value: Any, read: Callable[[Any], float]) -> float:
    """A whole number stays one: what is trained is known by its options as they are written."""
    number = read(_number(value))
    try:
        return int(value) if isinstance(value, int | str) else number
    except ValueError:
        return number


def _share(value: Any) -> Any:
    """A number, also as a fraction: 2/3."""
    if isinstance(value, str) and "/" in value:
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError):
            raise ValueError("a number is needed") from None
    return _number(value)


def _count_or_auto(value: Any) -> Any:
    """A whole number over 0, or auto."""
    if value == AUTO:
        return value
    try:
        number = int(_number(value))
    except (TypeError, ValueError, OverflowError):  # infinity
        number = 0
    if number < 1 or (isinstance(value, float) and value != number):
        raise ValueError(f"{AUTO} or a whole number over 0 is needed")
    return number


def _seconds(value: Any) -> Any:
    """A time: seconds, or a number with s, m or h."""
    if not isinstance(value, str):
        return _number(value)
    found = TIME.fullmatch(value.strip())
    if found is None:
        raise ValueError("a time is needed, such as 90s, 3m or 1.5h")
    return float(found[1]) * SECONDS[found[2] or "s"]


def _items(value: Any) -> Any:
    """A list, of which text has commas; one value is a list of one."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value if isinstance(value, list | tuple) else [value]


def _or_none(value: Any) -> Any:
    return [] if value == "none" else _items(value)


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("at least one is needed")
    if len(set(values)) < len(values):
        raise ValueError("none may be named twice")
    return values


Flag = Annotated[bool, BeforeValidator(_bare)]  # true, yes, on, 1 and their opposites, in any case
Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Positive = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
CountOrAuto = Annotated[
    int | Literal["auto"],
    BeforeValidator(_count_or_auto, json_schema_input_type=Literal["auto"] | Annotated[int, Field(ge=1)]),
]
Seconds = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False),
    BeforeValidator(_seconds, json_schema_input_type=str | Annotated[float, Field(gt=0)]),
]
Bits = Annotated[int, Field(ge=8, le=16), BeforeValidator(_whole)]
Real = Annotated[float, BeforeValidator(_number)]
Number = Annotated[float, Field(allow_inf_nan=False), WrapValidator(_as_written)]
Finite = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_number)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_share)]
Quantile = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), BeforeValidator(_share)]
Place = Annotated[Path, AfterValidator(Path.expanduser), PlainSerializer(Path.as_posix, when_used="json")]
Listed = BeforeValidator(_items, json_schema_input_type=str | list[str])
Reals = Annotated[
    tuple[Finite, ...], BeforeValidator(_items, json_schema_input_type=str | float | list[float])
]
Names = Annotated[tuple[str, ...], Listed]
SomeNames = Annotated[tuple[str, ...], Listed, AfterValidator(_each_once)]
SomeShares = Annotated[
    tuple[Share, ...],
    BeforeValidator(_items, json_schema_input_type=str | float | list[float]),
    AfterValidator(_each_once),
]
# What plain annotations, such as those of the recipe, are read as.
PLAIN: dict[Any, Any] = {
    bool: Flag,
    bool | None: Flag | None,
    int: Whole,
    int | None: Whole | None,
    float: Real,
    tuple[float, ...]: Annotated[
        tuple[Annotated[float, BeforeValidator(_share)], ...],
        BeforeValidator(_or_none, json_schema_input_type=str | list[float]),
    ],
}


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Reads values of this kind, and knows their JSON schema."""
    return TypeAdapter(PLAIN.get(kind, kind), config=CONFIG)


def read(label: str, kind: Any, value: Any) -> Any:
    """The value in its own kind; InputError if it can't be read so, with what it is called."""
    try:
        return adapter(kind).validate_python(value)
    except ValidationError as error:
        raise InputError(refusal(label, error)) from None


def refusal(label: str, error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    wrong = error.errors()[0]
    kind, value, context = wrong["type"], wrong["input"], wrong.get("ctx", {})
    if kind in BOUNDS:
        limit = {name: f"{bound:g}" for name, bound in context.items()}
        return f"{label} is {value}; {BOUNDS[kind].format(**limit)}"
    if kind == "value_error":
        need = str(context["error"])
    elif kind == "literal_error":
        need = f"it must be {context['expected'].replace(chr(39), '')}"
    else:
        need = NEEDS.get(kind.split("_")[0], wrong["msg"])
    return f"{label} is {value!r}; {need}"
