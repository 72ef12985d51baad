"""Calibration: audits whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fcdd_audit.experiment.planning import prepare
from scipy import stats

from fcdd_audit.config.layers import make_config
from fcdd_audit.core.errors import InputError
from fcdd_audit.experiment.cells import Cell, cell_key, train_cell
from fcdd_audit.probes import PROBES
from fcdd_audit.studies.calibrate import (
    ANY_NULL,
    NULL_PREVALENCE,
    Calibration,
    CalibrationResult,
    Outcome,
    Trial,
    calibrate,
    rates,
    trials,
)
from fcdd_audit.verdict.findings import Finding
from fcdd_audit.verdict.judge import Thresholds

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
    counts = {name: settings.pop(name) for name in ("audits", "nulls", "decoys") if name in settings}
    return Calibration(make_config(settings), **{"audits": 2, "nulls": 2, "decoys": ("patch",), **counts})


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
        ({"decoys": ("bars", "watermark")}, "the decoy is 'watermark', which is what is probed"),
        ({"decoys": ("nothing",)}, "unknown probe 'nothing'"),
        ({"decoys": ()}, "decoys must be named, each once; name them with --decoy"),
        ({"decoys": ("bars", "patch", "bars")}, "decoys must be named, each once"),
        (
            {"probe": "region", "prevalence": 1, "options": {"region": {"width": 0.5, "height": 0.5}}},
            "'region' is found on images and can't be planted, so it can't be calibrated; use an artifact",
        ),
        (
            {"probe": "mask", "prevalence": 1, "options": {"mask": {"masks": "m"}}},
            "'mask' is found on images and can't be pla",
        ),
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


@pytest.mark.parametrize(("audits", "nulls"), [(4, 3), (2, 3)])
def test_no_pair_of_twins_is_used_by_two_audits_of_a_kind(setup, audits, nulls):
    planned = trials(small(audits=audits, nulls=nulls, decoys=("bars", "patch")), setup, "fcdd")
    kinds = {
        (trial.truth, trial.decoy, trial.prevalence if trial.truth == "planted" else None)
        for trial in planned
    }
    assert len(kinds) == 2 + 1 + 1 + 2
    assert {decoy for truth, decoy, _ in kinds if truth == "other-artifact"} == {"bars", "patch"}
    counts = {"planted": audits, "unrelated-seeds": max(audits, nulls)}
    for truth, decoy, prevalence in kinds:
        mine = [
            trial
            for trial in planned
            if (trial.truth, trial.decoy) == (truth, decoy) and prevalence in (None, trial.prevalence)
        ]
        assert len(mine) == counts.get(truth, nulls), truth
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


def test_unrelated_seeds_take_each_control_once_as_either_twin(setup):
    planned = [t for t in trials(small(audits=5, nulls=2), setup, "fcdd") if t.truth == "unrelated-seeds"]
    assert len(planned) == 5
    firsts = [trial.control[0].seed for trial in planned]
    assert firsts == [10_000 + 3 * index for index in range(5)]
    assert sorted(trial.planted[0].seed for trial in planned) == firsts
    assert {trial.prevalence for trial in planned} == {0}


@pytest.mark.parametrize("prevalence", ["0.5,1", "0.05"])
def test_nulls_have_their_own_prevalences_in_turn_whatever_the_audits_have(setup, prevalence):
    planned = trials(small(nulls=3, prevalence=prevalence, decoys=("bars", "patch")), setup, "fcdd")
    in_turn = [*NULL_PREVALENCE, NULL_PREVALENCE[0]]
    for truth, decoy in (("both-sides", ""), ("other-artifact", "bars"), ("other-artifact", "patch")):
        mine = [t for t in planned if (t.truth, t.decoy) == (truth, decoy)]
        assert [t.prevalence for t in mine] == in_turn
        assert [cell.prevalence for t in mine for cell in t.planted] == [p for p in in_turn for _ in range(3)]
    assert [t.planted[0].plant_on for t in planned if t.truth == "both-sides"] == ["both"] * 3
    assert all(cell.decoy for t in planned if t.truth == "other-artifact" for cell in t.planted)
    assert not any(cell.decoy for t in planned if t.truth != "other-artifact" for cell in t.planted)


@pytest.mark.parametrize(("plant_on", "detector"), [("oe", "ae"), ("all-but-oe", "ae"), ("anomalous", "ae")])
def test_a_side_that_the_detector_does_not_learn_from_is_refused_or_taken(setup, plant_on, detector):
    calibration = small(plant_on=plant_on)
    if plant_on == "all-but-oe":
        assert {t.plant_on for t in trials(calibration, setup, detector)} == {"all-but-oe"}
        return
    with pytest.raises(InputError, match="ae never sees anomalous images in training, so nothing planted"):
        trials(calibration, setup, detector)


def test_what_is_planted_is_what_the_null_says(setup, monkeypatch):
    planted = {}

    def spy(detector, nominal, anomalous, *rest, **more):
        changed = [
            (part != setup.data.parts()[name].images).flatten(1).any(dim=1).double().mean().item()
            for name, part in (("train_nominal", nominal), ("train_anomalous", anomalous))
        ]
        planted[key] = changed
        raise StopIteration

    monkeypatch.setattr("fcdd_audit.experiment.cells.fit", spy)
    for trial in trials(small(), setup, "fcdd"):
        for twin, cells in (("planted", trial.planted), ("control", trial.control)):
            key = (trial.truth, trial.prevalence, twin)
            with pytest.raises(StopIteration):
                train_cell(cells[0], setup, "cpu")
    assert planted["planted", 0.5, "planted"] == [0, pytest.approx(0.5, abs=0.01)]
    assert planted["both-sides", 0.2, "planted"] == [pytest.approx(0.2, abs=0.01)] * 2
    assert planted["both-sides", 1.0, "planted"] == [1, 1]
    assert planted["other-artifact", 0.2, "planted"] == [0, pytest.approx(0.2, abs=0.01)]
    assert planted["other-artifact", 1.0, "planted"] == [0, 1]
    assert planted["unrelated-seeds", 0.0, "planted"] == [0, 0]
    assert all(share == [0, 0] for (_, _, twin), share in planted.items() if twin == "control")


def test_a_decoy_that_is_not_there_cannot_be_planted(setup):
    trial = next(t for t in trials(small(), setup, "fcdd") if t.truth == "other-artifact")
    with pytest.raises(ValueError, match="plants an artifact and there is none"):
        train_cell(trial.planted[0], replace(setup, decoy=None), "cpu")


def test_cells_differ_by_the_decoy(setup):
    cell = next(t for t in trials(small(), setup, "fcdd") if t.truth == "other-artifact").planted[0]
    other = replace(setup, decoy=PROBES["frame"]())
    assert cell_key(cell, setup) != cell_key(cell, other)
    assert cell_key(replace(cell, decoy=False), setup) == cell_key(replace(cell, decoy=False), other)


RELIES, UNCLEAR, CLEAR = "relies", "inconclusive", "does-not-rely"


def outcome(truth, prevalence, verdict, reliance, drop=None, decoy="", detector="fcdd"):
    """An audit that gave this verdict, with these numbers of its seeds."""
    cell = Cell("textures", "grass", detector, "watermark", "control", 0)
    trial = Trial(detector, truth, "anomalous", prevalence, (cell,), (cell,), decoy)
    finding = Finding(
        *("textures", "grass", detector, "watermark", "anomalous", prevalence, verdict),
        *(None, None, None, None, 3, 180, ()),
    )
    drop = reliance if drop is None else drop
    return Outcome(trial, finding, np.array(reliance, float), np.array(drop, float))


SURE, NONE, WIDE = [0.4, 0.5, 0.6], [-0.01, 0.0, 0.01], [-0.5, 0.0, 0.9]


def test_rates_by_hand():
    outcomes = [
        *(outcome("planted", 1.0, verdict, SURE) for verdict in (RELIES, RELIES, UNCLEAR)),
        *(outcome("planted", 0.1, UNCLEAR, WIDE) for _ in range(3)),
        *(outcome("both-sides", share, verdict, NONE) for share, verdict in ((0.2, UNCLEAR), (1, RELIES))),
        outcome("unrelated-seeds", 0.0, CLEAR, NONE),
        outcome("unrelated-seeds", 0.0, CLEAR, WIDE),
    ]
    found = {(rate.truth, rate.prevalence): rate for rate in rates(outcomes, Thresholds())}
    assert list(found) == [
        ("planted", 0.1),
        ("planted", 1.0),
        ("both-sides", 0.2),
        ("both-sides", 1),
        ("unrelated-seeds", None),
        (ANY_NULL, None),
    ]
    assert found["planted", 1.0].verdicts == {RELIES: 2, UNCLEAR: 1}
    assert found["planted", 1.0].says_relies.value == 2 / 3
    assert {key[0]: rate.relied_on for key, rate in found.items() if key != ("planted", 0.1)} == {
        "planted": "yes",
        "both-sides": "no",
        "unrelated-seeds": "unclear",
        ANY_NULL: "unclear",
    }
    assert found["planted", 0.1].relied_on == "unclear"
    pooled = np.array([*WIDE, *WIDE, *WIDE])
    scipys = stats.ttest_1samp(pooled, 0).confidence_interval(0.95)
    for interval in (found["planted", 0.1].reliance, found["planted", 0.1].drop):
        assert interval.value == pytest.approx(pooled.mean())
        assert (interval.low, interval.high) == pytest.approx((scipys.low, scipys.high))
    for key in ("unrelated-seeds", ANY_NULL):  # 0 by construction, and a mixture
        assert np.isnan(found[key, None].reliance.value)
    everything = found[ANY_NULL, None]
    assert (everything.audits, everything.says_relies.value) == (4, 1 / 4)
    exact = stats.binomtest(1, 4).proportion_ci(0.95, method="exact")
    assert (everything.says_relies.low, everything.says_relies.high) == (exact.low, exact.high)


@pytest.mark.parametrize(
    ("reliance", "drop", "relied_on"),
    [
        (SURE, SURE, "yes"),
        (SURE, NONE, "no"),  # the stamp helps the control
        (NONE, SURE, "no"),  # the control drops as much
        (SURE, WIDE, "unclear"),
        (WIDE, SURE, "unclear"),
        (WIDE, WIDE, "unclear"),
        (WIDE, NONE, "no"),
    ],
)
def test_a_null_whose_artifact_is_relied_on_is_none(reliance, drop, relied_on):
    outcomes = [
        outcome("unrelated-seeds", 0.0, UNCLEAR, NONE),
        outcome("other-artifact", 0.2, RELIES, reliance, drop, "bars"),
        outcome("other-artifact", 0.2, UNCLEAR, reliance, drop, "bars"),
        outcome("other-artifact", 0.2, UNCLEAR, NONE, decoy="patch"),
    ]
    found = {(rate.truth, rate.decoy): rate for rate in rates(outcomes, Thresholds())}
    assert list(found) == [
        ("unrelated-seeds", ""),
        ("other-artifact", "bars"),
        ("other-artifact", "patch"),
        (ANY_NULL, ""),
    ]
    assert found["other-artifact", "bars"].relied_on == relied_on
    assert found["other-artifact", "patch"].relied_on == "no"
    assert (found[ANY_NULL, ""].audits, found[ANY_NULL, ""].verdicts) == (
        (2, {UNCLEAR: 2}) if relied_on == "yes" else (4, {RELIES: 1, UNCLEAR: 3})
    )


def test_a_null_by_construction_counts_whatever_its_reliance():
    outcomes = [outcome("both-sides", 0.2, RELIES, SURE), outcome("unrelated-seeds", 0.0, UNCLEAR, NONE)]
    everything = rates(outcomes, Thresholds())[-1]
    assert (everything.truth, everything.audits, everything.says_relies.value) == (ANY_NULL, 2, 1 / 2)


def test_whether_an_artifact_is_relied_on_is_asked_of_the_threshold():
    outcomes = [outcome("planted", 1.0, RELIES, SURE), outcome("unrelated-seeds", 0.0, CLEAR, NONE)]
    for limit, answer in ((0.05, "yes"), (0.5, "unclear"), (0.9, "no")):
        assert rates(outcomes, Thresholds(reliance=limit))[0].relied_on == answer


def test_detectors_have_rates_of_their_own():
    outcomes = [
        outcome("unrelated-seeds", 0.0, verdict, NONE, detector=detector)
        for detector, verdict in (("fcdd", RELIES), ("ae", CLEAR))
    ]
    found = [(rate.detector, rate.truth, rate.verdicts) for rate in rates(outcomes, Thresholds())]
    assert found == [
        (detector, truth, {verdict: 1})
        for detector, verdict in (("fcdd", RELIES), ("ae", CLEAR))
        for truth in ("unrelated-seeds", ANY_NULL)
    ]


def test_rates_of_no_audit_are_null_in_json(tmp_path):
    found = rates([outcome("other-artifact", 1.0, RELIES, SURE, decoy="bars")], Thresholds())
    assert found[-1].audits == 0
    written = json.dumps(CalibrationResult(tmp_path, found).as_json(), allow_nan=False)
    assert json.loads(written)["rates"][-1]["says_relies"] == {"value": None, "low": None, "high": None}


def test_a_calibration_leaves_its_rates_outcomes_and_figure(finished):
    calibration, result = finished
    found = json.loads((result.folder / "calibration.json").read_text())
    assert found == json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert (found["schema"], found["seeds"], found["audits"], found["nulls"]) == (2, 3, 2, 2)
    assert found["probe"].startswith("Watermark(")
    assert list(found["decoys"]) == ["patch"]
    assert found["decoys"]["patch"].startswith("Patch(")
    assert {rate["relied_on"] for rate in found["rates"]} <= {"yes", "no", "unclear"}
    assert found["recipe"]["epochs"] == 1
    outcomes = pd.read_csv(result.folder / "calibration.csv")
    assert len(outcomes) == (2 * 2 + 3 * 2) + (2 * 2 + 2 * 2)
    assert set(outcomes["verdict"]) <= {"relies", "does-not-rely", "inconclusive"}
    assert np.isfinite(outcomes["reliance_value"]).all()
    assert set(outcomes["decoy"].dropna()) == {"patch"}
    for rate in found["rates"]:
        mine = outcomes[(outcomes["detector"] == rate["detector"]) & (outcomes["truth"] == rate["truth"])]
        if rate["truth"] in ("unrelated-seeds", ANY_NULL):
            assert rate["reliance"]["value"] is None
        else:
            mine = mine[mine["prevalence"] == rate["prevalence"]]["reliance_value"]
            assert rate["reliance"]["value"] == pytest.approx(mine.mean(), abs=1e-9), rate["truth"]
    assert (result.folder / "calibration.svg").read_text().startswith("<svg")
    assert result.folder.name == "calibration-textures-watermark"
    assert calibration.folder == result.folder


def test_a_finished_calibration_trains_nothing_again(finished, monkeypatch):
    calibration, result = finished
    before = {name: (result.folder / name).read_bytes() for name in ("calibration.json", "calibration.csv")}
    monkeypatch.setattr("fcdd_audit.experiment.engines.run_cell", lambda *_: pytest.fail("a cell ran again"))
    again = calibrate(calibration)
    assert again.as_json() == result.as_json()
    assert before == {name: (result.folder / name).read_bytes() for name in before}
