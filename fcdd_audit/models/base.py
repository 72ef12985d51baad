"""What a format of models is, and the registry of formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from fcdd_audit.core.registry import Registry

Shape = tuple[int | None, int | None, int | None]  # (C, H, W); None: free, or not known
FREE: Shape = (None, None, None)


@dataclass(frozen=True)
class Opened:
    """What a format makes of a file or an object: all that `Model` needs to call it.

    call: from images (N, C, H, W), standardised, to whatever the model gives (see `outputs.read`).
    maps: the same to anomaly maps, of models with a method for them; None: those in `call`'s output.
    no_gradient: why gradients can't be had, in one line; None if they may. shape, batch: of the images that
    it takes. dtype: of the numbers that it takes. normalises: what in it standardises images already; None
    if nothing is known to. notes: what was adapted or must be known, one sentence each. about: facts for the
    record, by name.
    """

    call: Callable[[Tensor], object]
    maps: Callable[[Tensor], object] | None = None
    no_gradient: str | None = None
    shape: Shape = FREE
    batch: int | None = None
    dtype: torch.dtype = torch.float32
    normalises: str | None = None
    notes: tuple[str, ...] = ()
    about: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """What was named. text: all of it. path: the file, there or not. name: what follows the last colon, or
    None."""

    text: str
    path: Path
    name: str | None

    @property
    def file(self) -> Path | None:
        """None if there is no such file."""
        return self.path if self.path.is_file() else None


class Format:
    """A kind of models. A format of files defines `load`, and a format of objects `recognises` and `adapt`;
    a format may be both.

    suffixes: of its files. named: what a name after a file's path and a colon is; None: there is none.
    runs_code: why opening a file may execute what the file brings along; None if it
    can't, or if naming it says so already.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    named: ClassVar[str | None] = None
    runs_code: ClassVar[str | None] = None

    def opens(self, place: Place) -> bool:
        """Whether this format opens what was named; executes nothing of it."""
        return place.path.suffix.lower() in self.suffixes

    def beside(self, file: Path) -> list[Path]:
        """Other files that a file takes its weights from."""
        return []

    def load(self, place: Place, device: torch.device) -> object:
        """An `Opened`, or an object that another format adapts.

        InputError for what can't be opened.
        """
        raise NotImplementedError(f"{type(self).__name__} opens no files")

    def recognises(self, model: object) -> bool:
        """Whether the object is of this format."""
        return False

    def adapt(self, model: object, device: torch.device) -> Opened:
        """The object as a model. InputError for one that can't be used."""
        raise NotImplementedError(f"{type(self).__name__} adapts no objects")


FORMATS: Registry[type[Format]] = Registry("model format")


def comes_from(model: object, package: str) -> bool:
    """Whether the object's class, or one that it derives from, is of that package."""
    return any(kind.__module__.partition(".")[0] == package for kind in type(model).__mro__)


def version_of(package: str) -> dict[str, str]:
    """The package's version by its name; nothing if it isn't installed as one."""
    try:
        return {package: version(package)}
    except PackageNotFoundError:
        return {}
