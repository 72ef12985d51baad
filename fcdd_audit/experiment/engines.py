"""Where cells are trained and measured: in this process, or in several that ask it for work."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from pathlib import Path
from typing import Any

import torch

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.files import writing
from fcdd_audit.core.mapped import dumps
from fcdd_audit.core.progress import progress_bar
from fcdd_audit.core.registry import REGISTRIES, Foreign, foreign_entries
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.devices import default_workers
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Work, failure, finish, missing, record_killed
from fcdd_audit.models.own import own_kind

MAIN = "__main__"
TOLD_EVERY = 0.2  # seconds after which a worker says how many steps it made


@dataclass(frozen=True)
class Finished:
    """What was done. trained: how many cells were, and so weren't used again; measured: which. failures: the
    cells that have no numbers, and why."""

    trained: int
    measured: frozenset[Cell]
    failures: dict[Cell, str]


class Engine:
    """Does work for one store, call after call, in a `with` block. On the CPU in several processes, which are
    started when they are first needed, wait without costing anything, and end with the block.

    On the CPU a cell always has one thread, so that its numbers don't depend on `workers`, and cells are done
    side by side in as many processes, unless there is only one to do. Models of the user's own training code
    are in this process only: their cells are done here, one after the other, with all threads. workers:
    None: as many as fit the device. quiet: without progress bars on stderr.
    """

    def __init__(self, store: Store, workers: int | None = None, quiet: bool = True) -> None:
        """store: opened for as long as the engine is used."""
        self.store, self.workers, self.quiet = store, workers, quiet
        self.crew = _Crew(store)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.crew.close()

    def finish_all(self, works: Sequence[Work], setup: Setup, words: str = "") -> Finished:
        """Do what is missing of the work, with a progress bar on stderr. words: what it is for."""
        todo = {work: missing(work, setup, self.store) for work in works}
        waiting = [work for work, one in todo.items() if one.trained or one.measured]
        failures = {
            work.cell: reason
            for work in works
            if work not in waiting and (reason := failure(work.cell, setup, self.store)) is not None
        }
        trained = sum(one.trained for one in todo.values())
        counted = sum(one.trained for work, one in todo.items() if not own_kind(work.cell.detector))
        length = length_of(setup.recipe.optimisation, len(setup.data.train_nominal))
        steps, each = counted * length.steps, f" of {length}" if counted else ""
        with progress_bar(
            not self.quiet and bool(waiting),
            total=steps or len(waiting),
            desc=f"{len(waiting)} cells{each} ({', '.join(filter(None, (setup.data.nominal_class, words)))})",
            unit="step" if steps else "cell",
        ) as bar:
            finished = itertools.count(1)

            def on_cell() -> None:
                bar.set_postfix_str(f"{next(finished)} finished")
                bar.update(0 if steps else 1)

            failures |= self.finish_works(waiting, setup, bar.update, on_cell)
        return Finished(trained, frozenset(work.cell for work, one in todo.items() if one.measured), failures)

    def finish_works(
        self,
        works: Sequence[Work],
        setup: Setup,
        on_step: Callable[[int], object] = lambda steps: None,
        on_cell: Callable[[], object] = lambda: None,
    ) -> dict[Cell, str]:
        """Do what is missing of the work; returns why cells have no numbers.

        on_step: called with a number of training steps that were made. on_cell: called after each cell. A
        cell whose training fails, or whose process is killed, is one without numbers; any other error stops
        the run, and finished records stay. InputError where worker processes can't know what was registered
        from outside this package.
        """
        own = [work for work in works if own_kind(work.cell.detector)]  # that no other process knows
        others = [work for work in works if work not in own]
        workers = min(self.workers or default_workers(setup.device), len(others))
        if workers > 1:
            failures = self.crew.finish(_Round(setup, deque(others), on_step, on_cell), workers)
        else:
            threads = 1 if setup.device == "cpu" else None
            failures = self._finish_here(others, setup, threads, on_step, on_cell)
        return failures | self._finish_here(own, setup, None, on_step, on_cell)

    def _finish_here(
        self,
        works: Sequence[Work],
        setup: Setup,
        threads: int | None,
        on_step: Callable[[int], object],
        on_cell: Callable[[], object],
    ) -> dict[Cell, str]:
        """One after the other. threads: None: as many as there are."""
        before = torch.get_num_threads()
        failures = {}
        try:
            torch.set_num_threads(threads or before)
            for work in works:
                failed = finish(work, setup, self.store, on_step)
                if failed is not None:
                    failures[work.cell] = failed
                on_cell()
        finally:
            torch.set_num_threads(before)
        return failures


@dataclass
class _Round:
    """What a crew is asked for at once. failures: cells that have no numbers so far, and why."""

    setup: Setup
    waiting: deque[Work]
    on_step: Callable[[int], object]
    on_cell: Callable[[], object]
    failures: dict[Cell, str] = field(default_factory=dict)


@dataclass
class _Member:
    """A worker process, and what it is doing."""

    process: BaseProcess
    connection: Connection
    doing: Work | None = None
    started: bool = False


class _Crew:
    """Worker processes that are given one cell after the other.

    They talk through pipes and read the images from files: containers keep shared memory small, or have none.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.members: list[_Member] = []
        self.shared: tuple[Setup, Path] | None = None  # the setup that is in a file, and that file
        self.numbers = itertools.count()

    def finish(self, asked: _Round, workers: int) -> dict[Cell, str]:
        """After an error nobody is left; whoever asks again gets new ones."""
        try:
            foreign = foreign_entries()
            for one in foreign:
                _check_importable(one)
            path = self._share(asked.setup)
            for member in [one for one in self.members if not one.process.is_alive()]:
                self._lose(member, asked)
            self._hire(workers - len(self.members), foreign)
            while asked.waiting or any(member.doing for member in self.members):
                if not self.members:  # all were killed: the rest one by one
                    self._hire(1, foreign)
                for member in list(self.members):
                    if member.started and member.doing is None and asked.waiting:
                        self._give(member, path, asked)
                ready = wait([member.connection for member in self.members])
                for member in [one for one in self.members if one.connection in ready]:
                    self._hear(member, asked)
        except BaseException:
            self.close()
            raise
        return asked.failures

    def close(self) -> None:
        """End all workers, and take away what they read."""
        for member in self.members:
            if member.doing is not None or not member.started:
                member.process.terminate()  # what it was writing is in the scratch folder
            member.connection.close()  # the others end
        for member in self.members:
            member.process.join()
        self.members, self.shared = [], None
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return self.store.scratch / "shared"

    def _share(self, setup: Setup) -> Path:
        """The file to read it from. That of another setup goes: nobody is at work now."""
        if self.shared is not None and self.shared[0] is setup:
            return self.shared[1]
        before = self.shared
        path = self._folder / str(next(self.numbers)) / "setup.pickle"
        with writing(path):
            path.parent.mkdir(parents=True)
            path.write_bytes(dumps((setup, self.store), path.parent))
        self.shared = setup, path
        if before is not None:
            shutil.rmtree(before[1].parent, ignore_errors=True)
        return path

    def _hire(self, count: int, foreign: list[Foreign]) -> None:
        context = multiprocessing.get_context("spawn")
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, foreign), daemon=True)
            process.start()
            theirs.close()  # else its end isn't heard
            self.members.append(_Member(process, ours))

    def _give(self, member: _Member, path: Path, asked: _Round) -> None:
        try:
            member.connection.send((path, asked.waiting[0]))
        except OSError:  # it died while it had nothing to do
            self._lose(member, asked)
        else:
            member.doing = asked.waiting.popleft()

    def _hear(self, member: _Member, asked: _Round) -> None:
        try:
            said, value = member.connection.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a word
            self._lose(member, asked)
            return
        if said == "error":
            error, text = value
            raise error from _RemoteError(text)
        if said == "steps":
            asked.on_step(value)
            return
        member.started = True
        if said == "done" and member.doing is not None:
            if value is not None:
                asked.failures[member.doing.cell] = value
            member.doing = None
            asked.on_cell()

    def _lose(self, member: _Member, asked: _Round) -> None:
        """A worker that died; its cell has no numbers."""
        member.process.join()
        self.members.remove(member)
        member.connection.close()
        if not member.started:
            raise RunError(
                "a worker process couldn't start. For lack of memory: run again with fewer --workers. In a "
                "script: call run_audit below `if __name__ == '__main__':`"
            )
        if member.doing is not None:
            reason = f"its worker process {_ended(member.process.exitcode)}"
            asked.failures[member.doing.cell] = reason
            record_killed(member.doing.cell, asked.setup, self.store, reason)
            asked.on_cell()


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed ({signal.Signals(-code).name}), which often is for lack of memory"
    return f"ended with exit code {code}"


class _RemoteError(Exception):
    """The traceback of an error in a worker process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _check_importable(one: Foreign) -> None:
    try:
        found = one.home == MAIN or importlib.util.find_spec(one.home) is not None
    except (ModuleNotFoundError, ValueError):  # of a folder that isn't there; of a module made by hand
        found = False
    if not found:
        raise _unknown(one)


def _unknown(one: Foreign) -> InputError:
    return InputError(
        f"worker processes don't know the {one.kind} '{one.name}' of module '{one.home}'; register it where "
        "that module is imported, or use --workers 1"
    )


def _serve(connection: Connection, foreign: list[Foreign]) -> None:
    """What a worker process does: one cell after the other, until nobody asks any more."""
    try:
        for home in {one.home for one in foreign} - {MAIN}:  # a script is imported anew already
            importlib.import_module(home)
        torch.set_num_threads(1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
        threading.Thread(target=_end_with_parent, daemon=True).start()
        connection.send(("ready", None))
        known = None
        while True:
            path, work = connection.recv()
            if path != known:
                setup, store = pickle.loads(path.read_bytes())
                known = path
                for one in foreign:
                    if one.name not in REGISTRIES[one.kind]:
                        raise _unknown(one)
            steps = _Steps(connection)
            failed = finish(work, setup, store, steps.make)
            steps.tell()
            connection.send(("done", failed))
    except (EOFError, ConnectionError):
        return
    except Exception as error:
        connection.send(("error", (_sendable(error), traceback.format_exc())))


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does when it is made again
        return RunError(f"unexpected {type(error).__name__} in a worker process: {error}")
    return error


@dataclass
class _Steps:
    """Counts training steps, and tells of them now and then."""

    connection: Any
    made: int = 0
    told: float = field(default_factory=time.monotonic)

    def make(self, count: int) -> None:
        self.made += count
        if time.monotonic() - self.told > TOLD_EVERY:
            self.tell()

    def tell(self) -> None:
        if self.made:
            self.connection.send(("steps", self.made))
        self.made, self.told = 0, time.monotonic()


def _end_with_parent() -> None:
    """A killed audit must not leave workers behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
