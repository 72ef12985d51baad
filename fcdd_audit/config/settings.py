"""The table of all settings by name: of the parts, and of the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic.fields import FieldInfo

from fcdd_audit.config.kinds import PLAIN
from fcdd_audit.config.parts import PARTS, PRESETS, Shown
from fcdd_audit.config.presets import preset_rows
from fcdd_audit.config.training import (
    FLAGS,
    MEANINGS,
    make_recipe,
    recipe_kinds,
    recipe_ranges,
    recipe_settings,
)
from fcdd_audit.core.recipe import Range

RECIPE = "recipe"
PYTHON_ONLY = ("recipe", "thresholds")  # objects; a file's table of the recipe is of its settings
SINGULAR = {  # as flags are called
    "detectors": "detector",
    "explainers": "explainer",
    "probes": "probe",
    "remedies": "remedy",
}


@dataclass(frozen=True)
class Setting:
    """One setting. part: where it belongs: a part, or the recipe. kind: an annotation that pydantic reads.

    shown: its default in words. flagged: whether it has a flag of its own. range: of a number of the recipe,
    which checks it itself.
    """

    name: str
    part: str
    kind: Any
    default: Any
    shown: str
    meaning: str
    flagged: bool = True
    range: Range | None = None

    @property
    def called(self) -> str:
        """Its name in files, variables and errors."""
        return SINGULAR.get(self.name, self.name)

    @property
    def flag(self) -> str:
        """How it is given on the command line."""
        return f"--{self.called.replace('_', '-')}" if self.flagged else f"--set recipe.{self.name}"


@cache
def settings() -> dict[str, Setting]:
    """All settings that can be written as text, by name: part by part, then the recipe's."""
    found = [
        Setting(name, part, _kind(field), field.default, _shown(field), field.description or "")
        for part, kind in PARTS.items()
        for name, field in kind.model_fields.items()
        if name not in PYTHON_ONLY
    ]
    recipe, ranges = recipe_settings(make_recipe({})), recipe_ranges()
    preset = {row["setting"] for row in preset_rows()}
    found += [
        Setting(
            name,
            RECIPE,
            PLAIN.get(kind, kind),
            recipe[name],
            PRESETS.default if name in preset else _words(recipe[name]),
            MEANINGS[name],
            name in FLAGS,
            ranges.get(name),
        )
        for name, kind in recipe_kinds().items()
    ]
    return {setting.name: setting for setting in found}


def _kind(field: FieldInfo) -> Any:
    kind: Any = field.annotation
    for constraint in field.metadata:
        if not isinstance(constraint, Shown):
            kind = Annotated[kind, constraint]
    return kind


def _shown(field: FieldInfo) -> str:
    for one in field.metadata:
        if isinstance(one, Shown):
            return one.default
    return _words(field.default)


def _words(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(f"{item:g}" if isinstance(item, float) else item for item in default)
    return "" if default is None or default is False else str(default)
