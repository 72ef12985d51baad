"""What of a plan is in the store, and why something similar isn't used."""

import shutil
from collections import Counter
from dataclasses import replace

import pytest

from fcdd_audit import InputError
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.identity import scored_place, trained_place
from fcdd_audit.experiment.reuse import check_trained, reuse
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import Missing, Work
from tests.experiment.one import finish

CONTROLS = [Work(Cell("fcdd", seed, AS_IS), ("native",)) for seed in (0, 1)]
PLANTED = Work(Cell("fcdd", 0, Plant("frame", ("anomalous",), 1.0)), ("native",))
BEFORE = Work(Cell("fcdd", 0, AS_IS, trained=False), ("native",))
WORKS = [*CONTROLS, PLANTED, BEFORE]


@pytest.fixture(scope="module")
def setup(exposed_config):
    return prepare(exposed_config)


@pytest.fixture(scope="module")
def made(setup, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("made"))
    with store.opened():
        for one in WORKS:
            finish(one, setup, store)
    return store


@pytest.fixture
def store(made, tmp_path):
    return Store(shutil.copytree(made.path, tmp_path / "store"))


def files(store):
    return {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}


def test_what_is_there_is_used_and_nothing_is_written(setup, store):
    before = files(store)
    found = reuse(WORKS, setup, store)
    assert found.missing == dict.fromkeys(WORKS, Missing())
    assert found.why == Counter()
    check_trained(WORKS, setup, store)
    assert files(store) == before


def test_an_empty_store_or_none_gives_no_reasons(setup, tmp_path):
    found = reuse(WORKS, setup, Store(tmp_path / "none"))
    assert found.missing[PLANTED] == Missing(True, True, ("native",))
    assert found.missing[BEFORE] == Missing(False, False, ("native",))
    assert found.why == Counter()
    assert not list(tmp_path.iterdir())


def test_other_settings_are_named_and_counted(setup, store):
    found = reuse(WORKS, replace(setup, recipe=setup.recipe.changed(epochs=2, flip=0.25)), store)
    assert all(one.trained for work, one in found.missing.items() if work != BEFORE)
    assert found.missing[BEFORE] == Missing(), "it isn't trained, so the recipe doesn't count"
    flip = setup.recipe.flat()["flip"]
    assert found.why == Counter({f"training: recipe.epochs 2, was 1, recipe.flip 0.25, was {flip:g}": 3})


def test_the_most_similar_record_is_compared(setup, store):
    """Of another seed there is none, of another prevalence there is one."""
    other = Work(replace(PLANTED.cell, edit=Plant("frame", ("anomalous",), 0.5)))
    seed = Work(replace(PLANTED.cell, seed=1, edit=Plant("frame", ("anomalous",), 0.5)))
    assert reuse([other], setup, store).why == Counter(["training: edit.prevalence 0.5, was 1"])
    assert reuse([seed], setup, store).why == Counter()
    wanted = [*WORKS, other]
    assert reuse(wanted, setup, store).why == Counter(), "what the plan uses itself is no reason"


def test_other_images_are_said_to_have_changed(setup, store):
    contents = {**setup.contents, "train nominal": "0" * 64}
    other = replace(setup)
    other.__dict__["contents"] = contents
    assert reuse(CONTROLS, other, store).why == Counter({"training: images.nominal changed": 2})


def test_of_what_is_trained_it_is_said_why_it_is_measured_again(setup, store):
    contents = {**setup.contents, "test anomalous": "0" * 64}
    other = replace(setup)
    other.__dict__["contents"] = contents
    found = reuse(WORKS, other, store)
    assert [one.trained for one in found.missing.values()] == [False] * 4
    assert [one.scored for one in found.missing.values()] == [True, True, True, False]
    assert found.why == Counter({"measuring: images.test anomalous changed": 3})


def test_what_was_removed_has_no_reason(setup, store):
    shutil.rmtree(store.path / trained_place(CONTROLS[0].cell, setup)[0])
    shutil.rmtree(store.path / scored_place(CONTROLS[1].cell, setup)[0])
    found = reuse(CONTROLS, setup, store)
    assert [(one.trained, one.scored) for one in found.missing.values()] == [(True, False), (False, True)]
    assert found.why == Counter()


def test_explaining_without_the_detectors_is_refused(setup, store):
    changed = replace(setup, recipe=setup.recipe.changed(epochs=2))
    with pytest.raises(InputError) as error:
        check_trained(WORKS, changed, store)
    assert str(error.value) == (
        f"3 of the run's detectors aren't in the store '{store.path}' (training: recipe.epochs 2, was 1), "
        "and aren't trained again for this; run the audit again with the same settings, and what you want of "
        "it"
    )
    shutil.rmtree(store.path / "trained")
    with pytest.raises(InputError, match=r"^3 of the run's detectors aren't in the store '[^']*', and "):
        check_trained(WORKS, setup, store)


def test_explanations_that_are_missing_are_no_reason_to_refuse(setup, store):
    shutil.rmtree(store.path / "measured")
    check_trained(WORKS, setup, store)
    check_trained([replace(one, explainers=("native", "random")) for one in WORKS], setup, store)


def test_a_damaged_record_is_missing_and_stays_for_the_run_to_make_again(setup, store, caplog):
    folder = store.path / trained_place(CONTROLS[0].cell, setup)[0]
    (folder / "detector.safetensors").write_bytes(b"")
    found = reuse(CONTROLS, setup, store)
    assert [one.trained for one in found.missing.values()] == [True, False]
    assert found.why == Counter()
    assert "detector.safetensors: its checksum is wrong" in caplog.text
    assert folder.is_dir()
