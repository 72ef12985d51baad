"""What every engine is."""

import pytest

from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.engines import ENGINES, EngineKind, Resources
from fcdd_audit.experiment.finishing import engaged
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Work


def test_every_engine_can_be_started(tmp_path):
    for name, kind in ENGINES.items():
        if name == "ray":
            pytest.importorskip("ray", reason="Ray isn't installed")
        with kind.start(Store(tmp_path), Resources()) as engine:
            assert callable(engine.finish)


def test_one_of_ones_own_is_asked_for_by_its_name(store, exposed_config):
    """It does nothing but say what it may use."""

    class Mine:
        def __init__(self, store, resources):
            self.store, self.resources = store, resources

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def finish(self, stacks, setup, on_steps, on_cells):
            return {work.cell: self.resources.address for stack in stacks for work in stack}

    with ENGINES.lent("mine", EngineKind("Mine.", Mine, addressed=True), "mine"):
        config = exposed_config.having(engine="mine", address="over there", workers=2)
        with engaged(config.run, store) as finisher:
            work = Work(Cell("fcdd", 0, AS_IS))
            found = finisher.finish_all([work], prepare(config))
    assert finisher.engine.resources == Resources(2, "over there")
    assert found.failures == {work.cell: "over there"}
