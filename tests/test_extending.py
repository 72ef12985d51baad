"""Every new kind is one entry: registered once, and then listed, audited, calibrated and on the page."""

import importlib
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from fcdd_audit import DETECTORS, PROBES, InputError, Recipe, make_config, run_audit
from fcdd_audit.cli.app import app
from fcdd_audit.measures.table import MEASURES, described_measures
from fcdd_audit.report.calibration import draw_rates
from fcdd_audit.studies.calibrate import Calibration, calibrate
from fcdd_audit.studies.truths import TRUTHS

REGISTRIES = (PROBES, DETECTORS, TRUTHS, MEASURES)


@pytest.fixture(scope="module", autouse=True)
def added():
    """The new kinds, and afterwards the registries as they were."""
    described_measures()  # has all others registered
    with pytest.MonkeyPatch.context() as changed:
        for registry in REGISTRIES:
            changed.setattr(registry, "_entries", dict(registry.items()))
        changed.syspath_prepend(Path(__file__).parent)
        importlib.import_module("own_kinds")
        yield
    del sys.modules["own_kinds"]


def settings(out, **changes):
    known = {
        "probe": "spot",
        "detectors": ("glance",),
        "explainers": ("grad-cam", "gradient", "random"),
        "image_size": 32,
        "seeds": 3,
        "workers": 2,  # processes that have to know the new kinds too
        "recipe": Recipe.of(epochs=1, batch_size=64),
        "options": {"spot": {"radius": 0.25}, "glance": {"width": 6}},
        "out": out,
    }
    return make_config(**{**known, **changes})


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    config = settings(tmp_path_factory.mktemp("calibrations"))
    result = calibrate(Calibration(config, pairs=4, null_pairs=4, decoys=("patch",), draws=5))
    draw_rates(result.folder)
    return result


@pytest.fixture(scope="module")
def audited(calibrated, tmp_path_factory):
    out = tmp_path_factory.mktemp("reports")
    return run_audit(settings(out, calibration=calibrated.folder / "calibration.json"))


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("probes", "spot         A bright spot in the upper left corner."),
        ("detectors", "glance  Tells anomalies by the mean of a few small filters."),
        ("truths", "both-twins  both twins trained with it"),
        ("measures", "heat_at_top  heat at the top"),
    ],
)
def test_it_is_listed(kind, line):
    shown = CliRunner().invoke(app, ["list", kind]).stdout.splitlines()
    assert line.split() in [one.split() for one in shown]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spot": {"size": 0.2}}, "spot has no option 'size' .known: radius"),
        ({"spot": {"radius": 0.9}}, "spot radius is 0.9; it must be in"),
        ({"glance": {"width": "wide"}}, "glance width is 'wide'; a whole number is needed"),
    ],
)
def test_its_options_are_checked(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        settings(tmp_path, options=options).make_artifact()


def test_an_audit_has_it_in_its_name_table_findings_and_config(audited):
    assert audited.folder.name == "retina-spot"
    table = pd.read_csv(audited.folder / "results.csv", keep_default_na=False)
    assert set(table["probe"]) == {"spot"}
    assert set(table["detector"]) == {"glance"}
    assert set(table["explainer"]) == {"", "grad-cam", "gradient", "random"}
    assert {"heat_at_top", "heat_at_top_dilated"} <= set(table["metric"])
    (finding,) = audited.findings
    assert (finding.probe, finding.detector, finding.plant_on) == ("spot", "glance", "anomalous")
    config = json.loads((audited.folder / "config.json").read_text())
    assert config["probe"].endswith("Spot(radius=0.25)")
    assert config["config"]["options"]["glance"] == {"width": 6}


def test_what_was_made_with_it_is_used_again(audited, calibrated, without_page, work_of):
    again = run_audit(settings(audited.folder.parent, calibration=calibrated.folder / "calibration.json"))
    assert work_of(again.folder) == {"detectors": 6, "cells": 7, "trained": 0, "measured": 0, "failed": 0}


def test_a_record_knows_its_source(audited):
    """A release of this package says nothing of it."""
    store = audited.folder / "store"
    for path in store.glob("trained/*/identity.json"):
        identity = json.loads(path.read_text())
        planted = {"Spot"} if identity["artifacts"] else set()
        assert set(identity["code"]) == {"Glance", "layers"} | planted, "and what it builds"
    for path in store.glob("measured/*/gradient-*/identity.json"):
        identity = json.loads(path.read_text())
        assert "heat_at_top" in identity["measures"]
        assert set(identity["code"]) == {"heat_at_top"}


def test_a_calibration_has_it_in_its_table_rates_and_figure(calibrated):
    assert calibrated.folder.name == "calibration-retina-spot"
    table = pd.read_csv(calibrated.folder / "calibration.csv")
    assert set(table["detector"]) == {"glance"}
    assert ((table["truth"] == "both-twins") & (table["measure"] == "drop")).sum() == 3
    found = json.loads((calibrated.folder / "calibration.json").read_text())
    (rate,) = [rate for rate in found["rates"] if rate["truth"] == "both-twins"]
    label = "both twins trained with it on 100 %"
    assert (rate["label"], rate["null"], rate["audits"]) == (label, True, 1)
    everything = next(rate for rate in found["rates"] if rate["truth"] == "any-null")
    nulls = [r for r in found["rates"] if r["null"] and r["truth"] != "any-null" and r["independent"]]
    nulls = [r for r in nulls if not r["carries_over"]]
    assert rate in nulls
    assert everything["audits"] == sum(one["audits"] for one in nulls)
    assert f">glance, {label}<" in (calibrated.folder / "calibration.svg").read_text()


def test_the_page_names_each(audited):
    page = audited.report.read_text(encoding="utf-8")
    words = " ".join(page.split())
    assert "glance</b>" in words
    assert "spot</b>" in words
    assert '<a href="#measure-heat_at_top">heat at the top' in page
    assert "Share of the heat in the upper half of the map." in page
    label = "both twins trained with it on 100 %"
    assert f"<td>{label}</td>" in page, "among the error rates"
