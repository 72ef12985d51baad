"""A stack as a task, done in this process."""

import pickle
from dataclasses import replace

import pytest
import torch

from fcdd_audit import RunError
from fcdd_audit.core.registry import Foreign
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.devices import device_name
from fcdd_audit.experiment.engines.sharing import Sharing
from fcdd_audit.experiment.engines.tasks import perform, tasks
from fcdd_audit.experiment.identity import scored_place, trained_place
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.experiment.work import Missing, Work, missing


@pytest.fixture
def shared_work(exposed_config, planned, store):
    setup, works = planned(exposed_config)
    sharing = Sharing(store)
    yield setup, works, sharing.file_of(setup)
    sharing.close()


def test_a_task_is_small_and_does_its_stack(shared_work, store):
    setup, works, file = shared_work
    (task,) = tasks([tuple(works)], setup, file, file, [])
    assert len(pickle.dumps(replace(task, modules=()))) < 2000
    totals = []
    outcome = perform(pickle.loads(pickle.dumps(task)), totals.append)
    assert (outcome.failures, outcome.error, outcome.steps) == ({}, None, totals[-1])
    assert outcome.steps == 2 * 2, "two steps of each detector"
    assert totals == sorted(totals)
    assert {missing(work, setup, store) for work in works} == {Missing()}


def test_another_device_than_the_records_are_named_after_is_refused(shared_work):
    setup, works, file = shared_work
    (task,) = tasks([tuple(works)], setup, file, file, [])
    error = perform(replace(task, name="Some Card"), lambda total: None).error.error
    assert isinstance(error, RunError)
    assert "this run's device is 'Some Card'" in str(error)
    assert f"a worker has '{device_name('cpu')}'" in str(error)


def test_a_worker_without_a_gpu_says_so(shared_work, monkeypatch):
    setup, works, file = shared_work
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (task,) = tasks([tuple(works)], setup, file, file, [])
    error = perform(replace(task, device="cuda", name="Some Card"), lambda total: None).error.error
    assert "a worker has 'no GPU'" in str(error)


def test_a_task_has_one_gpu_whose_index_is_nowhere(shared_work, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some Card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    setup, works, file = shared_work
    there, here = replace(setup, device="cuda"), replace(setup, device="cuda:1")
    (task,) = tasks([tuple(works)], here, file, file, [])
    assert (task.device, task.name) == ("cuda", "Some Card")
    for work in works:
        assert trained_place(work.cell, there) == trained_place(work.cell, here)
        assert scored_place(work.cell, there) == scored_place(work.cell, here)


def test_what_was_registered_elsewhere_must_be_known(shared_work):
    setup, _, file = shared_work
    (task,) = tasks(
        [(Work(Cell("fcdd", 0, AS_IS)),)], setup, file, file, [Foreign("detector", "strange", "json")]
    )
    error = perform(task, lambda total: None).error.error
    assert "worker processes don't know the detector 'strange' of module 'json'" in str(error)
    assert "use --engine local" in str(error)


def test_errors_are_sent_with_where_they_happened(shared_work):
    setup, works, file = shared_work
    (task,) = tasks([tuple(works)], setup, file, file, [])
    sent = perform(replace(task, stack=b"no pickle"), lambda total: None).error
    assert isinstance(sent.error, pickle.UnpicklingError)
    assert "tasks.py" in sent.where


def test_another_release_there_is_refused(shared_work):
    setup, works, file = shared_work
    (task,) = tasks([tuple(works)], setup, file, file, [])
    error = perform(replace(task, release="fcdd-audit 0 and torch 1"), lambda total: None).error.error
    assert isinstance(error, RunError)
    assert str(error).startswith("a worker has fcdd-audit ")
    assert "and the run began with fcdd-audit 0 and torch 1; install the same everywhere" in str(error)


def test_folders_that_a_machine_does_not_have_are_named(shared_work, tmp_path):
    setup, works, _ = shared_work
    (task,) = tasks([tuple(works)], setup, tmp_path / "gone" / "setup.pickle", tmp_path, [])
    error = perform(task, lambda total: None).error.error
    assert isinstance(error, RunError)
    assert "a worker can't read what the run shares" in str(error)
    assert "with --out, --store and --cache" in str(error)


def test_no_two_setups_have_the_same_file(shared_work, store):
    """Not even of two engines in one store: processes keep what they read."""
    setup, _, file = shared_work
    other = Sharing(store)
    assert other.file_of(setup) != file


def test_a_task_that_nobody_waits_for_ends_by_itself(shared_work, store, monkeypatch, tmp_path):
    monkeypatch.setattr("fcdd_audit.experiment.engines.telling.TOLD_EVERY", 0)
    setup, works, file = shared_work
    (wanted := tmp_path / "wanted").touch()
    (task,) = tasks([tuple(works)], setup, file, wanted, [])
    totals = []

    def once(total):
        totals.append(total)
        wanted.unlink()

    outcome = perform(task, once)
    assert "nobody waits for this task any more" in str(outcome.error.error)
    assert totals == [1]
    assert not list((store.path / "trained").iterdir())
