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
from fcdd_audit.experiment.engines import Engine, default_workers
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


def finish_works(works, setup, store, workers, *callbacks, **named):
    """What an engine returns that is there for this work only."""
    with Engine(store, workers) as engine:
        return engine.finish_works(works, setup, *callbacks, **named)


def finish_all(works, setup, store, workers):
    with Engine(store, workers) as engine:
        return engine.finish_all(works, setup)


def by_crew(long, store, on_step=None, on_cell=None):
    """The same by two workers, with callbacks that get the crew."""
    setup, works = long
    with Engine(store, workers=2) as engine:
        return engine.finish_works(
            works,
            setup,
            lambda steps: on_step and on_step(engine.crew, steps),
            lambda: on_cell and on_cell(engine.crew),
        )


# Numbers and counts


def test_workers_give_the_same_bytes_and_every_step_and_cell_is_counted(
    exposed_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(mapped, "BY_FILE", 1)  # every tensor travels by file, however small
    setup, works = planned(exposed_config.having(seeds=2))
    assert len(works) == 5
    assert mapped.file_of(setup.data.train_nominal.images) is not None
    assert mapped.file_of(setup.pairs["nominal"].variants["marked"]) is None
    found = []
    for workers in (1, 2):
        store, steps, finished = Store(tmp_path / str(workers)), [], itertools.count()
        with store.opened():
            assert finish_works(works, setup, store, workers, steps.append, finished.__next__) == {}
            assert not list(store.scratch.iterdir())
        assert (sum(steps), next(finished)) == (4 * 2, 5), "two steps of each detector"
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
    found = finish_all(works, setup, store, workers=1)
    assert done == works[1:]
    assert (found.trained, len(found.measured), found.failures) == (0, 2, {})
    found = finish_all(works, setup, store, workers=None)
    assert done == works[1:]
    assert (found.trained, len(found.measured), found.failures) == (0, 0, {})


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
    found = finish_all(works, setup, store, workers=1)
    assert (found.trained, len(found.measured), found.failures) == (0, 0, failures)


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

    failures = by_crew(long, store, kill, lambda made: told.append(1))
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

    failures = by_crew((setup, works), store, on_cell=kill)
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


# One engine, asked more than once


def pids(engine):
    return {member.process.pid for member in engine.crew.members}


def test_workers_stay_from_call_to_call_and_are_told_of_another_setup(exposed_config, store):
    setup, works = planned(exposed_config.having(seeds=2))
    other, others = planned(exposed_config.having(seeds=2, recipe=Recipe.of(epochs=2, batch_size=8)))
    with Engine(store, workers=2) as engine:
        assert pids(engine) == set(), "nobody is needed yet"
        assert engine.finish_works(works[:2], setup) == {}
        at_first = pids(engine)
        assert len(at_first) == 2
        assert engine.finish_works(works[2:], setup) == {}
        (kept,) = (store.scratch / "shared").iterdir()
        assert engine.finish_works(others, other) == {}
        assert pids(engine) == at_first
        assert not kept.exists()
        assert engine.finish_works(works, setup) == {}
        assert pids(engine) == at_first
        for one, all_works in ((setup, works), (other, others)):
            assert {missing(work, one, store) for work in all_works} == {Missing()}
    assert not list(store.scratch.iterdir())


def test_no_more_workers_are_started_than_there_is_work(exposed_config, store):
    setup, _ = planned(exposed_config)
    works = [Work(Cell("fcdd", seed, AS_IS)) for seed in range(6)]
    with Engine(store, workers=3) as engine:
        engine.finish_works(works[:1], setup)
        assert len(pids(engine)) == 0, "one cell is done in this process"
        engine.finish_works(works[1:3], setup)
        before = pids(engine)
        assert len(before) == 2
        engine.finish_works(works[3:], setup)
        assert len(pids(engine)) == 3
        assert before < pids(engine)


def test_a_worker_that_is_killed_between_two_calls_is_replaced(exposed_config, store):
    setup, works = planned(exposed_config.having(seeds=2))
    with Engine(store, workers=2) as engine:
        engine.finish_works(works[:2], setup)
        first = next(member.process for member in engine.crew.members if member.started)
        first.kill()
        first.join()
        assert engine.finish_works(works[2:], setup) == {}
        assert len(pids(engine)) == 2
        assert first.pid not in pids(engine)


def test_after_an_error_nobody_is_left_and_the_engine_can_be_asked_again(exposed_config, store):
    setup, works = planned(exposed_config.having(seeds=2))

    def interrupted(steps):
        raise KeyboardInterrupt

    with Engine(store, workers=2) as engine:
        with pytest.raises(KeyboardInterrupt):
            engine.finish_works(works[:3], setup, on_step=interrupted)
        assert pids(engine) == set()
        assert not list(store.scratch.iterdir())
        assert engine.finish_works(works, setup) == {}
    assert not list(store.scratch.iterdir())


def test_workers_end_with_the_block_whatever_happens_in_it(exposed_config, store):
    setup, works = planned(exposed_config)
    with pytest.raises(ValueError, match="elsewhere"), Engine(store, workers=2) as engine:  # noqa: PT012
        engine.finish_works(works, setup)
        processes = [member.process for member in engine.crew.members]
        raise ValueError("elsewhere")
    assert not any(process.is_alive() for process in processes)
    assert not list(store.scratch.iterdir())


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
        f"can't write '{store.scratch / 'shared' / '0' / name}' (No space left on device); what is finished "
        "is kept: make room, and run the same command again"
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
