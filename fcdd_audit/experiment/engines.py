"""Where cells run."""

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
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import parent_process
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.mapped import dumps
from fcdd_audit.core.registry import REGISTRIES, Foreign, foreign_entries
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.experiment.cells import Cell, cell_key, run_cell
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import RunStore

MAIN = "__main__"


def default_workers(device: str) -> int:
    """One worker a core for cells on the CPU, this process alone for a GPU."""
    if device != "cpu":
        return 1
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def finish_cells(cells: list[Cell], setup: Setup, run: RunStore, workers: int | None, quiet: bool) -> int:
    """Run those of the cells that aren't in the run folder yet, with a progress bar on stderr unless
    `quiet`; returns how many these were."""
    waiting = [cell for cell in cells if not run.has_cell(cell_key(cell, setup))]
    if not waiting:
        return 0
    length = length_of(setup.recipe.optimisation, len(setup.data.train_nominal))
    with tqdm(
        total=len(waiting) * length.steps,
        desc=f"{len(waiting)} cells ({setup.data.nominal_class})",
        unit="step",
        disable=quiet or None,
    ) as bar:
        finished = itertools.count(1)
        run_cells(
            waiting,
            setup,
            run,
            workers or default_workers(setup.device),
            on_step=bar.update,
            on_cell=lambda: bar.set_postfix_str(f"{next(finished)} finished"),
        )
    return len(waiting)


def run_cells(
    cells: list[Cell],
    setup: Setup,
    run: RunStore,
    workers: int,
    on_step: Callable[[], object] = lambda: None,
    on_cell: Callable[[], object] = lambda: None,
) -> None:
    """Run `cells` and write each to the run folder as soon as it is finished.

    On the CPU a cell always has one thread, so that its numbers don't depend on `workers`, and cells run
    side by side in `workers` processes. on_step, on_cell: called after each training step and each
    cell. The first error stops the run; finished cells stay. InputError where worker processes can't know
    what was registered from outside this package.
    """
    workers = min(workers, len(cells))
    if workers > 1:
        _run_in_processes(cells, setup, run, workers, on_step, on_cell)
        return
    threads = torch.get_num_threads()
    try:
        if setup.device == "cpu":
            torch.set_num_threads(1)
        for cell in cells:
            run.write_cell(cell_key(cell, setup), run_cell(cell, setup, on_step))
            on_cell()
    finally:
        torch.set_num_threads(threads)


def _run_in_processes(
    cells: list[Cell],
    setup: Setup,
    run: RunStore,
    workers: int,
    on_step: Callable[[], object],
    on_cell: Callable[[], object],
) -> None:
    foreign = foreign_entries()
    for one in foreign:
        _check_importable(one)
    context = multiprocessing.get_context("spawn")
    # Each worker counts its steps in a place of its own: no lock that a killed worker could keep.
    steps = context.RawArray("q", workers)
    places = context.SimpleQueue()
    for place in range(workers):
        places.put(place)
    # By files: torch's own way goes through shared memory, which containers keep small, and what a pipe
    # can't hold keeps the next worker from starting until this one has read it.
    spool = run.temporary()
    shared = spool / "setup.pickle"
    shared.write_bytes(dumps((setup, run), spool))
    strangers = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _start_worker, (shared, foreign, steps, places))
    shown = 0
    try:
        waiting = {pool.submit(_work, cell, cell_key(cell, setup)) for cell in cells}
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            counted = sum(steps)
            for _ in range(counted - shown):
                on_step()
            shown = counted
            for future in done:
                future.result()
                on_cell()
    except BaseException as error:
        for worker in set(multiprocessing.active_children()) - strangers:
            worker.terminate()  # what it was writing is a temporary folder
        if isinstance(error, BrokenProcessPool):
            raise RunError(
                "a worker process died; finished cells are kept. For lack of memory: run again with fewer "
                "--workers. In a script: call run_audit below `if __name__ == '__main__':`"
            ) from error
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(spool, ignore_errors=True)


@dataclass(frozen=True)
class _Worker:
    """What a worker process knows. unknown: what it should know too. place: where in `steps` it counts."""

    setup: Setup
    run: RunStore
    unknown: list[Foreign]
    steps: Any
    place: int

    def count_step(self) -> None:
        self.steps[self.place] += 1


_worker: _Worker


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


def _start_worker(shared: Path, foreign: list[Foreign], steps: Any, places: SimpleQueue[int]) -> None:
    global _worker
    for home in {one.home for one in foreign} - {MAIN}:  # a script is imported anew already
        importlib.import_module(home)
    setup, run = pickle.loads(shared.read_bytes())
    unknown = [one for one in foreign if one.name not in REGISTRIES[one.kind]]
    _worker = _Worker(setup, run, unknown, steps, places.get())
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed audit must not leave workers behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(cell: Cell, key: str) -> None:
    for one in _worker.unknown:
        raise _unknown(one)
    _worker.run.write_cell(key, run_cell(cell, _worker.setup, _worker.count_step))
