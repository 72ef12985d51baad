import multiprocessing
import os
import signal
import sys
import threading
import time
from types import ModuleType

import pytest

from fcdd_audit import DETECTORS, InputError, Recipe, RunError, make_config
from fcdd_audit.core import mapped
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.experiment.cells import cell_key
from fcdd_audit.experiment.engines import default_workers, run_cells
from fcdd_audit.experiment.plan import planned_cells
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.experiment.store import RunStore

LONG = make_config(
    image_size=32, seeds=2, recipe=Recipe.of(epochs=400), detectors=("fcdd",), explainers=("native",)
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies_ends_the_run_with_a_clear_error_and_leaves_no_process(tmp_path, number):
    setup = prepare(LONG)
    cells = planned_cells(plan(LONG, setup))
    before = set(multiprocessing.active_children())
    started = threading.Event()

    def kill_one() -> None:
        started.wait(60)
        victim = next(iter(set(multiprocessing.active_children()) - before))
        os.kill(victim.pid, number)

    killer = threading.Thread(target=kill_one)
    killer.start()
    run = RunStore(tmp_path)
    with run.opened(), pytest.raises(RunError, match="a worker process died"):
        run_cells(cells, setup, run, workers=2, on_step=started.set)
    killer.join()
    deadline = time.monotonic() + 20
    while set(multiprocessing.active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize("workers", [1, 2])
def test_every_step_and_every_cell_is_counted(tmp_path, workers):
    config = LONG.having(recipe=Recipe.of(epochs=1, batch_size=64), seeds=1)
    setup = prepare(config)
    cells = planned_cells(plan(config, setup))
    steps, finished = [], []
    run = RunStore(tmp_path)
    with run.opened():
        run_cells(cells, setup, run, workers, lambda: steps.append(1), lambda: finished.append(1))
    assert (len(steps), len(finished)) == (2 * 8, 2)


@pytest.mark.parametrize("home", ["nowhere", "nowhere.below", "json.nowhere", "handmade", "json"])
def test_what_workers_cannot_know_is_said_before_training(tmp_path, monkeypatch, home):
    monkeypatch.setattr(DETECTORS, "_entries", dict(DETECTORS.items()))
    monkeypatch.setitem(sys.modules, "handmade", ModuleType("handmade"))
    DETECTORS.register("strange", home)(DETECTORS["fcdd"])  # importing json registers nothing
    setup = prepare(LONG)
    cells = planned_cells(plan(LONG, setup))
    run = RunStore(tmp_path)
    with run.opened(), pytest.raises(InputError, match=f"'strange' of module '{home}'.*use --workers 1"):
        run_cells(cells, setup, run, workers=2)
    assert not list(run.cells.glob("*"))


def test_a_gpu_is_used_from_this_process_alone():
    assert default_workers("cuda:0") == 1
    assert default_workers("cpu") >= 1


def test_workers_get_images_by_file_and_give_the_same_numbers(classes_config, tmp_path, monkeypatch):
    monkeypatch.setattr(mapped, "BY_FILE", 1)  # every tensor, however small
    config = classes_config.having(nominal_class="cat", detectors=("fcdd",), prevalence=(0.5,))
    setup = prepare(config, "cat")
    assert mapped.file_of(setup.data.train_nominal.images) is not None
    assert mapped.file_of(setup.pairs["nominal"].variants["marked"]) is None
    cells = planned_cells(plan(config, setup))
    for workers in (1, 2):
        run = RunStore(tmp_path / str(workers))
        with run.opened():
            run_cells(cells, setup, run, workers)
            assert not list(run.cells.glob(".tmp-*"))
    for name in ("scores.csv", "localization.csv"):
        for cell in cells:
            here, there = (tmp_path / n / "cells" / cell_key(cell, setup) / name for n in "12")
            assert here.read_bytes() == there.read_bytes()
