"""Models of the user's own training code: made once, never written down, made again where they are needed."""

import pytest
from sklearn.svm import OneClassSVM

from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import scored_place, trained_place
from fcdd_audit.experiment.own import own_model
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import failure, load
from fcdd_audit.experiment.work import Work, missing
from fcdd_audit.models.own import own_kind, own_training
from tests.experiment.one import finish


@pytest.fixture
def prepared(exposed_config):
    def make(name):
        return prepare(exposed_config.having(detectors=(name,), explainers=("gradient", "random")))

    return make


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


def mean(x):
    return x.mean(dim=(1, 2, 3))


def odd_ones_differ(nominal, anomalous, seed):
    """A function with gradients, or an estimator without."""
    return OneClassSVM().fit(nominal.flatten(1).numpy()) if seed % 2 else mean


def test_a_model_is_made_once_and_only_what_it_is_like_is_written_down(prepared, store):
    seeds = []

    def train(nominal, anomalous, seed):
        seeds.append(seed)
        return mean

    cell = Cell("train", 0, AS_IS)
    with own_training(train) as name:
        setup = prepared(name)
        assert finish(Work(cell, ("gradient", "random")), setup, store) is None
        assert load(cell, setup, store) is own_model(own_kind(name), cell, setup)
        record = store.read(trained_place(cell, setup))
    assert set(record.files) == {"training.json"}
    assert record.json("training.json")["model"]["explained_by"] == ["gradient"]
    assert seeds == [0]


def test_a_model_unlike_the_first_costs_its_pair_only(prepared, store):
    with own_training(odd_ones_differ, "mine") as name:
        setup = prepared(name)
        works = [Work(Cell(name, seed, AS_IS), ("gradient",)) for seed in (0, 1)]
        assert finish(works[0], setup, store) is None
        said = finish(works[1], setup, store)
    assert said.startswith("gradient can't explain it: a scikit-learn estimator gives no gradients")


def test_code_that_failed_is_tried_again_another_time_and_not_at_once(prepared, store):
    calls = []

    def train(nominal, anomalous, seed):
        calls.append(seed)
        if len(calls) == 1:
            raise ConnectionError("no licence server")
        return mean

    cell = Cell("train", 0, AS_IS)
    for times, said in ((1, "no licence server"), (2, None)):
        with own_training(train) as name:
            setup = prepared(name)
            for _ in range(2):
                found = finish(Work(cell), setup, store)
                assert found is None if said is None else found.endswith(said)
            assert len(calls) == times
    assert failure(cell, setup, store) is None


def test_code_that_fails_when_a_model_is_made_again_leaves_the_cell_without_numbers(prepared, store):
    working = [True]

    def train(nominal, anomalous, seed):
        if not working.pop():
            raise ValueError("once only")
        working.append(False)
        return mean

    cell = Cell("train", 0, AS_IS)
    with own_training(train) as name:
        setup = prepared(name)
        finish(Work(cell), setup, store)
        own_kind(name).outcomes.clear()  # as in another process
        assert finish(Work(cell, ("gradient",)), setup, store).endswith("ValueError: once only")
        assert missing(Work(cell), setup, store).scored is False
        assert store.read(scored_place(cell, setup)) is not None
