"""An audit's description from layers of settings: defaults, a file, the environment, flags."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fcdd_audit.config.audit import AuditConfig, read_preset
from fcdd_audit.config.convert import RECIPE_FIELDS, convert, recipe_value
from fcdd_audit.config.presets import check_preset
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.registry import suggest
from fcdd_audit.datasets import DATASETS
from fcdd_audit.natural import NATURAL

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENVIRONMENT = "FCDD_AUDIT_"
TEST_DATA = "FCDD_AUDIT_TEST_DATA"  # where the tests find images; no setting
WITH_OTHERS = ("weights", "placebos", "control")  # can't be checked alone
LISTS = {"detector": "detectors", "explainer": "explainers"}


def read_config(path: Path) -> dict[str, Any]:
    """Settings of a TOML file, with tables [recipe] and [options.NAME]. InputError if unreadable."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"can't read config file '{path}': {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"config file '{path}' is no valid TOML: {error}") from None


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings from variables such as FCDD_AUDIT_SEEDS=5; InputError names the variable."""
    settings: dict[str, Any] = {}
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT) and variable != TEST_DATA:
            setting = {variable.removeprefix(ENVIRONMENT).lower(): value}
            try:
                if "preset" in setting:  # whether it fits the data set is known once all layers are
                    check_preset(value)
                elif not setting.keys().isdisjoint(WITH_OTHERS) or value in NATURAL:  # so is what these need
                    for key in setting:
                        convert(key, value)
                else:
                    make_config(setting)
            except InputError as error:
                raise InputError(f"variable {variable}: {error}") from None
            settings |= setting
    return settings


def make_config(*layers: Mapping[str, Any]) -> AuditConfig:
    """An AuditConfig from layers of settings, later ones winning; None means not given.

    Keys are the long flags' names with underscores (`detector`, `prevalence`, `epochs`), plus the tables
    `recipe` and `options`. Text is converted, lists may be comma-separated. InputError for anything unknown
    or malformed.
    """
    settings: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    known = [f.name for f in dataclasses.fields(AuditConfig) if f.name != "thresholds"]
    for layer in layers:
        for key, value in layer.items():
            key = LISTS.get(key, key)
            if value is None:
                continue
            if key == "options":
                for name, values in _table(key, value).items():
                    options.setdefault(name, {}).update(_table(f"options.{name}", values))
            elif key == "recipe":
                recipe.update(_table(key, value))
            elif key in RECIPE_FIELDS:
                recipe[key] = value
            elif key in known:
                settings[key] = value
            else:
                raise InputError(f"unknown setting '{key}'{suggest(key, [*known, *RECIPE_FIELDS])}")
    for key in recipe:
        if key not in RECIPE_FIELDS:
            raise InputError(f"unknown recipe setting '{key}'{suggest(key, list(RECIPE_FIELDS))}")
    given = {key: recipe_value(key, value) for key, value in recipe.items()}
    dataset, preset = settings.get("dataset", AuditConfig.dataset), settings.get("preset", AuditConfig.preset)
    _ = DATASETS[str(dataset)]
    base = read_preset(str(preset), str(dataset))
    return AuditConfig(**settings, recipe=Recipe.of(**{**base.recipe, **given}), options=options)


def _table(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"setting '{key}' must be a table")
    return value
