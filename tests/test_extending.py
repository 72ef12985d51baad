"""Every new kind is one entry: registered once, and then listed, audited, calibrated and on the page."""

import json
from dataclasses import dataclass

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from typer.testing import CliRunner

from fcdd_audit import DETECTORS, PROBES, Detector, InputError, Recipe, make_config, run_audit
from fcdd_audit.cli.app import app
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.plant import Plant
from fcdd_audit.report.calibration import draw_rates
from fcdd_audit.studies.calibrate import Calibration, calibrate
from fcdd_audit.studies.trials import Trial
from fcdd_audit.studies.truths import TRUTHS, Truth


def add_a_probe():
    @PROBES.register("disc")
    @dataclass(frozen=True)
    class Disc:
        """A bright disc in the upper left corner."""

        radius: float = 0.2

        placed = True

        def __post_init__(self):
            if not 0 < self.radius <= 0.5:
                raise InputError(f"disc radius is {self.radius:g}; it must be in (0, 0.5]")

        def apply(self, x, generator):
            height, width = x.shape[2:]
            reach = self.radius * width
            rows, columns = torch.arange(height)[:, None], torch.arange(width)
            inside = (rows - reach) ** 2 + (columns - reach) ** 2 <= reach**2
            mask = inside.to(x.device).expand(len(x), 1, height, width)
            colour = torch.tensor([1.0, 0.4, 0.1])[: x.shape[1]].to(x)[:, None, None]
            return torch.where(mask, colour, x), mask.clone()


def add_a_detector():
    @DETECTORS.register("glance")
    class Glance(Detector):
        """Tells anomalies by the mean of a few small filters."""

        learns_from = SIDES

        @dataclass(frozen=True)
        class Options(Detector.Options):
            width: int = 4

        def __init__(self, input, options):
            super().__init__(input, options)
            channels, width = input.shape[0], options.width
            self.features = nn.Sequential(nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.ReLU())
            self.weigh = nn.Linear(width, 1)

        def score(self, x):
            return self.weigh(self.features(self.normalise(x)).mean(dim=(2, 3)))[:, 0].float()

        def loss(self, x, label, mask=None):
            return F.binary_cross_entropy_with_logits(self.score(x), label.float())


def add_a_truth():
    def both_twins(drawing):
        """Both twins are trained with the artifact, from unrelated seeds."""
        edit = Plant(drawing.probe, (drawing.side,), 1.0)
        for index in range(drawing.nulls):
            after, before = (drawing.planted(one % drawing.nulls, edit) for one in (index + 1, index))
            yield Trial(drawing.detector, "both-twins", drawing.plant_on, 1.0, after, before)

    TRUTHS.register("both-twins")(Truth("both twins trained with it{share}", both_twins, null=True))


REGISTRIES = {"disc": PROBES, "glance": DETECTORS, "both-twins": TRUTHS}


@pytest.fixture(scope="module", autouse=True)
def added():
    """The new kinds, and afterwards the registries as they were."""
    before = {name: dict(registry._entries) for name, registry in REGISTRIES.items()}
    for add in (add_a_probe, add_a_detector, add_a_truth):
        add()
    yield
    for name, registry in REGISTRIES.items():
        registry._entries.clear()
        registry._entries.update(before[name])


def settings(out, **changes):
    known = {
        "probe": "disc",
        "detectors": ("glance",),
        "explainers": ("grad-cam", "gradient", "random"),
        "image_size": 32,
        "seeds": 3,
        "workers": 1,  # in this process: others don't know the new kinds
        "recipe": Recipe.of(epochs=1, batch_size=64),
        "options": {"disc": {"radius": 0.25}, "glance": {"width": 6}},
        "out": out,
    }
    return make_config(**{**known, **changes})


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    config = settings(tmp_path_factory.mktemp("calibrations"))
    result = calibrate(Calibration(config, audits=2, nulls=2, decoys=("patch",)))
    draw_rates(result.folder)
    return result


@pytest.fixture(scope="module")
def audited(calibrated, tmp_path_factory):
    out = tmp_path_factory.mktemp("reports")
    return run_audit(settings(out, calibration=calibrated.folder / "calibration.json"))


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("probes", "disc         A bright disc in the upper left corner."),
        ("detectors", "glance  Tells anomalies by the mean of a few small filters."),
        ("truths", "both-twins  both twins trained with it"),
    ],
)
def test_it_is_listed(kind, line):
    shown = CliRunner().invoke(app, ["list", kind]).stdout.splitlines()
    assert line.split() in [one.split() for one in shown]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"disc": {"size": 0.2}}, "disc has no option 'size' .known: radius"),
        ({"disc": {"radius": 0.9}}, "disc radius is 0.9; it must be in"),
        ({"glance": {"width": "wide"}}, "glance width is 'wide'; a whole number is needed"),
    ],
)
def test_its_options_are_checked(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        settings(tmp_path, options=options).make_artifact()


def test_an_audit_has_it_in_its_name_table_findings_and_config(audited):
    assert audited.folder.name == "textures-disc"
    table = pd.read_csv(audited.folder / "results.csv", keep_default_na=False)
    assert set(table["probe"]) == {"disc"}
    assert set(table["detector"]) == {"glance"}
    assert set(table["explainer"]) == {"", "grad-cam", "gradient", "random"}
    (finding,) = audited.findings
    assert (finding.probe, finding.detector, finding.plant_on) == ("disc", "glance", "anomalous")
    config = json.loads((audited.folder / "config.json").read_text())
    assert config["probe"].endswith("Disc(radius=0.25)")
    assert config["config"]["options"]["glance"] == {"width": 6}


def test_a_calibration_has_it_in_its_table_rates_and_figure(calibrated):
    assert calibrated.folder.name == "calibration-textures-disc"
    table = pd.read_csv(calibrated.folder / "calibration.csv")
    assert set(table["detector"]) == {"glance"}
    assert (table["truth"] == "both-twins").sum() == 2
    found = json.loads((calibrated.folder / "calibration.json").read_text())
    (rate,) = [rate for rate in found["rates"] if rate["truth"] == "both-twins"]
    label = "both twins trained with it on 100 %"
    assert (rate["label"], rate["null"], rate["audits"]) == (label, True, 2)
    everything = next(rate for rate in found["rates"] if rate["truth"] == "any-null")
    nulls = [r for r in found["rates"] if r["null"] and r["truth"] != "any-null" and not r["carries_over"]]
    assert rate in nulls
    assert everything["audits"] == sum(one["audits"] for one in nulls)
    assert f">glance, {label}<" in (calibrated.folder / "calibration.svg").read_text()


def test_the_page_names_each(audited):
    page = audited.report.read_text(encoding="utf-8")
    words = " ".join(page.split())
    assert "glance</b>" in words
    assert "the disc" in words
    label = "both twins trained with it on 100 %"
    assert f"<td>{label}</td>" in page, "among the error rates"
    assert f">glance, {label}<" in page, "and in their figure"
