"""A measure that is registered from elsewhere goes wherever the built-in ones go."""

import importlib.util
import json

import pandas as pd
import pytest

from fcdd_audit import run_audit
from fcdd_audit.measures.table import MEASURES, described_measures

OWN = '''
import numpy as np

from fcdd_audit.measures.table import Chance, Measure, register


def heat_at_top(heatmap, mask):
    """Share of the heat in the upper half of the map."""
    return heatmap[..., : heatmap.shape[-2] // 2, :].sum(dim=(1, 2, 3)).double() / heatmap.sum(dim=(1, 2, 3))


def usual_gap(twins, plant_on, limits):
    """Mean anomalous score less mean nominal score, in use."""
    sets = [scores.split("usual", plant_on) for scores in twins]
    return np.array([anomalous.mean() - nominal.mean() for nominal, anomalous in sets])


def recall(nominal, anomalous):
    """Share of anomalous images above all nominal ones."""
    return float((anomalous > nominal.max()).mean())


def about(name, label, function, family, row=None, unit=None, bounds=(0, 1), chance=None):
    return register(Measure(name, label, unit, bounds, chance, function, "me", family, row))


about("heat_at_top", "heat at the top", heat_at_top, "overlap", chance=Chance("0.5", lambda area: 0.5))
about("gap", "my gap", usual_gap, "scores", ("conflict", "gap"), "scores", (-np.inf, np.inf))
about("recall", "recall at no alarm", recall, "detection")
'''


@pytest.fixture
def run(classes_config, tmp_path, monkeypatch):
    described_measures()  # has all others registered
    monkeypatch.setattr(MEASURES, "_entries", dict(MEASURES.items()))
    (tmp_path / "own.py").write_text(OWN)
    spec = importlib.util.spec_from_file_location("own", tmp_path / "own.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    config = classes_config.having(
        nominal_class="airplane",
        detectors=("fcdd",),
        prevalence=(1.0,),
        seeds=1,
        out=tmp_path,
    )
    return run_audit(config)


def test_it_is_in_the_table_the_findings_and_on_the_page_without_another_edit(run):
    table = pd.read_csv(run.folder / "results.csv", keep_default_na=False)
    stands = set(zip(table["split"], table["metric"], strict=True))
    assert stands >= {
        ("marked", "heat_at_top"),
        ("marked", "heat_at_top_dilated"),
        ("marked", "heat_at_top_chance"),
        ("conflict", "gap"),
        ("clean", "recall"),
        ("conflict", "recall"),
    }
    (finding,) = json.loads((run.folder / "findings.json").read_text())["findings"]
    effects = {effect["measure"]: effect for effect in finding["effects"]}
    gaps = table[table["metric"] == "gap"].set_index("twin")["value"]
    assert effects["gap"]["planted"]["value"] == gaps["planted"]
    assert effects["gap"]["control"]["value"] == gaps["control"]
    for side in ("nominal", "anomalous"):
        (overlap,) = [
            one
            for one in finding["explainers"][0]["overlaps"]
            if (one["side"], one["measure"]) == (side, "heat_at_top")
        ]
        assert overlap["chance"] == 0.5
        rows = table[(table["metric"] == "heat_at_top") & (table["split"] == f"marked-{side}")]
        assert overlap["planted"]["value"] == pytest.approx(rows.set_index("twin")["value"]["planted"])
    page = run.report.read_text(encoding="utf-8")
    for name, label in (
        ("heat_at_top", "heat at the top"),
        ("gap", "my gap"),
        ("recall", "recall at no alarm"),
    ):
        assert f'<a href="#measure-{name}">{label}' in page
        assert f'<tr id="measure-{name}">' in page
    assert "Share of the heat in the upper half of the map." in page
