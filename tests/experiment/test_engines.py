"""Cells in this process, and in several that are given one after the other."""

import errno
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
from multiprocessing import resource_tracker, spawn
from types import ModuleType

import pytest

from fcdd_audit import DETECTORS, InputError, Recipe, RunError
from fcdd_audit.core import mapped
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.experiment import engines
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.devices import cores
from fcdd_audit.experiment.engines import default_workers, finish_all, finish_works
from fcdd_audit.experiment.identity import trained_place
from fcdd_audit.experiment.plan import planned_work
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import LOCKS, Store
from fcdd_audit.experiment.work import Missing, Work, failure, finish, missing

DIVERGING = Recipe.of(epochs=1, batch_size=8, lr=1e30)
TIMED = ("training.json", "measuring.json", "SHA256SUMS")  # of them seconds are a part


def planned(config):
    """What all cells share, and what is to be done."""
    setup = prepare(config)
    return setup, list(planned_work(plan(config, setup), setup).values())


@pytest.fixture(scope="module")
def long(exposed_config):
    """Four detectors of which each is trained for a while."""
    setup, _ = planned(exposed_config.having(recipe=Recipe.of(steps=200, batch_size=16)))
    return setup, [Work(Cell("fcdd", seed, AS_IS), ("native",)) for seed in range(4)]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


@pytest.fixture(autouse=True)
def _nobody_is_left():
    before = {child.pid for child in multiprocessing.active_children()}
    yield
    assert {child.pid for child in multiprocessing.active_children()} <= before


def crew(long, store, on_step=None, on_cell=None):
    """With callbacks that get the crew."""
    made = engines._Crew(
        long[0],
        store,
        lambda steps: on_step and on_step(made, steps),
        lambda: on_cell and on_cell(made),
    )
    return made


# Numbers and counts


def test_workers_give_the_same_bytes_and_every_step_and_cell_is_counted(
    exposed_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(mapped, "BY_FILE", 1)  # every tensor travels by file, however small
    setup, works = planned(exposed_config.having(seeds=2))
    assert len(works) == 6
    assert mapped.file_of(setup.data.train_nominal.images) is not None
    assert mapped.file_of(setup.pairs["nominal"].variants["marked"]) is None
    found = []
    for workers in (1, 2):
        store, steps, finished = Store(tmp_path / str(workers)), [], itertools.count()
        with store.opened():
            assert finish_works(works, setup, store, workers, steps.append, finished.__next__) == {}
            assert not list(store.scratch.iterdir())
        assert (sum(steps), next(finished)) == (4 * 2, 6), "two steps of each detector"
        found.append(
            {
                path.relative_to(store.path): path.read_bytes()
                for path in store.path.rglob("*")
                if path.is_file() and path.name not in TIMED and path.parent.name != LOCKS
            }
        )
    assert found[0] == found[1]
    assert {path.name for path in found[0]} == {
        "identity.json",
        "detector.safetensors",
        "scores.csv",
        "overlaps.csv",
        "maps.npz",
    }


def test_a_gpu_is_used_from_this_process_alone():
    assert default_workers("cuda:0") == 1
    assert default_workers("cpu") >= 1


def test_cores_are_counted_without_semaphores_too(monkeypatch):
    before = cores()
    monkeypatch.setattr("joblib.parallel.mp", None)  # as joblib leaves it where there is no shared memory
    assert cores() == before


def test_only_what_is_missing_is_done_and_counted(exposed_config, store, monkeypatch):
    setup, works = planned(exposed_config)
    finish(works[0], setup, store)
    finish(Work(works[1].cell), setup, store)
    done = []
    monkeypatch.setattr(engines, "finish", lambda work, *given: done.append(work) or finish(work, *given))
    found = finish_all(works, setup, store, workers=1, quiet=True)
    assert done == works[1:]
    assert (found.trained, found.measured, found.failures) == (0, 2, {})
    found = finish_all(works, setup, store, workers=None, quiet=True)
    assert done == works[1:]
    assert (found.trained, found.measured, found.failures) == (0, 0, {})


# Cells without numbers


def test_a_training_that_fails_is_told_now_and_by_the_next_run(exposed_config, store):
    setup, works = planned(exposed_config.having(recipe=DIVERGING))
    told = []
    failures = finish_works(works, setup, store, workers=1, on_cell=lambda: told.append(1))
    assert list(map(len, (failures, told))) == [2, 3]
    for work in works:
        if work.cell.trained:
            assert "lower the learning rate (--lr)" in failures[work.cell]
            assert missing(work, setup, store) == Missing(failed=True)
    found = finish_all(works, setup, store, workers=1, quiet=True)
    assert (found.trained, found.measured, found.failures) == (0, 0, failures)


def test_a_worker_that_dies_costs_its_cell_and_nothing_else(long, store):
    """Both of two workers die: others are started for the cells that are left."""
    setup, works = long
    numbers = [signal.SIGKILL, signal.SIGTERM]
    killed, reasons, steps, told = [], {}, [], []

    def kill(made, count):
        steps.append(count)
        for member in made.members if numbers else ():
            if member.doing is not None and member not in killed:
                number = numbers.pop(0)
                os.kill(member.process.pid, number)
                killed.append(member)
                reasons[member.doing] = f"was killed ({number.name}), which often is for lack of memory"
                break

    failures = crew(long, store, kill, lambda made: told.append(1)).finish(works, workers=2)
    assert len(reasons) == 2
    assert failures == {work.cell: f"its worker process {reason}" for work, reason in reasons.items()}
    assert len(told) == 4
    assert 2 * 200 <= sum(steps) < 4 * 200
    for work in works:
        if work in reasons:
            assert store.read(trained_place(work.cell, setup)).json("training.json")["again"] is True
            assert failure(work.cell, setup, store) == failures[work.cell]
            assert missing(work, setup, store) == Missing(True, True, ("native",))
        else:
            assert missing(work, setup, store) == Missing()
    assert not list(store.scratch.iterdir())


def test_a_worker_that_dies_between_two_cells_costs_none(exposed_config, store):
    """It is dead when it is to be given the next one. The trainings fail, which workers tell too."""
    setup, _ = planned(exposed_config.having(recipe=DIVERGING))
    works = [Work(Cell("fcdd", seed, AS_IS)) for seed in range(3)]
    dead = []

    def kill(made):
        for member in made.members if not dead else ():
            if member.doing is None and member.started:
                os.kill(member.process.pid, signal.SIGKILL)
                member.process.join()
                dead.append(member)

    failures = crew((setup, works), store, on_cell=kill).finish(works, workers=2)
    assert dead
    assert [failures[work.cell].partition(";")[0] for work in works] == [
        "the loss or the weights of FCDD are not finite in epoch 1 of 1" for seed in range(3)
    ]
    assert [missing(work, setup, store) for work in works] == [Missing(failed=True)] * 3


@pytest.mark.parametrize(
    ("code", "said"), [(3, "ended with exit code 3"), (-6, "was killed (SIGABRT), which")]
)
def test_how_a_worker_ended_is_said(code, said):
    assert engines._ended(code).startswith(said)


# What ends a run


def test_an_error_in_a_worker_comes_back_as_itself(exposed_config, store):
    """FCDD can't be trained without anomalies; planning would have said so."""
    setup = prepare(exposed_config.having(oe="none", detectors=("ae",)))
    works = [Work(Cell("fcdd", seed, AS_IS)) for seed in (0, 1)]
    with pytest.raises(InputError, match="FCDD learns from training anomalies and there are none") as error:
        finish_works(works, setup, store, workers=2)
    assert "Traceback" in str(error.value.__cause__)
    assert "loop.py" in str(error.value.__cause__), "where it happened there"
    assert not list((store.path / "trained").iterdir())
    assert not list(store.scratch.iterdir())


def test_an_error_that_cannot_travel_is_said_in_words():
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

    assert str(engines._sendable(OddError(1, 2))) == "unexpected OddError in a worker process: 1 2"
    assert isinstance(engines._sendable(OddError(1, 2)), RunError)
    error = InputError("whole")
    assert engines._sendable(error) is error
    assert str(pickle.loads(pickle.dumps(error))) == "whole"


def test_a_worker_that_cannot_start_ends_the_run(long, store, monkeypatch):
    resource_tracker.ensure_running()  # is started the same way
    monkeypatch.setattr(spawn, "_python_exe", b"/bin/false")
    with pytest.raises(RunError, match=r"couldn't start. For lack of memory: run again with fewer --workers"):
        finish_works(long[1], long[0], store, workers=2)
    assert not list((store.path / "trained").iterdir())
    assert not list(store.scratch.iterdir())


@pytest.mark.parametrize("home", ["nowhere", "nowhere.below", "json.nowhere", "handmade", "json"])
def test_what_workers_cannot_know_is_said_before_training(long, store, monkeypatch, home):
    monkeypatch.setattr(DETECTORS, "_entries", dict(DETECTORS.items()))
    monkeypatch.setitem(sys.modules, "handmade", ModuleType("handmade"))
    DETECTORS.register("strange", home)(DETECTORS["fcdd"])  # importing json registers nothing
    with pytest.raises(InputError, match=f"'strange' of module '{home}'.*use --workers 1"):
        finish_works(long[1], long[0], store, workers=2)
    assert not list((store.path / "trained").iterdir())


@pytest.mark.parametrize("named", [True, False])
def test_where_there_is_no_room_for_what_workers_read_it_is_said(long, store, monkeypatch, named):
    def full(value, folder):
        (folder / "a.bin").write_bytes(b"hal")
        raise OSError(errno.ENOSPC, "No space left on device", *([str(folder / "a.bin")] if named else []))

    monkeypatch.setattr(engines, "dumps", full)
    name = "a.bin" if named else "setup.pickle"
    with pytest.raises(RunError) as error:
        finish_works(long[1], long[0], store, workers=2)
    assert str(error.value) == (
        f"can't write '{store.scratch / 'shared' / name}' (No space left on device); what is finished is "
        "kept: make room, and run the same command again"
    )


def test_in_one_process_an_error_stops_the_run_and_finished_cells_stay(exposed_config, store, monkeypatch):
    setup, works = planned(exposed_config)
    asked = []

    def second_fails(work, *given):
        asked.append(work)
        if len(asked) == 2:
            raise RuntimeError("a bug")
        return finish(work, *given)

    monkeypatch.setattr(engines, "finish", second_fails)
    with pytest.raises(RuntimeError, match="a bug"):
        finish_works(works, setup, store, workers=1)
    assert asked == works[:2]
    assert missing(works[0], setup, store) == Missing()
