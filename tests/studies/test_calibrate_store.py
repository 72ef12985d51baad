"""Calibrations use a store as audits do: what is there is used again, and what failed is left out."""

import json
import shutil

import pytest

from fcdd_audit import RunError, run_audit
from fcdd_audit.detectors.training.loop import DivergedError
from fcdd_audit.experiment.cells import train_stack
from fcdd_audit.report.calibration import draw_rates
from fcdd_audit.studies.calibrate import Calibration, calibrate
from fcdd_audit.studies.pool import read_pool

TRAIN = "fcdd_audit.experiment.trainings.train_stack"
FIRST = 10_000  # seed


def planned(config, decoys=("bars",), **settings):
    audit = config.having(probe="patch", seeds=3, steps=2, **settings)
    return Calibration(audit, pairs=6, null_pairs=3, decoys=decoys, draws=5)


@pytest.fixture(scope="module")
def whole(patches_config, tmp_path_factory):
    """6 pairs with the artifact planted; 3 of each null with controls of its own: planted on both sides, and
    another artifact, both at two prevalences. 18 controls, which are paired up to 9 pairs."""
    return calibrate(planned(patches_config, out=tmp_path_factory.mktemp("whole"))).folder


@pytest.fixture
def again(whole, patches_config, in_store, tmp_path):
    """Calibrates with a copy of its store; counts the detectors that were trained."""
    store = shutil.copytree(whole / "store", tmp_path / "shared")

    def calibrated(**settings):
        before = in_store(store)
        result = calibrate(planned(patches_config, store=store, out=tmp_path, **settings))
        added = in_store(store).keys() - before.keys()
        return result, sum(name.startswith("trained/") for name in added)

    calibrated.store = store
    return calibrated


def files(folder):
    return {name: (folder / name).read_bytes() for name in ("calibration.json", "calibration.csv")}


def pairs(folder):
    """How many of each kind are in the table."""
    table = read_pool(folder / "calibration.csv")
    return table[table["measure"] == "drop"].groupby("truth").size().to_dict()


def forget(store, seed, edit):
    """Remove a trained detector, and what was measured of it, from a store."""
    (key,) = (
        path.parent.name
        for path in store.glob("trained/*/identity.json")
        for one in [json.loads(path.read_text())]
        if (one["seed"], one["edit"]["edit"]) == (seed, edit)
    )
    shutil.rmtree(store / "trained" / key)
    for path in store.glob("measured/*/identity.json"):
        if json.loads(path.read_text())["of"] == key:
            shutil.rmtree(path.parent)


def test_nothing_is_explained_and_each_detector_is_kept_once(whole, in_store):
    kept = in_store(whole / "store")
    assert sum(name.startswith("trained/") for name in kept) == 2 * (6 + 4 * 3)
    assert sum(name.startswith("measured/") for name in kept) == 2 * (6 + 4 * 3)
    assert pairs(whole) == {"planted": 6, "both-sides": 6, "other-artifact": 6, "unrelated-seeds": 9}


def test_with_a_shared_store_it_gives_the_same_and_trains_nothing(again, whole):
    result, trained = again()
    assert trained == 0
    assert files(result.folder) == files(whole)
    assert not (result.folder / "store").exists()


def test_another_decoy_trains_the_twins_that_have_it(again):
    _, trained = again(decoys=("bars", "watermark"))
    assert trained == 2 * (3 + 3)


def test_a_run_and_a_calibration_share_a_store(
    again, whole, patches_config, without_page, in_store, work_of, tmp_path
):
    """Their seeds differ, and so do all their detectors."""
    before = in_store(again.store)
    config = patches_config.having(
        probe="patch", steps=2, store=again.store, out=tmp_path, calibration=whole / "calibration.json"
    )
    assert work_of(run_audit(config).folder)["trained"] == 2
    assert again()[1] == 0
    assert before.items() < in_store(again.store).items()


def test_what_fails_leaves_out_the_pairs_that_need_it(again, whole, monkeypatch):
    """By hand: one with the artifact planted, and one of two controls."""
    forget(again.store, FIRST, "as-is")

    def fail(stack, *_):
        (cell,) = stack
        assert cell.seed == FIRST, "no other is missing"
        raise MemoryError

    monkeypatch.setattr(TRAIN, fail)
    result, _ = again()
    found = json.loads((result.folder / "calibration.json").read_text())
    assert found["incomplete"] == 1
    assert pairs(result.folder) == {**pairs(whole), "planted": 5, "unrelated-seeds": 8}
    assert {rate["truth"]: rate["audits"] for rate in found["rates"] if rate["truth"] != "any-null"} == {
        "planted": 1,
        "both-sides": 1,
        "other-artifact": 1,
        "unrelated-seeds": 2,
    }
    assert draw_rates(result.folder).read_text().startswith("<svg")
    monkeypatch.setattr(TRAIN, train_stack)
    complete, trained = again()
    assert trained == 0, "in place of the record of what failed"
    assert files(complete.folder) == files(whole), "what ran out of memory is trained the next time"


def test_if_no_pair_is_complete_it_fails(patches_config, monkeypatch, tmp_path):
    def fail(*_):
        return [(None, DivergedError("fcdd diverged in epoch 1"))]

    monkeypatch.setattr(TRAIN, fail)
    with pytest.raises(RunError, match="no pair is complete: fcdd diverged in epoch 1"):
        calibrate(planned(patches_config, out=tmp_path))
    assert not list(tmp_path.rglob("calibration.*"))


def test_a_store_that_cannot_be_written_is_said_before_anything_is_trained(patches_config, refused, tmp_path):
    (tmp_path / "file").write_text("no folder")
    calibration = planned(patches_config, store=tmp_path / "file", out=tmp_path / "out")
    with refused("can't write to", "--store"):
        calibrate(calibration)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
