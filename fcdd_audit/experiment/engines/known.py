"""What was registered from outside this package, and has to be known to other processes."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import REGISTRIES, Foreign

MAIN = "__main__"


def check_importable(foreign: Iterable[Foreign], instead: str, scripts: bool) -> None:
    """InputError for what another process can't import. instead: what to do then. scripts: whether the
    process imports the script that was started, as spawned ones do."""
    for one in foreign:
        try:
            found = scripts if one.home == MAIN else importlib.util.find_spec(one.home) is not None
        except (ModuleNotFoundError, ValueError):  # of a folder that isn't there; of a module made by hand
            found = False
        if not found:
            raise _unknown(one, instead)


def import_homes(foreign: Iterable[Foreign]) -> None:
    """Import what registers them; a script is imported already where it can be."""
    for home in sorted({one.home for one in foreign} - {MAIN}):
        importlib.import_module(home)


def check_known(foreign: Iterable[Foreign], instead: str) -> None:
    """InputError for what isn't registered in this process. instead: what to do then."""
    for one in foreign:
        if one.name not in REGISTRIES[one.kind]:
            raise _unknown(one, instead)


def _unknown(one: Foreign, instead: str) -> InputError:
    return InputError(
        f"worker processes don't know the {one.kind} '{one.name}' of module '{one.home}'; register it where "
        f"that module is imported, or use {instead}"
    )
