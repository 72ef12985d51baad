"""Cells without numbers: their reason is kept, the audit goes on, and some are tried again."""

from dataclasses import replace

import pytest
import torch

from fcdd_audit import DETECTORS, InputError, RunError
from fcdd_audit.experiment import cells, trainings, work
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import explained_place, scored_place, trained_place
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import failure, load, record_killed
from fcdd_audit.experiment.work import Missing, Work, missing
from fcdd_audit.explainers import EXPLAINERS
from tests.experiment.one import finish

CELL = Cell("fcdd", 0, AS_IS)
WORK = Work(CELL, ("native", "gradient"), checks=True)
BEFORE = replace(CELL, trained=False)


@pytest.fixture(scope="module")
def setup(exposed_config):
    return prepare(exposed_config.having(explainers=("native", "gradient"), sanity=2))


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


@pytest.fixture
def counted(monkeypatch):
    """Names what is done: trained, scored."""
    done = []
    for home, name in ((trainings, "train_stack"), (work, "score")):
        real = getattr(home, name)
        monkeypatch.setattr(
            home, name, lambda *given, name=name, real=real: done.append(name) or real(*given)
        )
    return done


def failing(monkeypatch, error):
    def fit(*given, **named):
        raise error

    monkeypatch.setattr(cells, "fit_stack", fit)


def test_a_training_that_diverges_is_recorded_and_not_tried_again(setup, store, counted):
    diverging = replace(setup, recipe=setup.recipe.changed(lr=1e30))
    reason = finish(WORK, diverging, store)
    assert reason == (
        "the loss or the weights of FCDD are not finite in epoch 1 of 1; lower the learning rate (--lr)"
    )
    assert counted == ["train_stack"]
    record = store.read(trained_place(CELL, diverging))
    assert set(record.files) == {"training.json"}
    assert record.json("training.json") == {
        "failed": reason,
        "again": False,
        "versions": record.json("training.json")["versions"],
    }
    assert failure(CELL, diverging, store) == reason
    assert missing(WORK, diverging, store) == Missing(failed=True)
    assert finish(WORK, diverging, store) == reason
    assert counted == ["train_stack"]
    with pytest.raises(work.NoNumbersError, match="are not finite"):
        load(CELL, diverging, store)
    assert failure(CELL, setup, store) is None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_a_training_without_enough_memory_is_recorded_and_tried_again(
    setup, store, counted, monkeypatch, error
):
    with monkeypatch.context() as patched:
        failing(patched, error)
        assert finish(WORK, setup, store) == "it ran out of memory"
    assert failure(CELL, setup, store) == "it ran out of memory"
    assert missing(WORK, setup, store) == Missing(True, True, WORK.explainers, WORK.explainers)
    assert finish(Work(CELL), setup, store) is None
    assert failure(CELL, setup, store) is None
    assert counted == ["train_stack", "train_stack", "score"]


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), ValueError("odd"), InputError("no"), KeyboardInterrupt()]
)
def test_other_errors_of_a_training_end_the_run(setup, store, monkeypatch, error):
    failing(monkeypatch, error)
    with pytest.raises(type(error)) as raised:
        finish(WORK, setup, store)
    assert raised.value is error
    assert store.read(trained_place(CELL, setup)) is None
    assert failure(CELL, setup, store) is None


def test_a_killed_training_is_recorded_and_tried_again(setup, store, counted):
    record_killed(CELL, setup, store, "its worker process was killed")
    assert failure(CELL, setup, store) == "its worker process was killed"
    assert missing(Work(CELL), setup, store) == Missing(True, True)
    assert finish(Work(CELL), setup, store) is None
    assert counted == ["train_stack", "score"]


def test_who_is_killed_while_measuring_keeps_the_detector(setup, store):
    finish(Work(CELL), setup, store)
    before = store.read(trained_place(CELL, setup))
    record_killed(CELL, setup, store, "its worker process was killed")
    record_killed(BEFORE, setup, store, "its worker process was killed")
    assert store.read(trained_place(CELL, setup)) == before
    assert failure(CELL, setup, store) is None
    assert failure(BEFORE, setup, store) is None
    assert store.read(trained_place(BEFORE, setup)) is None


def test_scores_that_are_not_finite_are_a_reason(setup, store, monkeypatch):
    kind, score = DETECTORS["fcdd"], DETECTORS["fcdd"].score
    monkeypatch.setattr(kind, "score", lambda self, x: score(self, x) / self.training)
    reason = "FCDD gives nominal test images scores that aren't finite"
    assert finish(WORK, setup, store) == reason
    assert store.read(trained_place(CELL, setup)) is not None
    assert store.read(scored_place(CELL, setup)) is None
    assert failure(CELL, setup, store) is None, "the training was fine"
    monkeypatch.undo()
    assert finish(WORK, setup, store) is None


def test_heat_that_is_not_finite_ends_the_run(setup, store, monkeypatch):
    monkeypatch.setattr(
        EXPLAINERS["gradient"], "explain", lambda self, d, x, g: torch.full((len(x), 1, 32, 32), torch.inf)
    )
    with pytest.raises(RunError, match="gradient gives heatmaps of FCDD that aren't finite") as error:
        finish(WORK, setup, store)
    assert not isinstance(error.value, work.NoNumbersError)
    assert store.read(explained_place(CELL, setup, "native", 16)) is not None
    assert store.read(explained_place(CELL, setup, "gradient", 16)) is None
