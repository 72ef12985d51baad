"""Calibration: audits whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fcdd_audit.calibrate import ANY_NULL, Calibration, calibrate, rates, trials
from fcdd_audit.cells import cell_key, train_cell
from fcdd_audit.config import make_config
from fcdd_audit.errors import InputError
from fcdd_audit.planning import prepare
from fcdd_audit.probes import PROBES

SMALL = {
    "detector": "fcdd,ae",
    "seeds": 3,
    "prevalence": "0.5,1",
    "epochs": 1,
    "batch_size": 256,
    "image_size": 32,
    "workers": 1,
}


def small(**changes):
    settings = {**SMALL, **changes}
    counts = {name: settings.pop(name) for name in ("audits", "nulls", "decoy") if name in settings}
    return Calibration(make_config(settings), **{"audits": 2, "nulls": 2, **counts})


@pytest.fixture(scope="module")
def setup():
    prepared = prepare(small().audit)
    return replace(prepared, explainers=(), decoy=PROBES["patch"]())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    calibration = small(out=tmp_path_factory.mktemp("out"))
    return calibration, calibrate(calibration)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audits": 1}, "audits is 1; at least 2 are needed"),
        ({"nulls": 0}, "nulls is 0; at least 2 are needed"),
        ({"decoy": "watermark"}, "the decoy is 'watermark', which is what is probed"),
        ({"decoy": "nothing"}, "unknown probe 'nothing'"),
        ({"prevalence": "0,1"}, "at prevalence 0 nothing is planted"),
        ({"seeds": 2}, "seeds is 2; fewer than 3 give no verdict"),
        (
            {"weights": "x", "detector": "ae", "seeds": 5, "prevalence": 1},
            "a calibration trains its detectors",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        small(**changes)


def test_several_classes_are_refused(class_folders, tmp_path):
    calibration = small(
        dataset="cifar10-oe", data_root=class_folders, oe="photos", nominal_class="airplane,cat", out=tmp_path
    )
    with pytest.raises(InputError, match="2 nominal classes can't be calibrated together"):
        calibrate(calibration)
    assert not list(tmp_path.iterdir())


def test_no_pair_of_twins_is_used_by_two_audits_of_a_kind(setup):
    planned = trials(small(audits=4, nulls=3), setup, "fcdd")
    kinds = {(trial.truth, trial.prevalence if trial.truth == "planted" else None) for trial in planned}
    assert len(kinds) == 2 + 3
    for truth, prevalence in kinds:
        mine = [trial for trial in planned if trial.truth == truth and prevalence in (None, trial.prevalence)]
        assert len(mine) == (4 if truth == "planted" else 3)
        pairs = [pair for trial in mine for pair in zip(trial.planted, trial.control, strict=True)]
        assert len(set(pairs)) == len(pairs) == 3 * len(mine)


def test_twins_share_their_seed_but_for_unrelated_ones(setup):
    for trial in trials(small(), setup, "fcdd"):
        seeds = [{cell.seed for cell in twins} for twins in (trial.planted, trial.control)]
        assert len(seeds[0]) == 3
        if trial.truth == "unrelated-seeds":
            assert not seeds[0] & seeds[1]
            assert {cell.twin for cell in trial.planted} == {"control"}
        else:
            assert seeds[0] == seeds[1]
            assert min(seeds[0]) >= 10_000, "no seed of an audit"


def test_a_detector_that_learns_from_one_side_gets_no_null_of_both(setup):
    planned = trials(small(), setup, "ae")
    assert {trial.truth for trial in planned} == {"planted", "other-artifact", "unrelated-seeds"}
    assert {trial.plant_on for trial in planned} == {"nominal"}


def test_nulls_take_the_prevalences_in_turn(setup):
    planned = trials(small(nulls=4), setup, "fcdd")
    assert [t.prevalence for t in planned if t.truth == "both-sides"] == [0.5, 1, 0.5, 1]
    assert [t.planted[0].plant_on for t in planned if t.truth == "both-sides"] == ["both"] * 4
    assert all(cell.decoy for t in planned if t.truth == "other-artifact" for cell in t.planted)


def test_what_is_planted_is_what_the_null_says(setup, monkeypatch):
    planted = {}

    def spy(detector, nominal, anomalous, *rest, **more):
        changed = [
            (part != setup.data.parts()[name].images).flatten(1).any(dim=1).double().mean().item()
            for name, part in (("train_nominal", nominal), ("train_anomalous", anomalous))
        ]
        planted[key] = changed
        raise StopIteration

    monkeypatch.setattr("fcdd_audit.cells.fit", spy)
    for trial in trials(small(), setup, "fcdd"):
        for twin, cells in (("planted", trial.planted), ("control", trial.control)):
            key = (trial.truth, trial.prevalence, twin)
            with pytest.raises(StopIteration):
                train_cell(cells[0], setup, "cpu")
    assert planted["planted", 0.5, "planted"] == [0, pytest.approx(0.5, abs=0.01)]
    assert planted["both-sides", 0.5, "planted"] == [pytest.approx(0.5, abs=0.01)] * 2
    assert planted["other-artifact", 1.0, "planted"] == [0, 1]
    assert planted["unrelated-seeds", 0.0, "planted"] == [0, 0]
    assert all(share == [0, 0] for (_, _, twin), share in planted.items() if twin == "control")


def test_a_decoy_that_is_not_there_cannot_be_planted(setup):
    trial = next(t for t in trials(small(), setup, "fcdd") if t.truth == "other-artifact")
    with pytest.raises(ValueError, match="plants a decoy and there is none"):
        train_cell(trial.planted[0], replace(setup, decoy=None), "cpu")


def test_cells_differ_by_the_decoy(setup):
    cell = next(t for t in trials(small(), setup, "fcdd") if t.truth == "other-artifact").planted[0]
    other = replace(setup, decoy=PROBES["frame"]())
    assert cell_key(cell, setup) != cell_key(cell, other)
    assert cell_key(replace(cell, decoy=False), setup) == cell_key(replace(cell, decoy=False), other)


def test_rates_by_hand():
    def rows(truth, prevalence, verdicts):
        return [
            {"detector": "fcdd", "truth": truth, "prevalence": prevalence, "verdict": verdict}
            for verdict in verdicts
        ]

    relies, unclear = "relies", "inconclusive"
    outcomes = pd.DataFrame(
        rows("planted", 1.0, [relies, relies, unclear])
        + rows("planted", 0.1, [unclear] * 3)
        + rows("both-sides", 1.0, [unclear, relies])
        + rows("unrelated-seeds", 0.0, ["does-not-rely"] * 2)
    )
    found = {(rate.truth, rate.prevalence): rate for rate in rates(outcomes)}
    assert list(found) == [
        ("planted", 0.1),
        ("planted", 1.0),
        ("both-sides", None),
        ("unrelated-seeds", None),
        (ANY_NULL, None),
    ]
    assert found["planted", 1.0].verdicts == {relies: 2, unclear: 1}
    assert found["planted", 1.0].says_relies.value == 2 / 3
    everything = found[ANY_NULL, None]
    assert (everything.audits, everything.says_relies.value) == (4, 1 / 4)
    exact = stats.binomtest(1, 4).proportion_ci(0.95, method="exact")
    assert (everything.says_relies.low, everything.says_relies.high) == (exact.low, exact.high)


def test_a_calibration_leaves_its_rates_outcomes_and_figure(finished):
    calibration, result = finished
    found = json.loads((result.folder / "calibration.json").read_text())
    assert found == json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert (found["schema"], found["seeds"], found["audits"], found["nulls"]) == (1, 3, 2, 2)
    assert found["probe"].startswith("Watermark(")
    assert found["decoy"].startswith("Patch(")
    assert found["recipe"]["epochs"] == 1
    outcomes = pd.read_csv(result.folder / "calibration.csv")
    assert len(outcomes) == (2 * 2 + 3 * 2) + (2 * 2 + 2 * 2)
    assert set(outcomes["verdict"]) <= {"relies", "does-not-rely", "inconclusive"}
    assert np.isfinite(outcomes["reliance_value"]).all()
    assert (result.folder / "calibration.svg").read_text().startswith("<svg")
    assert result.folder.name == "calibration-textures-watermark"
    assert calibration.folder == result.folder


def test_a_finished_calibration_trains_nothing_again(finished, monkeypatch):
    calibration, result = finished
    before = {name: (result.folder / name).read_bytes() for name in ("calibration.json", "calibration.csv")}
    monkeypatch.setattr("fcdd_audit.engines.run_cell", lambda *_: pytest.fail("a cell ran again"))
    again = calibrate(calibration)
    assert again.as_json() == result.as_json()
    assert before == {name: (result.folder / name).read_bytes() for name in before}
