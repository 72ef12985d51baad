"""Calibration: audits whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fcdd_audit import make_config
from fcdd_audit.core.errors import InputError
from fcdd_audit.experiment.identity import trained
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.probes import PROBES
from fcdd_audit.report.calibration import draw_rates
from fcdd_audit.studies.calibrate import Calibration, CalibrationResult, calibrate, trials
from fcdd_audit.studies.rates import ANY_NULL, Rate
from fcdd_audit.studies.truths import TRUTHS

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
    decoys = {name: PROBES[name]() for name in ("patch", "bars")}
    return replace(prepared, explainers=(), plantable={**prepared.plantable, **decoys})


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
            assert {cell.edit for cell in trial.planted} == {AS_IS}
        else:
            assert seeds[0] == seeds[1]
            assert min(seeds[0]) >= 10_000, "no seed of an audit"


@pytest.mark.parametrize(("plant_on", "detector"), [("oe", "ae"), ("all-but-oe", "ae"), ("anomalous", "ae")])
def test_a_side_that_the_detector_does_not_learn_from_is_refused_or_taken(setup, plant_on, detector):
    calibration = small(plant_on=plant_on)
    if plant_on == "all-but-oe":
        assert {t.plant_on for t in trials(calibration, setup, detector)} == {"all-but-oe"}
        return
    with pytest.raises(InputError, match="ae never sees anomalous images in training, so nothing planted"):
        trials(calibration, setup, detector)


def test_what_is_planted_is_what_the_null_says(setup):
    shares = {}
    for trial in trials(small(), setup, "fcdd"):
        for twin, cells in (("planted", trial.planted), ("control", trial.control)):
            training = setup.trained_on(cells[0].edit, cells[0].seed)
            shares[trial.truth, trial.prevalence, twin] = [
                (training.of(side).images != part.images).flatten(1).any(dim=1).double().mean().item()
                for side, part in (
                    ("nominal", setup.data.train_nominal),
                    ("anomalous", setup.data.train_anomalous),
                )
            ]
    assert shares["planted", 0.5, "planted"] == [0, pytest.approx(0.5, abs=0.01)]
    assert shares["both-sides", 0.2, "planted"] == [pytest.approx(0.2, abs=0.01)] * 2
    assert shares["both-sides", 1.0, "planted"] == [1, 1]
    assert shares["other-artifact", 0.2, "planted"] == [0, pytest.approx(0.2, abs=0.01)]
    assert shares["other-artifact", 1.0, "planted"] == [0, 1]
    assert shares["unrelated-seeds", 0.0, "planted"] == [0, 0]
    assert all(share == [0, 0] for (_, _, twin), share in shares.items() if twin == "control")


def test_what_was_not_given_cannot_be_planted(setup):
    trial = next(t for t in trials(small(), setup, "fcdd") if t.truth == "other-artifact")
    lacking = replace(setup, plantable={"watermark": setup.artifact})
    with pytest.raises(KeyError, match="patch"):
        lacking.trained_on(trial.planted[0].edit, 0)


def test_detectors_differ_by_the_decoy(setup):
    cell = next(t for t in trials(small(), setup, "fcdd") if t.truth == "other-artifact").planted[0]
    other = replace(setup, plantable={**setup.plantable, "patch": PROBES["patch"](size=0.3)})
    assert trained(cell, setup) != trained(cell, other)
    planted = replace(cell, edit=replace(cell.edit, artifact="watermark"))
    assert trained(planted, setup) == trained(planted, other)


def test_rates_of_no_audit_are_null_in_json(tmp_path):
    nothing = Interval(np.nan, np.nan, np.nan)
    about = ("fcdd", "any-null", "all nulls together", True, "", None, 0, {})
    rate = Rate(*about, nothing, nothing, nothing, "unclear", carries_over=False)
    written = json.dumps(CalibrationResult(tmp_path, [rate]).as_json(), allow_nan=False)
    assert json.loads(written)["rates"][-1]["says_relies"] == {"value": None, "low": None, "high": None}


def test_a_calibration_leaves_its_rates_outcomes_and_figure(finished):
    calibration, result = finished
    found = json.loads((result.folder / "calibration.json").read_text())
    assert found == json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert (found["schema"], found["seeds"], found["audits"], found["nulls"]) == (3, 3, 2, 2)
    assert found["probe"].startswith("Watermark(")
    assert list(found["decoys"]) == ["patch"]
    assert found["decoys"]["patch"].startswith("Patch(")
    assert {rate["relied_on"] for rate in found["rates"]} <= {"yes", "no", "unclear"}
    for rate in found["rates"]:
        assert rate["null"] == (rate["truth"] == ANY_NULL or TRUTHS[rate["truth"]].null)
        assert rate["label"]
        assert isinstance(rate["carries_over"], bool)
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
    assert draw_rates(result.folder).read_text().startswith("<svg")
    assert result.folder.name == "calibration-textures-watermark"
    assert calibration.folder == result.folder


def test_a_finished_calibration_trains_and_measures_nothing_again(finished, monkeypatch, in_store):
    calibration, result = finished
    names = ("calibration.json", "calibration.csv")
    before, kept = [(result.folder / name).read_bytes() for name in names], in_store(result.folder / "store")
    for name in ("train", "score"):
        monkeypatch.setattr(f"fcdd_audit.experiment.work.{name}", lambda *_: pytest.fail("was done again"))
    again = calibrate(calibration)
    assert again.as_json() == result.as_json()
    assert [(result.folder / name).read_bytes() for name in names] == before
    assert in_store(result.folder / "store") == kept
    assert again.description["incomplete"] == 0
