"""What a report says of the error rates of its verdicts."""

import json

import pytest

from fcdd_audit import InputError, Recipe, make_config, run_audit
from fcdd_audit.designs.twins.conditions import conditions
from fcdd_audit.experiment.setup import prepare
from fcdd_audit.studies.error_rates import LABELS, RATE, SCHEMA, error_rates, read_calibration

CONFIG = make_config(
    image_size=32, seeds=3, recipe=Recipe.of(epochs=1), detectors=("fcdd",), explainers=("native",)
)
SHARE = {"value": 0.95, "low": 0.75, "high": 0.999}
MEAN = {"value": 1.4, "low": 1.3, "high": 1.5}
KNOWN = {
    "truth": "planted",
    "label": "artifact planted on 100 %",
    "null": False,
    "independent": True,
    "decoy": "",
    "prevalence": 1.0,
    "pairs": 64,
    "audits": 20,
    "verdicts": {"relies": 19, "inconclusive": 1},
    "harms": {"alarms": 20},
    "says_relies": SHARE,
    "says_does_not_rely": {"value": 0.0, "low": 0.0, "high": 0.17},
    "drawn": {"relies": SHARE, "does_not_rely": SHARE, "inconclusive": SHARE, "pairs": 4.25},
    "known": dict.fromkeys(("dependence", "own_shift", "alarms", "drop"), MEAN),
    "relied_on": "yes",
    "harmless": "no",
    "wrong_clears": 0,
    "carries_over": False,
}


@pytest.fixture(scope="module")
def made_for():
    """The conditions of CONFIG's audit."""
    return conditions(CONFIG, prepare(CONFIG))


def calibration(made_for, **changes):
    return {
        "schema": SCHEMA,
        **json.loads(json.dumps(made_for)),
        "rates": [{"detector": name, **KNOWN} for name in ("fcdd", "hsc")],
        **changes,
    }


def test_the_shipped_calibration_is_of_the_default_settings():
    shipped, default = read_calibration(None), make_config()
    found = error_rates(shipped, default, [json.loads(json.dumps(conditions(default, prepare(default))))])
    assert found["differs_in"] == []
    assert {rate["detector"] for rate in found["rates"]} >= {"fcdd", "hsc"}
    for detector in ("fcdd", "hsc"):
        mine = [rate for rate in found["rates"] if rate["detector"] == detector]
        nulls = next(rate for rate in mine if rate["truth"] == "any-null")
        full = next(rate for rate in mine if rate["truth"] == "planted" and rate["prevalence"] == 1)
        assert nulls["drawn"]["relies"]["value"] <= 0.05
        assert full["drawn"]["relies"]["value"] >= 0.95
        assert not sum(rate["wrong_clears"] for rate in mine)


def test_rates_of_the_same_settings(made_for):
    found = error_rates(calibration(made_for), CONFIG, [made_for])
    assert found["differs_in"] == found["missing"] == []
    assert [rate["detector"] for rate in found["rates"]] == ["fcdd"]
    assert found["holds_for"]["seeds"] == [3]


@pytest.mark.parametrize("name", LABELS)
def test_every_condition_that_differs_is_named(made_for, name):
    another = {"shift": 9.0} if name == "thresholds" else "another"
    found = error_rates(calibration(made_for, **{name: another}), CONFIG, [made_for])
    assert found["differs_in"] == [LABELS[name]]


def test_thresholds_that_no_verdict_depends_on_may_be_missing(made_for):
    verdicts = {name: value for name, value in made_for["thresholds"].items() if name != "weak_auroc"}
    assert error_rates(calibration(made_for, thresholds=verdicts), CONFIG, [made_for])["differs_in"] == []


def test_a_detector_without_rates_is_named(made_for):
    config = CONFIG.having(detectors=("fcdd", "ae"))
    assert error_rates(calibration(made_for), config, [made_for])["missing"] == ["ae"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("nothing", "Expecting value"),
        ("[]", "has no attribute"),
        ('{"schema": 3}', "schema 3, not 4"),
        ('{"schema": 4, "rates": []}', "no dataset"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path, content, reason):
    path = tmp_path / "calibration.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"is no calibration .*{reason}"):
        read_calibration(path)


@pytest.mark.parametrize("key", sorted(RATE))
def test_a_rate_that_lacks_what_the_page_shows_is_refused(made_for, tmp_path, key):
    content = calibration(made_for)
    del content["rates"][1][key]
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"is no calibration .*a rate without {key}"):
        read_calibration(path)


def test_a_calibration_comes_back_as_it_was_written(made_for, tmp_path):
    content = calibration(made_for)
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content))
    assert read_calibration(path) == content


def test_a_bad_calibration_ends_an_audit_before_it_begins(tmp_path):
    config = CONFIG.having(out=tmp_path / "out", calibration=tmp_path / "missing.json")
    with pytest.raises(InputError, match="is no calibration"):
        run_audit(config)
    assert not (tmp_path / "out").exists()


def test_a_report_shows_the_rates_and_in_what_the_audit_differs(made_for, tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(calibration(made_for, dataset="tiles")))
    result = run_audit(CONFIG.having(out=tmp_path, calibration=path, workers=1))
    page = result.report.read_text()
    assert "This audit has another data set" in page
    words = " ".join(page.split())
    assert "<td>artifact planted on 100 %</td><td>64</td><td>yes</td><td>1.40 (1.30 to 1.50)</td>" in words
    assert "<td>19</td><td>0</td><td>1</td> <td>0.95 (0.75 to 1.00)</td>" in words
    assert "<td>0.95 (0.75 to 1.00)</td><td>4.2</td>" in words
