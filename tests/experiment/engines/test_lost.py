"""What a killed process costs."""

from fcdd_audit import Recipe
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.engines.lost import lost
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.experiment.trainings import failure
from fcdd_audit.experiment.work import Missing, Work, missing
from tests.experiment.one import finish


def test_only_cells_that_are_not_whole_are_without_numbers(exposed_config, planned, store):
    setup, _ = planned(exposed_config)
    works = [Work(Cell("fcdd", seed, AS_IS), ("native",)) for seed in range(3)]
    finish(works[0], setup, store)
    finish(Work(works[1].cell), setup, store)
    assert lost(tuple(works), setup, store, "gone") == {works[1].cell: "gone", works[2].cell: "gone"}
    assert missing(works[0], setup, store) == Missing()
    assert missing(works[1], setup, store) == Missing(explained=("native",)), "it stays trained"
    assert failure(works[2].cell, setup, store) == "gone"
    assert missing(works[2], setup, store).trained, "and is tried again"


def test_what_failed_before_keeps_its_own_reason(exposed_config, planned, store):
    setup, _ = planned(exposed_config.having(recipe=Recipe.of(epochs=1, batch_size=8, lr=1e30)))
    work = Work(Cell("fcdd", 0, AS_IS))
    reason = finish(work, setup, store)
    assert lost((work,), setup, store, "gone") == {work.cell: reason}
