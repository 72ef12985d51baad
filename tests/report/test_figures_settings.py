"""Figures in processes of their own, since Matplotlib reads the user's settings once."""

import os
import subprocess
import sys

import pytest

DRAW = """
import os
import pandas as pd
from fcdd_audit.report import figures
from fcdd_audit.report.strips import heat_uri
import matplotlib as mpl
import numpy as np

shown = {"value": 0.2, "low": 0.1, "high": 0.3}
explainer = {"explainer": "native", "reference": False, "excess_pixel_auroc": shown}
about = {"dependence": shown, "alarms": shown, "explainers": [explainer]}
findings = [{"prevalence": dose, **about} for dose in (0.1, 1.0)]
rate = {"detector": "fcdd", "label": "planted", "audits": 20, "says_relies": shown, "carries_over": False}
rates = [{**rate, "null": False, "prevalence": dose} for dose in (0.1, 1.0)]
rates.append({**rate, "null": True, "prevalence": None})
row = {"explainer": "native", "randomised": {"alike": [0.5, -0.5]}}
curve = pd.DataFrame({"twin": "planted", "seed": 0, "set": "in use", "fpr": [0, 0, 1], "tpr": [0, 1, 1]})
limits = {"shift": 0.5, "alarms": 0.05, "reveal": 0.05}
print(figures.roc_curves(curve, "b"))
print(figures.dose_response(findings, limits, str, "c"))
print(figures.rates_figure(rates, "d"))
print(figures.among_placebos(0.3, [0.0, 0.1, 0.1], "lost", 0.05, "e"))
steps = [{"share": 0.5, "newly_wrong": 0.1}, {"share": 1.0, "newly_wrong": 0.9}]
print(figures.dose_figure({"opacity": steps, "size": steps}, 0.05, "h"))
print(figures.places_figure([0, 5], [0, 3], [[0.0, 0.5], [1.0, 0.1]], "i"))
print(figures.cascade_curves([row], "alike", "alike", "g"))
print(heat_uri(np.eye(4)))
print("\\f", os.environ.get("MPLBACKEND"), mpl.rcParams["font.size"], mpl.rcParams["backend"].lower())
"""
SETTINGS = """
text.usetex: True
text.color: red
font.family: monospace
font.size: 20
lines.linewidth: 7
lines.antialiased: False
axes.prop_cycle: cycler("color", ["ff0000", "00ff00"])
axes.grid: True
axes.facecolor: yellow
axes.titlelocation: left
axes.xmargin: 0.4
axes.formatter.use_locale: True
axes.unicode_minus: False
xtick.direction: in
legend.loc: lower left
figure.dpi: 30
figure.autolayout: True
figure.titlesize: 30
savefig.dpi: 20
savefig.bbox: tight
savefig.pad_inches: 3
savefig.transparent: True
svg.fonttype: path
svg.hashsalt: mine
svg.image_inline: False
path.simplify: False
path.sketch: 1, 100, 2
boxplot.whiskers: 5
boxplot.flierprops.marker: x
interactive: True
toolbar: toolmanager
no.such.setting: 1
lines.color: no colour
"""
INLINE = "module://matplotlib_inline.backend_inline"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """What the figures are, and the user's settings after them, by who draws; nobody may be warned."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "matplotlibrc").write_text(SETTINGS, encoding="utf-8")
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MPL")}
    users = {
        "anyone": plain,
        "of a notebook, with a style": {**plain, "MPLBACKEND": INLINE, "MPLCONFIGDIR": str(folder)},
        "of a backend that is there": {**plain, "MPLBACKEND": "pdf"},
        "without a home": {
            **{key: value for key, value in plain.items() if not key.startswith("XDG_")},
            "HOME": f"{os.devnull}/home",
        },
    }
    started = {
        user: subprocess.Popen(
            [sys.executable, "-c", DRAW],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for user, environment in users.items()
    }  # side by side: each takes seconds
    said = {user: (*process.communicate(), process.returncode) for user, process in started.items()}
    for out, err, code in said.values():
        assert (err, code) == ("", 0), out
    return {user: out.split("\f ") for user, (out, _, _) in said.items()}


def test_figures_are_the_same_to_the_byte_whatever_the_users_settings(drawn):
    figures, _ = drawn["anyone"]
    assert figures.count("<svg") == 7
    for user, (others, _) in drawn.items():
        assert others == figures, user


def test_the_users_settings_and_backend_are_the_same_after_the_figures(drawn):
    assert drawn["anyone"][1].split()[1] == "10.0"
    assert drawn["of a notebook, with a style"][1].split()[:2] == [INLINE, "20.0"]
    assert drawn["of a backend that is there"][1].split() == ["pdf", "10.0", "pdf"]
