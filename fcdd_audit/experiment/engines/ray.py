"""On Ray: one task a stack, on whatever cores or GPUs a cluster has."""

from __future__ import annotations

import itertools
import logging
import sys
import time
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.registry import foreign_entries
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.engines.base import Counted, Resources
from fcdd_audit.experiment.engines.board import Board
from fcdd_audit.experiment.engines.cluster import RETRIES, connect, import_ray, reach
from fcdd_audit.experiment.engines.known import check_importable
from fcdd_audit.experiment.engines.lost import lost
from fcdd_audit.experiment.engines.sharing import Sharing
from fcdd_audit.experiment.engines.tasks import INSTEAD, Outcome, Task, perform, tasks
from fcdd_audit.experiment.engines.telling import TOLD_EVERY
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.stacks import Stack
from fcdd_audit.experiment.store import Store

GPUS = {"cpu": 0, "cuda": 1}  # of a task, by type of device: what Ray can share out
KILLED = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "ObjectLostError")
CANCELLING = 10.0  # seconds that cancelled tasks are waited for

log = logging.getLogger("fcdd_audit")


class Ray:
    """An `Engine`. Ray is started, or a cluster joined, when there is something to do.

    A task whose process or machine is lost is tried again, elsewhere if need be, and finds what was finished
    in the store; after `RETRIES` times its unfinished cells are without numbers. A Ray that this process is
    connected to already is used, and left running.
    """

    def __init__(self, store: Store, resources: Resources) -> None:
        """InputError where Ray isn't installed, or nobody answers at the address."""
        self.ray = import_ray()
        if resources.address is not None and not self.ray.is_initialized():
            reach(resources.address)
        self.store, self.resources = store, resources
        self.sharing = Sharing(store)
        self.numbers = itertools.count()
        self.running: dict[Any, _Running] = {}
        self.board: Board | None = None
        self.wanted: Path | None = None  # is there as long as tasks are
        self.connected = False  # by this engine

    def __enter__(self) -> Ray:
        return self

    def __exit__(self, *error: object) -> None:
        self._cancel()
        if self.board is not None:
            self.board.close()
        if self.connected:
            self.ray.shutdown()
        self.board, self.connected = None, False
        self.sharing.close()

    def finish(
        self, stacks: Sequence[Stack], setup: Setup, on_steps: Counted, on_cells: Counted
    ) -> dict[Cell, str]:
        """See `Engine.finish`. InputError where the cluster can't be reached, and for a device that Ray can't
        share out."""
        try:
            with redirect_stdout(sys.stderr):  # where Ray says of workers that died
                return self._finish(stacks, setup, on_steps, on_cells)
        except BaseException:
            self._cancel()
            raise

    def _finish(
        self, stacks: Sequence[Stack], setup: Setup, on_steps: Counted, on_cells: Counted
    ) -> dict[Cell, str]:
        kind = torch.device(setup.device).type
        if kind not in GPUS:
            raise InputError(f"Ray can't share out '{kind}'; use --engine local, or --device cpu")
        foreign = foreign_entries()
        check_importable(foreign, INSTEAD, scripts=False)
        board = self._connect(kind)
        # Of a task with a GPU Ray ends the process afterwards: the next one may be given another card.
        remote = self.ray.remote(num_cpus=1, num_gpus=GPUS[kind], max_retries=RETRIES)(_task)
        failures: dict[Cell, str] = {}
        file = self.sharing.file_of(setup)
        self.wanted = file.with_name(uuid.uuid4().hex)
        self.wanted.touch()
        planned = tasks(stacks, setup, file, self.wanted, foreign)
        waiting = deque(zip(stacks, planned, strict=True))
        most = self.resources.workers or len(stacks)
        while waiting or self.running:
            while waiting and len(self.running) < most:
                stack, task = waiting.popleft()
                number = next(self.numbers)
                self.running[remote.remote(task, number, board.actor)] = _Running(number, stack)
            ready, _ = self.ray.wait(list(self.running), timeout=TOLD_EVERY)
            said = board.said()
            for one in self.running.values():
                on_steps(one.more(said.get(one.number, 0)))
            for reference in ready:
                one = self.running.pop(reference)
                outcome = self._outcome(reference, one.stack, setup)
                if outcome.error is not None:
                    outcome.error.raised()
                failures |= outcome.failures
                on_steps(one.more(outcome.steps))
                on_cells(len(one.stack))
        return failures

    def _connect(self, kind: str) -> Board:
        if self.board is None:
            self.connected = connect(self.ray, self.resources.address, self.resources.workers)
            self.board = Board(self.ray)
            needed = ["CPU", "GPU"][: 1 + GPUS[kind]]
            for name in [one for one in needed if not self.ray.cluster_resources().get(one)]:
                log.warning("the Ray cluster has no %s at present; this run waits for one", name)
        return self.board

    def _outcome(self, reference: Any, stack: Stack, setup: Setup) -> Outcome:
        """What became of a task that ended. RunError for what Ray can't do."""
        errors = self.ray.exceptions
        try:
            found: Outcome = self.ray.get(reference)
            return found
        except errors.RayError as error:
            if isinstance(error, tuple(getattr(errors, name) for name in KILLED)):
                reason = (
                    f"its worker process was killed {RETRIES + 1} times, which often is for lack of memory"
                )
                return Outcome(lost(stack, setup, self.store, reason), 0)
            words = " ".join(str(error).split())[-300:]
            raise RunError(
                f"Ray can't do the work ({words}); run the same command again. All machines of a cluster "
                "need this release of fcdd-audit"
            ) from error

    def _cancel(self) -> None:
        """End what runs; what it was writing is in the scratch folder."""
        if self.wanted is not None:  # a task that Ray doesn't reach ends by itself
            self.wanted.unlink(missing_ok=True)
        running, self.running = list(self.running), {}
        deadline = time.monotonic() + CANCELLING
        with suppress(self.ray.exceptions.RayError):
            while running and time.monotonic() < deadline:  # again: a task may be just beginning
                for reference in running:
                    self.ray.cancel(reference, force=True)
                _, running = self.ray.wait(running, num_returns=len(running), timeout=1.0)


@dataclass
class _Running:
    """A task that was given away, and how many of its steps are counted."""

    number: int
    stack: Stack
    counted: int = 0

    def more(self, steps: int) -> int:
        """How many of these aren't counted yet: a task that is tried again begins anew."""
        more = max(0, steps - self.counted)
        self.counted += more
        return more


def _task(task: Task, number: int, board: Any) -> Outcome:
    return perform(task, lambda total: board.write.remote(number, total))
