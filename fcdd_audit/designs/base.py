"""What an effect can be compared with, and the registry of these designs. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fcdd_audit.core.registry import Registry


@dataclass(frozen=True)
class Design:
    """What an artifact's effect is compared with, and all that follows from it.

    summary: one line for lists.
    run: (config, store, quiet, known) to `Audited`, within an opened store. known: config.json of a finished
    run, whose detectors are explained further, and nothing is trained; None: a run of its own.
    estimate: (config, quiet) to a dataclass with `lines()`, of what a run would take.
    table: findings.json to the rows that the terminal shows, head first.
    context: (folder, config.json, findings.json) to what `template` shows besides them.
    template: the page's, in templates/.
    families: of measures, whose numbers it gives.
    suffix: of the name of a run folder that wasn't given one.
    """

    summary: str
    run: Callable[..., Any]
    estimate: Callable[..., Any]
    table: Callable[..., Any]
    context: Callable[..., Any]
    template: str
    families: tuple[str, ...]
    suffix: str = ""


DESIGNS: Registry[Design] = Registry("design")
