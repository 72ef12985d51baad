"""Worker processes that ask this one for stacks of work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from pathlib import Path

import torch

from fcdd_audit.core.errors import RunError
from fcdd_audit.core.registry import Foreign, foreign_entries
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.engines.base import Counted
from fcdd_audit.experiment.engines.known import check_importable, check_known, import_homes
from fcdd_audit.experiment.engines.lost import lost
from fcdd_audit.experiment.engines.sharing import Sharing, shared
from fcdd_audit.experiment.engines.telling import Sent, Steps
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.stacks import Stack
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import finish_stack

INSTEAD = "--workers 1"  # for what other processes can't know


@dataclass
class _Round:
    """What a crew is asked for at once. failures: cells that have no numbers so far, and why."""

    setup: Setup
    waiting: deque[Stack]
    on_steps: Counted
    on_cells: Counted
    failures: dict[Cell, str] = field(default_factory=dict)


@dataclass
class _Member:
    """A worker process, and what it is doing."""

    process: BaseProcess
    connection: Connection
    doing: Stack | None = None
    started: bool = False


class Crew:
    """Worker processes that are given one stack after the other. They talk through pipes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.members: list[_Member] = []
        self.sharing = Sharing(store)

    def finish(
        self, stacks: Sequence[Stack], setup: Setup, workers: int, on_steps: Counted, on_cells: Counted
    ) -> dict[Cell, str]:
        """As `Engine.finish`, with so many workers. After an error nobody is left; whoever asks again gets
        new ones."""
        asked = _Round(setup, deque(stacks), on_steps, on_cells)
        try:
            foreign = foreign_entries()
            check_importable(foreign, INSTEAD, scripts=True)
            path = self.sharing.file_of(setup)
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
        self.members = []
        self.sharing.close()

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
            value.raised()
        if said == "steps":
            asked.on_steps(value)
            return
        member.started = True
        if said == "done" and member.doing is not None:
            asked.failures |= value
            done, member.doing = member.doing, None
            asked.on_cells(len(done))

    def _lose(self, member: _Member, asked: _Round) -> None:
        """A worker that died; what wasn't finished of its stack has no numbers."""
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
            asked.failures |= lost(member.doing, asked.setup, self.store, reason)
            asked.on_cells(len(member.doing))


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed ({signal.Signals(-code).name}), which often is for lack of memory"
    return f"ended with exit code {code}"


def _serve(connection: Connection, foreign: list[Foreign]) -> None:
    """What a worker process does: one stack after the other, until nobody asks any more."""
    try:
        import_homes(foreign)
        torch.set_num_threads(1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
        threading.Thread(target=_end_with_parent, daemon=True).start()
        connection.send(("ready", None))
        steps = Steps(lambda made: connection.send(("steps", made)))
        while True:
            path, stack = connection.recv()
            setup, store = shared(path)
            check_known(foreign, INSTEAD)
            failures = finish_stack(stack, setup, store, steps.made)
            steps.tell()
            connection.send(("done", failures))
    except (EOFError, ConnectionError):
        return
    except Exception as error:
        connection.send(("error", Sent.of(error)))


def _end_with_parent() -> None:
    """A killed audit must not leave workers behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
