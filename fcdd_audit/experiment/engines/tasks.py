"""A stack as a task that is sent to a process somewhere: for engines that anything with `submit` can be."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fcdd_audit.core.errors import RunError
from fcdd_audit.core.registry import Foreign
from fcdd_audit.core.versions import versions
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.devices import device_name
from fcdd_audit.experiment.engines.base import Counted
from fcdd_audit.experiment.engines.known import check_known, import_homes
from fcdd_audit.experiment.engines.sharing import shared
from fcdd_audit.experiment.engines.telling import Sent, Steps
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.stacks import Stack
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import finish_stack

INSTEAD = "--engine local"  # for what other processes can't know


@dataclass(frozen=True)
class Task:
    """What is to be done, and all that must be known for it; pickles to some hundred bytes.

    setup: the file that `shared` reads. stack: pickled, since it may hold what `foreign`, registered from
    outside this package, has to be imported for. device: which to use there. name: of the device that its
    records are named after. wanted: a file that is gone once nobody waits for the task. release: of
    fcdd-audit and torch, that must be there too. modules: where Python looks for modules, as in the process
    that sends it.
    """

    setup: Path
    stack: bytes
    foreign: tuple[Foreign, ...]
    device: str
    name: str
    wanted: Path
    release: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a task. failures: why cells have no numbers. steps: of training, that it made. error:
    what stopped it."""

    failures: dict[Cell, str]
    steps: int
    error: Sent | None = None


def tasks(
    stacks: Sequence[Stack], setup: Setup, file: Path, wanted: Path, foreign: Sequence[Foreign]
) -> list[Task]:
    """One for each stack. file: where the setup is. wanted: see `Task`. A GPU is the only one that a task
    sees, and so has no index there."""
    device, name = torch.device(setup.device).type, setup.measuring_device["name"]
    modules = tuple(filter(None, sys.path))
    return [
        Task(file, pickle.dumps(one), tuple(foreign), device, name, wanted, _release(), modules)
        for one in stacks
    ]


def perform(task: Task, on_total: Counted) -> Outcome:
    """Do a task in this process, with one thread on the CPU, as long as it is wanted. on_total: told now and
    then of how many training steps it has made."""
    total = 0

    def more(steps: int) -> None:
        nonlocal total
        total += steps
        on_total(total)
        if not task.wanted.exists():
            raise RunError("nobody waits for this task any more")

    steps = Steps(more)
    try:
        failures = _finish(task, steps)
        steps.tell()
        return Outcome(failures, total)
    except Exception as error:
        return Outcome({}, total, Sent.of(error))


def _finish(task: Task, steps: Steps) -> dict[Cell, str]:
    sys.path.extend(one for one in task.modules if one not in sys.path)
    if _release() != task.release:
        raise RunError(
            f"a worker has {_release()}, and the run began with {task.release}; install the same everywhere"
        )
    import_homes(task.foreign)
    setup, store = _shared(task.setup)
    check_known(task.foreign, INSTEAD)
    _check_device(task)
    if setup.device != task.device:
        setup = replace(setup, device=task.device)
    if task.device == "cpu":
        torch.set_num_threads(1)
    return finish_stack(pickle.loads(task.stack), setup, store, steps.made)


def _release() -> str:
    found = versions()
    return f"fcdd-audit {found['fcdd-audit']} and torch {found['torch']}"


def _shared(file: Path) -> tuple[Setup, Store]:
    try:
        return shared(file)
    except (OSError, ValueError) as error:
        raise RunError(
            f"a worker can't read what the run shares ({error}); name storage that all machines have, under "
            "the same paths, with --out, --store and --cache"
        ) from error


def _check_device(task: Task) -> None:
    missing = task.device == "cuda" and not torch.cuda.is_available()
    found = "no GPU" if missing else device_name(task.device)
    if found != task.name:
        raise RunError(
            f"this run's device is '{task.name}', by which its records are known, and a worker has "
            f"'{found}'; start the run on a machine like the workers, or keep unlike ones out of the cluster"
        )
