"""What does the work, and the registry of these engines. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fcdd_audit.core.registry import Registry

if TYPE_CHECKING:
    from fcdd_audit.experiment.cells import Cell
    from fcdd_audit.experiment.setup import Setup
    from fcdd_audit.experiment.stacks import Stack

Counted = Callable[[int], object]  # is told how many more there are


class Engine(Protocol):
    """Does stacks of work for one store, call after call, in a `with` block.

    What it uses is there from when it is first needed until the block ends. On the CPU every stack has one
    thread, so that its numbers don't depend on the engine.
    """

    def __enter__(self) -> Engine: ...

    def __exit__(self, *error: object) -> None: ...

    def finish(
        self, stacks: Sequence[Stack], setup: Setup, on_steps: Counted, on_cells: Counted
    ) -> dict[Cell, str]:
        """Do what is missing of each stack with `finish_stack`; returns why cells have no numbers.

        on_steps: told of training steps that were made. on_cells: told of cells that are done. A cell that is
        lost with its process is one without numbers (`lost`); any other error stops the run, and finished
        records stay. InputError where the engine can't do the work, such as for what was registered from
        outside this package and isn't known to its processes.
        """
        ...


@dataclass(frozen=True)
class Resources:
    """What an engine may use. workers: so many stacks at once; None: as many as fit. address: of the cluster;
    None: this machine."""

    workers: int | None = None
    address: str | None = None


@dataclass(frozen=True)
class EngineKind:
    """An engine that can be asked for.

    summary: one line for lists. start: (store, resources) to an `Engine`; the store is open for as long as
    the engine is used. addressed: whether it can be elsewhere, at an address.
    """

    summary: str
    start: Callable[..., Any]
    addressed: bool = False


ENGINES: Registry[EngineKind] = Registry("engine")
