"""Where cells run."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import parent_process

import torch

from fcdd_audit.cells import Cell, Setup, cell_key, run_cell
from fcdd_audit.errors import RunError
from fcdd_audit.runs import RunFolder


def default_workers(device: str) -> int:
    """One worker a core for cells on the CPU, this process alone for a GPU."""
    if device != "cpu":
        return 1
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_cells(
    cells: list[Cell],
    setup: Setup,
    run: RunFolder,
    workers: int,
    on_cell: Callable[[Cell], object],
) -> None:
    """Run `cells` and write each to the run folder as soon as it is finished.

    On the CPU a cell always has one thread, so that its numbers don't depend on `workers`, and cells run
    side by side in `workers` processes. The first error stops the run; finished cells stay.
    """
    workers = min(workers, len(cells))
    if workers > 1:
        _run_in_processes(cells, setup, run, workers, on_cell)
        return
    threads = torch.get_num_threads()
    try:
        if setup.device == "cpu":
            torch.set_num_threads(1)
        for cell in cells:
            run.write_cell(cell_key(cell, setup), run_cell(cell, setup))
            on_cell(cell)
    finally:
        torch.set_num_threads(threads)


def _run_in_processes(
    cells: list[Cell],
    setup: Setup,
    run: RunFolder,
    workers: int,
    on_cell: Callable[[Cell], object],
) -> None:
    # Pickled by hand: torch's own way goes through shared memory, which containers keep small.
    shared = pickle.dumps((setup, run))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (shared,))
    try:
        waiting = {pool.submit(_work, cell): cell for cell in cells}
        for future in as_completed(waiting):
            future.result()
            on_cell(waiting[future])
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died, perhaps for lack of memory; finished cells are kept: run the same "
            "command again, with fewer --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_shared: tuple[Setup, RunFolder]


def _start_worker(shared: bytes) -> None:
    global _shared
    _shared = pickle.loads(shared)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed audit must not leave workers behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(cell: Cell) -> None:
    setup, run = _shared
    run.write_cell(cell_key(cell, setup), run_cell(cell, setup))
