"""What is missing is counted and done, whatever the engine."""

import pytest

from fcdd_audit import Recipe
from fcdd_audit.config.parts import RunSettings
from fcdd_audit.designs.twins.plan import plan
from fcdd_audit.experiment import finishing
from fcdd_audit.experiment.finishing import Finisher, engaged
from fcdd_audit.experiment.plan import planned_work
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Missing, Work, finish_stack, missing
from tests.experiment.one import finish

DIVERGING = Recipe.of(epochs=1, batch_size=8, lr=1e30)


def planned(config):
    """What all cells share, and what is to be done."""
    setup = prepare(config)
    return setup, list(planned_work(plan(config, setup), setup).values())


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    with store.opened():
        yield store


class Recording:
    """An engine of one's own, that keeps what it was given."""

    def __init__(self, store):
        self.store, self.given = store, []

    def finish(self, stacks, setup, on_steps, on_cells):
        failures = {}
        for stack in stacks:
            self.given.append(stack)
            failures |= finish_stack(stack, setup, self.store, on_steps)
            on_cells(len(stack))
        return failures


def test_only_what_is_missing_is_done_and_counted(exposed_config, store):
    setup, works = planned(exposed_config)
    finish(works[0], setup, store)
    finish(Work(works[1].cell), setup, store)
    engine = Recording(store)
    finisher = Finisher(engine, store)
    found = finisher.finish_all(works, setup)
    assert engine.given == [(work,) for work in works[1:]]
    assert (found.trained, len(found.measured), found.failures) == (0, 2, {})
    found = finisher.finish_all(works, setup)
    assert len(engine.given) == 2
    assert (found.trained, len(found.measured), found.failures) == (0, 0, {})


def test_stacks_are_whole_whatever_of_them_is_there_already(exposed_config, store, monkeypatch):
    """So that a run that goes on trains the same stacks as one that wasn't interrupted."""
    setup, works = planned(exposed_config.having(seeds=2))
    monkeypatch.setattr(
        finishing, "stacks", lambda works, setup: [tuple(works[:2]), tuple(works[2:])][: len(works)]
    )
    finish(works[0], setup, store)
    for work in works[2:]:
        finish(work, setup, store)
    engine = Recording(store)
    found = Finisher(engine, store).finish_all(works, setup)
    assert engine.given == [tuple(works[:2])]
    assert found.trained == 1


def test_a_training_that_fails_is_told_now_and_by_the_next_run(exposed_config, store):
    setup, works = planned(exposed_config.having(recipe=DIVERGING))
    told = []
    with engaged(RunSettings(workers=1), store) as finisher:
        failures = finisher.finish_works(works, setup, on_cells=told.append)
        assert (len(failures), sum(told)) == (2, 3)
        for work in works:
            if work.cell.trained:
                assert "lower the learning rate (--lr)" in failures[work.cell]
                assert missing(work, setup, store) == Missing(failed=True)
        found = finisher.finish_all(works, setup)
    assert (found.trained, len(found.measured), found.failures) == (0, 0, failures)


def test_the_engine_is_the_one_that_is_asked_for(store):
    with engaged(RunSettings(workers=3), store, quiet=False) as finisher:
        assert (type(finisher.engine).__name__, finisher.engine.workers) == ("Local", 3)
        assert not finisher.quiet
