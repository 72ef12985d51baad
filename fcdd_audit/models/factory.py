"""Models that are made by code."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.models.base import FORMATS, Format, Place
from fcdd_audit.models.failures import failing_as

REQUIRED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
LOADED_AS = "_named_as_model_"  # what modules from files are called before their own name


@FORMATS.register("factory")
class Factory(Format):
    """Code: package.module:name or file.py:name, a function that makes the model, or the model itself."""

    named: ClassVar[str | None] = "factory"

    def opens(self, place: Place) -> bool:
        if place.path.suffix.lower() == ".py":
            return True
        parts = place.text.partition(":")[0].split(".")
        return place.name is not None and place.file is None and all(map(str.isidentifier, parts))

    def load(self, place: Place, device: torch.device) -> object:
        if place.name is None:
            raise InputError(
                f"'{place.text}' names a file of code and nothing in it; name a function that makes the "
                f"model: {place.text}:NAME"
            )
        folder = place.path.parent if place.path.suffix.lower() == ".py" else Path()
        with _importable(folder.resolve()):
            with failing_as(f"importing '{place.path}' fails", "mend it, or name another file or module"):
                module = _imported(place)
            return _made(getattr(module, place.name, None), module, place)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Inside, modules beside the factory can be imported, as when it is run by itself."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _imported(place: Place) -> ModuleType:
    if place.path.suffix.lower() != ".py":
        return importlib.import_module(str(place.path))
    if place.file is None:
        raise InputError(f"there is no file '{place.path}'; give the path of a file of code with --model")
    name = f"{LOADED_AS}{place.path.stem}"
    spec = importlib.util.spec_from_file_location(name, place.path)
    if spec is None or spec.loader is None:
        raise InputError(f"'{place.path}' can't be imported; give a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in it look for their module there
    spec.loader.exec_module(module)
    return module


def _made(found: object, module: ModuleType, place: Place) -> object:
    """The model: what was found, or what it makes."""
    name = place.name or ""
    if found is None:
        known = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        raise InputError(
            f"'{place.path}' has no '{name}'{suggest(name, known)} (callable in it: {', '.join(known)})"
        )
    if not callable(found) or isinstance(found, nn.Module):
        return found
    required = _required(found)
    if not isinstance(found, type) and len(required) == 1:
        return found
    if required:
        raise InputError(
            f"'{name}' in '{place.path}' needs arguments ({', '.join(required)}); name a function without, "
            "which makes the model, or one of the images alone, which scores them"
        )
    if _is_model(found):
        return found
    with failing_as(f"'{place.text}' fails", "mend it: it is called without arguments and returns the model"):
        return found()


def _is_model(found: object) -> bool:
    """Whether it is an object that scores, rather than what makes one."""
    return not inspect.isroutine(found) and not isinstance(found, type) and hasattr(found, "score")


def _required(found: object) -> list[str]:
    """Names of the parameters without a default."""
    try:
        parameters = inspect.signature(found).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return []
    return [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind in (*REQUIRED, inspect.Parameter.KEYWORD_ONLY)
    ]
