"""This process, and processes beside it: the same numbers."""

import pytest

from fcdd_audit.core import mapped
from fcdd_audit.experiment.engines import Resources, here
from fcdd_audit.experiment.engines.local import Local
from fcdd_audit.experiment.stacks import stacks
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Missing, finish_stack, missing


def test_workers_give_the_same_bytes_and_every_step_and_cell_is_counted(
    exposed_config, planned, kept, tmp_path, monkeypatch
):
    monkeypatch.setattr(mapped, "BY_FILE", 1)  # every tensor travels by file, however small
    setup, works = planned(exposed_config.having(seeds=2))
    assert len(works) == 5
    assert mapped.file_of(setup.data.train_nominal.images) is not None
    assert mapped.file_of(setup.pairs["nominal"].variants["marked"]) is None
    found = []
    for workers in (1, 2):
        store, steps, cells = Store(tmp_path / str(workers)), [], []
        with store.opened():
            with Local(store, Resources(workers)) as engine:
                assert engine.finish(stacks(works, setup), setup, steps.append, cells.append) == {}
            assert not list(store.scratch.iterdir())
        assert (sum(steps), sum(cells)) == (4 * 2, 5), "two steps of each detector"
        found.append(kept(store.path))
    assert found[0] == found[1]
    assert {path.rpartition("/")[2] for path in found[0]} == {
        "identity.json",
        "detector.safetensors",
        "scores.csv",
        "overlaps.csv",
        "maps.npz",
    }


def test_one_stack_is_done_in_this_process_however_many_workers_there_may_be(exposed_config, planned, store):
    setup, works = planned(exposed_config)
    cells = []
    with Local(store, Resources(workers=4)) as engine:
        assert engine.finish([tuple(works)], setup, lambda steps: None, cells.append) == {}
        assert engine.crew.members == []
    assert cells == [len(works)]
    assert {missing(work, setup, store) for work in works} == {Missing()}


def test_in_one_process_an_error_stops_the_run_and_finished_cells_stay(
    exposed_config, planned, store, monkeypatch
):
    setup, works = planned(exposed_config)
    asked = []

    def second_fails(stack, *given):
        asked.append(stack)
        if len(asked) == 2:
            raise RuntimeError("a bug")
        return finish_stack(stack, *given)

    monkeypatch.setattr(here, "finish_stack", second_fails)
    with Local(store, Resources(workers=1)) as engine, pytest.raises(RuntimeError, match="a bug"):
        engine.finish([(work,) for work in works], setup, lambda steps: None, lambda cells: None)
    assert asked == [(work,) for work in works[:2]]
    assert missing(works[0], setup, store) == Missing()
