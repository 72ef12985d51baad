"""Work that engines are given, and a store for it."""

import multiprocessing

import pytest

from fcdd_audit import Recipe
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.plan import planned_work
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import LOCKS, Store
from fcdd_audit.experiment.work import Work

TIMED = ("training.json", "measuring.json", "SHA256SUMS")  # of them seconds are a part


@pytest.fixture(scope="session")
def planned():
    """Makes what all cells of an audit share, and what is to be done."""

    def make(config):
        setup = prepare(config)
        return setup, list(planned_work(plan(config, setup), setup).values())

    return make


@pytest.fixture(scope="module")
def long(exposed_config):
    """Four detectors of which each is trained for a while."""
    setup = prepare(exposed_config.having(recipe=Recipe.of(steps=200, batch_size=16)))
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


@pytest.fixture(scope="session")
def kept():
    """Lists the files of a store's records but those that hold seconds, with what is in them."""

    def listed(path):
        return {
            file.relative_to(path).as_posix(): file.read_bytes()
            for file in path.rglob("*")
            if file.is_file() and file.name not in TIMED and file.parent.name != LOCKS
        }

    return listed
