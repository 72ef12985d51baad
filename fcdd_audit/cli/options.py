"""The options of commands: those of an audit are made from its settings, the others are declared here."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from fcdd_audit.config.kinds import adapter
from fcdd_audit.config.layers import Layer, read_assignments, read_config, read_environment
from fcdd_audit.config.settings import Setting, settings
from fcdd_audit.gate.criteria import VERDICTS

METAVARS = {"integer": "N", "number": "X", "path": "PATH"}

F = TypeVar("F", bound=Callable[..., Any])

Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME.OPTION=VALUE",
        help="Option of a detector, probe, explainer or remedy, or any setting of the recipe: "
        "watermark.text='(c) me', recipe.flip=0. Repeatable.",
    ),
]
ConfigFile = Annotated[Path | None, typer.Option(help="TOML file with any of these settings.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LIST",
        help=f"{', '.join(VERDICTS)}: exit 1 if one of these is a verdict, 3 if one is inconclusive.",
    ),
]
OpenReport = Annotated[bool, typer.Option("--open", help="Open the report.")]


class Compares(str, Enum):
    """What a comparison is of."""

    CHANGE = "change"
    EXPLAINERS = "explainers"


CompareAs = Annotated[
    Compares | None,
    typer.Option(
        "--as",
        help="A change, the first run before and the second after, or explainers over runs of twins. "
        "Without: a change, if two runs ask the same and differ otherwise.",
    ),
]


def takes_settings(hidden: Collection[str] = ()) -> Callable[[F], F]:
    """Give a command an option for each setting of an audit; it gets them as keywords, None if not given.

    hidden: settings that its help doesn't list.
    """

    def extend(command: F) -> F:
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        made = [_option(one, one.name in hidden) for one in settings().values() if one.flagged]
        command.__signature__ = inspect.Signature([*made, *own])  # type: ignore[attr-defined]
        return command

    return extend


def _option(setting: Setting, hidden: bool) -> inspect.Parameter:
    """An option that takes text, as files and variables do: all are read at one place, once merged."""
    schema = adapter(setting.kind).json_schema()
    default = f"  [default: {setting.shown}]" if setting.shown else ""
    words = f"{setting.meaning.removesuffix('.')}{default or '.'}"
    types = {one.get("format", one.get("type")) for one in schema.get("anyOf", [schema])} - {"null"}
    if types == {"boolean"}:
        declared: Any = Annotated[bool | None, typer.Option(setting.flag, help=words, hidden=hidden)]
    else:
        metavar = METAVARS.get(types.pop(), "TEXT") if len(types) == 1 else "TEXT"
        declared = Annotated[
            str | None, typer.Option(setting.flag, help=words, hidden=hidden, metavar=metavar)
        ]
    return inspect.Parameter(
        setting.called, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=declared
    )


def read_layers(flags: dict[str, Any], config: Path | None, assignments: list[str] | None) -> list[Layer]:
    """What the user gave: a file, variables, flags; later ones win."""
    return [
        *([read_config(config)] if config else []),
        read_environment(os.environ),
        Layer(flags, lambda key: f"--{key.replace('_', '-')}"),
        read_assignments(assignments or []),
    ]
