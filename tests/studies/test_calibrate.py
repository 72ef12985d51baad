"""Calibration: audits whose truth is known."""

import json
from dataclasses import replace

import pytest

from fcdd_audit import make_config
from fcdd_audit.cli.tables import print_rates
from fcdd_audit.core.errors import InputError
from fcdd_audit.experiment.identity import trained
from fcdd_audit.probes import PROBES
from fcdd_audit.report.calibration import draw_rates
from fcdd_audit.studies.calibrate import (
    Calibration,
    CalibrationResult,
    calibrate,
    calibration_setup,
    conditions_of,
    seed_groups,
)
from fcdd_audit.studies.pool import COLUMNS, JUDGED, read_pool
from fcdd_audit.studies.rates import ANY_NULL, rates
from fcdd_audit.studies.truths import TRUTHS

SMALL = {
    "detector": "fcdd,ae",
    "seeds": 3,
    "prevalence": "1",
    "epochs": 1,
    "batch_size": 256,
    "image_size": 32,
    "workers": 1,
}


def small(**changes):
    settings = {**SMALL, **changes}
    own = {"pairs": 4, "null_pairs": 3, "decoys": ("patch",), "draws": 5}
    given = {name: settings.pop(name, value) for name, value in own.items()}
    return Calibration(make_config(settings), **given)


@pytest.fixture(scope="module")
def setup():
    return calibration_setup(small(prevalence="0.5,1"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    calibration = small(out=tmp_path_factory.mktemp("out"))
    return calibration, calibrate(calibration)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": "frame,logo"}, "a calibration is of one artifact on one side; name one with --probe"),
        ({"plant_on": "anomalous,nominal"}, "a calibration is of one artifact on one side"),
        ({"pairs": 2}, "--pairs is 2; it must be at least 3, the pairs that one audit may need, and at most"),
        ({"null_pairs": 2}, "--null-pairs is 2; it must be at least 3"),
        ({"seeds": "auto", "pairs": 32}, "--null-pairs is 3; it must be at least 16"),
        ({"pairs": 1001}, "--pairs is 1001; it must be at least 3, .* and at most 1000"),
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
        ({"seeds": 2}, "an audit has 2 pairs; fewer than 3 give no verdict"),
        (
            {"weights": "x", "detector": "ae", "seeds": "auto", "prevalence": 1},
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


@pytest.mark.parametrize(("plant_on", "detector"), [("oe", "ae"), ("all-but-oe", "ae"), ("anomalous", "ae")])
def test_a_side_that_the_detector_does_not_learn_from_is_refused_or_taken(setup, plant_on, detector):
    calibration = small(plant_on=plant_on, detector=detector)
    if plant_on == "all-but-oe":
        assert {one.plant_on for one in conditions_of(calibration, setup)} == {"all-but-oe"}
        return
    with pytest.raises(InputError, match="ae never sees anomalous images in training, so nothing planted"):
        conditions_of(calibration, setup)


def test_more_pairs_leave_the_stacks_of_the_first_ones_as_they_are(setup):
    few, many = (seed_groups(conditions_of(small(detector="fcdd", pairs=pairs), setup)) for pairs in (20, 40))
    planted = [group for group in few if group[0] == few[0][0] or group[0] == few[0][0] + 16]
    assert [len(group) for group in planted] == [16, 4]
    assert few[0] in many
    assert [len(group) for group in many if few[0][0] <= group[0] < few[0][0] + 40] == [16, 16, 8]
    assert setup.seed_groups, "a calibration's setup has them"


def test_what_is_planted_is_what_the_null_says(setup):
    shares = {}
    for one in conditions_of(small(prevalence="0.5,1", detector="fcdd"), setup):
        for twin, cells in (("planted", one.planted), ("control", one.control)):
            training = setup.trained_on(cells[0].edit, cells[0].seed)
            shares[one.truth, one.prevalence, twin] = [
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
    assert all(share == [0, 0] for (_, _, twin), share in shares.items() if twin == "control")


def decoyed(setup):
    return next(one for one in conditions_of(small(), setup) if one.truth == "other-artifact").planted[0]


def test_what_was_not_given_cannot_be_planted(setup):
    lacking = replace(setup, plantable={"watermark": setup.artifact})
    with pytest.raises(KeyError, match="patch"):
        lacking.trained_on(decoyed(setup).edit, 0)


def test_detectors_differ_by_the_decoy(setup):
    cell = decoyed(setup)
    other = replace(setup, plantable={**setup.plantable, "patch": PROBES["patch"](size=0.3)})
    assert trained(cell, setup) != trained(cell, other)
    planted = replace(cell, edit=replace(cell.edit, artifact="watermark"))
    assert trained(planted, setup) == trained(planted, other)


def test_rates_of_no_audit_are_null_in_json(pool_of, tmp_path):
    design = small().audit.design
    found = rates([pool_of([1.0, 1.1])], design.looks, design.thresholds, 5)
    written = json.dumps(CalibrationResult(tmp_path, found).as_json(), allow_nan=False)
    nothing = {"value": None, "low": None, "high": None}
    for rate in json.loads(written)["rates"]:
        assert rate["says_relies"] == rate["drawn"]["relies"] == nothing


def test_a_calibration_leaves_its_rates_pairs_and_figure(finished):
    calibration, result = finished
    found = json.loads((result.folder / "calibration.json").read_text())
    assert found == json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert (found["schema"], found["seeds"], found["pairs"], found["null_pairs"]) == (4, [3], 4, 3)
    assert found["probe"].startswith("Watermark(")
    assert list(found["decoys"]) == ["patch"]
    assert found["decoys"]["patch"].startswith("Patch(")
    assert found["recipe"]["epochs"] == 1
    table = read_pool(result.folder / "calibration.csv")
    assert list(table) == COLUMNS
    assert set(table["measure"]) == set(JUDGED) - {"usual_auroc"}
    assert set(table["dataset"]) == {"retina"}
    pairs = table.drop_duplicates(["detector", "truth", "decoy", "prevalence", "seed"])
    counts = pairs.groupby(["detector", "truth"]).size().to_dict()
    assert counts == {
        ("fcdd", "planted"): 4,
        ("fcdd", "both-sides"): 6,
        ("fcdd", "other-artifact"): 6,
        ("fcdd", "unrelated-seeds"): 8,
        ("ae", "planted"): 4,
        ("ae", "other-artifact"): 6,
        ("ae", "unrelated-seeds"): 5,
    }
    for rate in found["rates"]:
        assert rate["null"] == (rate["truth"] == ANY_NULL or TRUTHS[rate["truth"]].null)
        if rate["truth"] == ANY_NULL:
            continue
        mine = table[(table["detector"] == rate["detector"]) & (table["truth"] == rate["truth"])]
        mine = mine[(mine["prevalence"] == rate["prevalence"]) & (mine["measure"] == "new_alarms")]
        assert rate["pairs"] == len(mine)
        assert rate["known"]["alarms"]["value"] == pytest.approx((mine["planted"] - mine["control"]).mean())
        assert rate["audits"] == sum(rate["verdicts"].values()) == len(mine) // 3
    assert draw_rates(result.folder).read_text().startswith("<svg")
    assert result.folder.name == "calibration-retina-watermark"
    assert calibration.folder == result.folder


def test_the_table_names_each_kind_and_where_the_file_is(finished, capsys):
    _, result = finished
    print_rates(result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(result.folder / "calibration.json")
    for line, rate in zip(lines[1:], result.rates, strict=False):
        assert line.startswith(rate.detector)
        assert rate.truth in line
        assert f"{rate.audits}: {rate.verdicts.get('relies', 0)}, " in line


def test_a_finished_calibration_trains_and_measures_nothing_again(finished, monkeypatch, in_store):
    calibration, result = finished
    names = ("calibration.json", "calibration.csv")
    before, kept = [(result.folder / name).read_bytes() for name in names], in_store(result.folder / "store")
    for name in ("trainings.train_stack", "work.score"):
        monkeypatch.setattr(f"fcdd_audit.experiment.{name}", lambda *_: pytest.fail("was done again"))
    again = calibrate(calibration)
    assert again.as_json() == result.as_json()
    assert [(result.folder / name).read_bytes() for name in names] == before
    assert in_store(result.folder / "store") == kept
    assert again.description["incomplete"] == 0
