"""Worker processes that are given one stack after the other."""

import errno
import os
import re
import signal
import sys
from multiprocessing import resource_tracker, spawn
from types import ModuleType

import pytest

from fcdd_audit import DETECTORS, InputError, Recipe, RunError
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.engines import Resources, crew, sharing
from fcdd_audit.experiment.engines.local import Local
from fcdd_audit.experiment.identity import trained_place
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.trainings import failure
from fcdd_audit.experiment.work import Missing, Work, missing

DIVERGING = Recipe.of(epochs=1, batch_size=8, lr=1e30)


def nothing(count):
    pass


def finish(engine, works, setup, on_steps=nothing, on_cells=nothing):
    """Each by itself."""
    return engine.finish([(work,) for work in works], setup, on_steps, on_cells)


def by_two(store):
    return Local(store, Resources(workers=2))


def by_crew(long, store, on_steps=None, on_cells=None):
    """What two workers return, with callbacks that get the crew."""
    setup, works = long
    with by_two(store) as engine:
        return finish(
            engine,
            works,
            setup,
            lambda steps: on_steps and on_steps(engine.crew, steps),
            lambda cells: on_cells and on_cells(engine.crew),
        )


# Cells without numbers


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
                reasons[member.doing[0]] = f"was killed ({number.name}), which often is for lack of memory"
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


def test_of_a_stack_only_what_is_not_finished_is_lost_with_its_worker(long, store):
    """Three are trained by one worker, which is killed in the second; another one does the fourth."""
    setup, works = long
    steps, cells, killed = [], [], []

    def kill(count):
        steps.append(count)
        if not killed and missing(works[0], setup, store) == Missing():
            (member,) = [one for one in engine.crew.members if one.doing == tuple(works[:3])]
            killed.append(member.process.pid)
            member.process.kill()

    with by_two(store) as engine:
        failures = engine.finish([tuple(works[:3]), tuple(works[3:])], setup, kill, cells.append)
    assert len(killed) == 1
    assert failures.keys() == {works[1].cell, works[2].cell}
    assert sorted(cells) == [1, 3]
    assert [missing(work, setup, store) == Missing() for work in works] == [True, False, False, True]
    assert {failure(work.cell, setup, store) for work in works[1:3]} == set(failures.values())


def test_a_worker_that_dies_between_two_cells_costs_none(exposed_config, planned, store):
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

    failures = by_crew((setup, works), store, on_cells=kill)
    assert dead
    assert [failures[work.cell].partition(";")[0] for work in works] == [
        "the loss or the weights of FCDD are not finite in epoch 1 of 1" for seed in range(3)
    ]
    assert [missing(work, setup, store) for work in works] == [Missing(failed=True)] * 3


@pytest.mark.parametrize(
    ("code", "said"), [(3, "ended with exit code 3"), (-6, "was killed (SIGABRT), which")]
)
def test_how_a_worker_ended_is_said(code, said):
    assert crew._ended(code).startswith(said)


# One engine, asked more than once


def pids(engine):
    return {member.process.pid for member in engine.crew.members}


def test_workers_stay_from_call_to_call_and_are_told_of_another_setup(exposed_config, planned, store):
    setup, works = planned(exposed_config.having(seeds=2))
    other, others = planned(exposed_config.having(seeds=2, recipe=Recipe.of(epochs=2, batch_size=8)))
    with by_two(store) as engine:
        assert pids(engine) == set(), "nobody is needed yet"
        assert finish(engine, works[:2], setup) == {}
        at_first = pids(engine)
        assert len(at_first) == 2
        assert finish(engine, works[2:], setup) == {}
        (kept,) = (store.scratch / "shared").iterdir()
        assert finish(engine, others, other) == {}
        assert pids(engine) == at_first
        assert not kept.exists()
        assert finish(engine, works, setup) == {}
        assert pids(engine) == at_first
        for one, all_works in ((setup, works), (other, others)):
            assert {missing(work, one, store) for work in all_works} == {Missing()}
    assert not list(store.scratch.iterdir())


def test_no_more_workers_are_started_than_there_is_work(exposed_config, planned, store):
    setup, _ = planned(exposed_config)
    works = [Work(Cell("fcdd", seed, AS_IS)) for seed in range(6)]
    with Local(store, Resources(workers=3)) as engine:
        finish(engine, works[:1], setup)
        assert len(pids(engine)) == 0, "one cell is done in this process"
        finish(engine, works[1:3], setup)
        before = pids(engine)
        assert len(before) == 2
        finish(engine, works[3:], setup)
        assert len(pids(engine)) == 3
        assert before < pids(engine)


def test_a_worker_that_is_killed_between_two_calls_is_replaced(exposed_config, planned, store):
    setup, works = planned(exposed_config.having(seeds=2))
    with by_two(store) as engine:
        finish(engine, works[:2], setup)
        first = next(member.process for member in engine.crew.members if member.started)
        first.kill()
        first.join()
        assert finish(engine, works[2:], setup) == {}
        assert len(pids(engine)) == 2
        assert first.pid not in pids(engine)


def test_after_an_error_nobody_is_left_and_the_engine_can_be_asked_again(exposed_config, planned, store):
    setup, works = planned(exposed_config.having(seeds=2))

    def interrupted(steps):
        raise KeyboardInterrupt

    with by_two(store) as engine:
        with pytest.raises(KeyboardInterrupt):
            finish(engine, works[:3], setup, interrupted)
        assert pids(engine) == set()
        assert not list(store.scratch.iterdir())
        assert finish(engine, works, setup) == {}
    assert not list(store.scratch.iterdir())


def test_workers_end_with_the_block_whatever_happens_in_it(exposed_config, planned, store):
    setup, works = planned(exposed_config)
    with pytest.raises(ValueError, match="elsewhere"), by_two(store) as engine:  # noqa: PT012
        finish(engine, works, setup)
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
        by_crew((setup, works), store)
    assert "Traceback" in str(error.value.__cause__)
    assert "loop.py" in str(error.value.__cause__), "where it happened there"
    assert not list((store.path / "trained").iterdir())
    assert not list(store.scratch.iterdir())


def test_a_worker_that_cannot_start_ends_the_run(long, store, monkeypatch):
    resource_tracker.ensure_running()  # is started the same way
    monkeypatch.setattr(spawn, "_python_exe", b"/bin/false")
    with pytest.raises(RunError, match=r"couldn't start. For lack of memory: run again with fewer --workers"):
        by_crew(long, store)
    assert not list((store.path / "trained").iterdir())
    assert not list(store.scratch.iterdir())


@pytest.mark.parametrize("home", ["nowhere", "nowhere.below", "json.nowhere", "handmade", "json"])
def test_what_workers_cannot_know_is_said_before_training(long, store, monkeypatch, home):
    monkeypatch.setattr(DETECTORS, "_entries", dict(DETECTORS.items()))
    monkeypatch.setitem(sys.modules, "handmade", ModuleType("handmade"))
    DETECTORS.register("strange", home)(DETECTORS["fcdd"])  # importing json registers nothing
    with pytest.raises(InputError, match=f"'strange' of module '{home}'.*use --workers 1"):
        by_crew(long, store)
    assert not list((store.path / "trained").iterdir())


@pytest.mark.parametrize("named", [True, False])
def test_where_there_is_no_room_for_what_workers_read_it_is_said(long, store, monkeypatch, named):
    def full(value, folder):
        (folder / "a.bin").write_bytes(b"hal")
        raise OSError(errno.ENOSPC, "No space left on device", *([str(folder / "a.bin")] if named else []))

    monkeypatch.setattr(sharing, "dumps", full)
    name = "a.bin" if named else "setup.pickle"
    with pytest.raises(RunError) as error:
        by_crew(long, store)
    said = re.sub("[0-9a-f]{32}", "OWN", str(error.value))
    assert said == (
        f"can't write '{store.scratch / 'shared' / 'OWN' / name}' (No space left on device); what is "
        "finished is kept: make room, and run the same command again"
    )
