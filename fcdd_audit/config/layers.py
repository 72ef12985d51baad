"""Settings from several places, as they were written: a file, variables, flags, Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fcdd_audit.config.settings import RECIPE, SINGULAR, settings
from fcdd_audit.config.training import recipe_settings
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.registry import suggest
from fcdd_audit.verdict.thresholds import Thresholds

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VARIABLE = "FCDD_AUDIT_"
OPTIONS = "options"
TEST_DATA = "FCDD_AUDIT_TEST_DATA"  # where the tests find images; no setting
PLURAL = {singular: name for name, singular in SINGULAR.items()}


def _nowhere(key: str) -> str:
    return ""


@dataclass(frozen=True)
class Layer:
    """Settings from one place. where: of a setting's name as it is written there, what an error says."""

    values: Mapping[str, Any]
    where: Callable[[str], str] = _nowhere


class Value(NamedTuple):
    """A value and where it is from, as an error says it; empty: from Python, a preset or a default."""

    value: Any
    where: str


@dataclass(frozen=True)
class Given:
    """What was given, the last of it where several layers have it.

    values: by a setting's name (those of the recipe too), or an option's: `watermark.size`.
    """

    values: Mapping[str, Value]

    def plain(self) -> dict[str, Any]:
        """The values alone."""
        return {name: value.value for name, value in self.values.items()}

    def where(self, *names: str) -> str:
        """Where the values of these settings are from, to begin an error with; `watermark.` stands for all
        options of watermark."""
        given = [
            value.where
            for name in names
            for key, value in self.values.items()
            if value.where and (key == name or (name.endswith(".") and key.startswith(name)))
        ]
        return f"{', '.join(dict.fromkeys(given))}: " if given else ""

    @contextmanager
    def blamed(self, *names: str) -> Iterator[None]:
        """An InputError inside says where the values of these settings are from."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{self.where(*names)}{error}") from error

    def check(self, holds: bool, message: str, *names: str) -> None:
        """InputError with that message unless it holds."""
        if not holds:
            raise InputError(f"{self.where(*names)}{message}")


def read_config(path: Path) -> Layer:
    """Settings of a TOML file, with tables [recipe] and [options.NAME]. InputError if unreadable."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"can't read config file '{path}': {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"config file '{path}' is no valid TOML: {error}") from None
    return Layer(values, lambda key: str(path))


def read_environment(environment: Mapping[str, str]) -> Layer:
    """Settings from variables such as FCDD_AUDIT_SEEDS=5."""
    values = {
        variable.removeprefix(VARIABLE).lower(): value
        for variable, value in environment.items()
        if variable.startswith(VARIABLE) and variable != TEST_DATA
    }
    return Layer(values, lambda key: f"variable {VARIABLE}{key.upper()}")


def read_assignments(assignments: list[str]) -> Layer:
    """Options and settings of the recipe from `watermark.size=0.5` or `recipe.flip=0`, the value as text."""
    values: dict[str, str] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        target, dot, option = (part.strip() for part in name.partition("."))
        if not (equals and dot and target and option):
            raise InputError(f"--set '{assignment}' must read NAME.OPTION=VALUE, as in watermark.size=0.5")
        values[f"{target}.{option}"] = text
    return Layer(values, lambda key: f"--set {key}")


def merge(*layers: Layer | Mapping[str, Any]) -> Given:
    """All layers, later ones winning setting by setting; a value of None is none.

    Keys are settings' names or their flags' (`detectors`, `detector`), the tables `recipe` and `options`, and
    `TARGET.OPTION`. InputError for an unknown setting, or a table that is none.
    """
    values: dict[str, Value] = {}
    for layer in layers:
        values = over(values, _flat(layer if isinstance(layer, Layer) else Layer(layer)))
    return Given(values)


def over(below: Mapping[str, Value], above: Mapping[str, Value]) -> dict[str, Value]:
    """Both, those above winning. A training is so many epochs or so many steps long: whoever gives epochs
    alone doesn't mean the steps from below."""
    if "epochs" in above and "steps" not in above:
        below = {name: value for name, value in below.items() if name != "steps"}
    return {**below, **above}


def table_of(name: str) -> str | None:
    """The table in which a value of that name may stand: `recipe`, `options`, or none."""
    if "." in name:
        return OPTIONS
    return RECIPE if name in settings() and settings()[name].part == RECIPE else None


def _flat(layer: Layer) -> dict[str, Value]:
    """A layer's values by name."""
    found: dict[str, Value] = {}
    for key, value in layer.values.items():
        where = layer.where(key)
        said = f"{where}: " if where else ""
        if value is None:
            continue
        if key == OPTIONS:
            for target, table in _table(said, key, value).items():
                for option, one in _table(said, f"{key}.{target}", table).items():
                    found[f"{target}.{option}"] = Value(one, where)
        elif key == RECIPE:
            table = recipe_settings(value) if isinstance(value, Recipe) else _table(said, key, value)
            found |= {_recipe_name(said, name): Value(one, where) for name, one in table.items()}
        elif key.startswith(f"{RECIPE}."):
            found[_recipe_name(said, key.removeprefix(f"{RECIPE}."))] = Value(value, where)
        elif key == "thresholds":
            if not isinstance(value, Thresholds):
                raise InputError(
                    f"{said}setting 'thresholds' must be a Thresholds, which only Python can give"
                )
            found[key] = Value(value, where)
        elif "." in key:
            found[key] = Value(value, where)
        else:
            name = PLURAL.get(key, key)
            if name not in settings():
                raise InputError(f"{said}unknown setting '{key}'{suggest(key, _called())}")
            found[name] = Value(value, where)
    return {name: value for name, value in found.items() if value.value is not None}


def _called() -> list[str]:
    return [setting.called for setting in settings().values()]


def _recipe_name(said: str, name: str) -> str:
    known = [setting.name for setting in settings().values() if setting.part == RECIPE]
    if name not in known:
        raise InputError(f"{said}unknown recipe setting '{name}'{suggest(name, known)}")
    return name


def _table(said: str, key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{said}setting '{key}' must be a table")
    return value
