"""What remedies make is written where nothing else is."""

from types import SimpleNamespace

import pytest
import torch

from fcdd_audit.designs.twins.exporting import export
from fcdd_audit.designs.twins.remedied import Trial
from fcdd_audit.edits.base import TrainingSet
from fcdd_audit.edits.drop import Drop
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.experiment.store import Store
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.remedies import Penalty

PART = ImageSet(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), ("a", "b"))
CELLS = (Cell("fcdd", 0, AS_IS), Cell("fcdd", 1, AS_IS))


def asked(probe):
    return Question("folder", "nominal", "fcdd", probe, "anomalous", 0.5, CELLS, CELLS)


def setup_of(probe):
    data = SimpleNamespace(nominal_class="nominal")
    return SimpleNamespace(
        probe=probe, data=data, trained_on=lambda edit, seed, sides: TrainingSet(PART, PART).only(sides)
    )


def test_each_artifact_of_an_audit_has_a_folder_of_its_own(tmp_path):
    drop = Trial("drop", "what it does", None, Drop(), None, CELLS)
    for probe in ("watermark", "disc"):
        export(tmp_path / "out", setup_of(probe), [asked(probe)], [[drop]], Store(tmp_path))
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {f"nominal-fcdd-{probe}-anomalous-0.5-drop" for probe in ("watermark", "disc")}


def test_a_side_that_the_detector_does_not_learn_from_is_not_written(tmp_path):
    cells = tuple(Cell("ae", seed, AS_IS) for seed in (0, 1))
    drop = Trial("drop", "what it does", None, Drop(), None, cells)
    export(tmp_path / "out", setup_of("disc"), [asked("disc")], [[drop]], Store(tmp_path))
    (folder,) = (tmp_path / "out").iterdir()
    assert [path.name for path in (folder / "train").iterdir()] == ["nominal"]


@pytest.mark.parametrize("tried", [[], [Trial("drop", "what it does", "every image bears it")]])
def test_where_nothing_is_written_a_warning_says_so(tmp_path, caplog, tried):
    export(tmp_path / "out", setup_of("disc"), [asked("disc")], [tried], Store(tmp_path))
    assert "--export writes nothing for nominal, disc: no remedy was trained there" in caplog.text
    assert not (tmp_path / "out").exists()


def test_where_the_first_training_failed_a_warning_says_so(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("fcdd_audit.designs.twins.exporting.trained_place", lambda *_: ("trained/none", {}))
    trial = Trial("outside", "", None, AS_IS, Penalty("outside", "disc"), CELLS)
    store = Store(tmp_path)
    with store.opened():
        export(tmp_path / "out", setup_of("disc"), [asked("disc")], [[trial]], store)
    assert "--export writes no weights to" in caplog.text
    assert "the training of the first pair failed" in caplog.text
