import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.report.figures import (
    INK,
    among_placebos,
    dose_response,
    rates_figure,
    roc_curves,
    score_distributions,
)

LABELS = {"reliance": "reliance", "excess_pixel_auroc": "excess pixel AUROC"}


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame({"part": part, "image": "x", "variant": variant, "score": rng.random(9)})
        for part in ("validation", "nominal", "anomalous")
        for variant in (("clean",) if part == "validation" else ("clean", "marked"))
    ]
    return pd.concat(frames, ignore_index=True)


def figures(scores: pd.DataFrame) -> dict[str, str]:
    return {
        "a": score_distributions(
            {"planted": scores, "control": scores}, {"planted": 0.5, "control": 0.5}, "a"
        ),
        "b": roc_curves(
            {"planted": [scores] * 2, "control": [scores] * 2},
            DIRECTIONS["anomalous"],
            "b",
        ),
        "c": dose_response(
            [finding(0.01), finding(1.0)], {"reliance": 0.05, "reveal": 0.05}, LABELS.__getitem__, "c"
        ),
        "d": rates_figure([rate("planted", 0.01), rate("planted", 1.0), rate("any-null", None)], "d"),
        "e": among_placebos(span(0.3, 0.2, 0.4), [0.0, 0.1, 0.1], "AUROC lost", 0.05, "e"),
    }


def span(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def finding(prevalence):
    shown = {"explainer": "native", "reference": False, "excess_pixel_auroc": span(0.2, 0.1, 0.3)}
    known = {**shown, "explainer": "edges", "reference": True}
    return {"prevalence": prevalence, "reliance": span(prevalence / 2), "explainers": [shown, known]}


def rate(truth, prevalence, decoy="", relied_on="no"):
    return {
        "detector": "fcdd",
        "truth": truth,
        "decoy": decoy,
        "prevalence": prevalence,
        "audits": 20,
        "says_relies": span(0.5, 0.3, 0.7),
        "relied_on": relied_on,
    }


def test_the_dose_has_a_tick_at_each_prevalence_and_a_line_for_each_explainer():
    svg = dose_response(
        [finding(0.01), finding(0.2), finding(1.0)],
        {"reliance": 0.05, "reveal": 0.05},
        LABELS.__getitem__,
        "x",
    )
    for text in ("1 %", "20 %", "100 %", "reliance", "excess pixel AUROC"):
        assert f">{text}<" in svg, text
    assert ">edges<" not in svg, "reference maps show nothing"


def test_prevalences_without_a_number_are_left_out_of_the_curve():
    empty = {"prevalence": 0.2, "reliance": None, "explainers": []}
    svg = dose_response([empty, finding(1.0)], {"reliance": 0.05, "reveal": 0.05}, LABELS.__getitem__, "x")
    assert ">100 %<" in svg
    assert ">20 %<" not in svg
    assert "</svg>" in dose_response([empty], {"reliance": 0.05, "reveal": 0.05}, LABELS.__getitem__, "x")


def test_the_artifact_stands_among_its_placebos():
    svg = among_placebos(span(0.3, 0.2, 0.4), [0.0, 0.1, 0.1], "AUROC lost", 0.05, "x")
    for text in ("AUROC lost", "placebos", "artifact"):
        assert f">{text}<" in svg, text
    assert "</svg>" in among_placebos(span(0.0, 0.0, 0.0), [0.0] * 39, "AUROC lost", 0.0, "x"), "all alike"


def test_the_figure_of_rates_names_each_kind_of_null():
    svg = rates_figure(
        [
            rate("planted", 1.0),
            rate("both-sides", None),
            rate("unrelated-seeds", None),
            rate("other-artifact", None, "bars"),
        ],
        "x",
    )
    for text in (
        "fcdd, both-sides",
        "fcdd, unrelated-seeds",
        "fcdd, other-artifact (bars)",
        "sensitivity",
        "100 %",
    ):
        assert f">{text}<" in svg, text


def test_figures_take_their_ink_from_the_page_and_keep_text_as_text(scores):
    for svg in figures(scores).values():
        assert svg.startswith("<svg viewBox=")
        assert INK not in svg
        assert "currentColor" in svg
        assert re.search("planted twin|prevalence|AUROC lost", svg)


def test_ids_carry_the_prefix_so_that_figures_can_share_a_page(scores):
    for prefix, svg in figures(scores).items():
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert ids
        assert all(name.startswith(f"{prefix}-") for name in ids)
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_the_same_numbers_give_the_same_figure(scores):
    assert figures(scores) == figures(scores)


def test_constant_scores_still_make_a_figure(scores):
    for svg in figures(scores.assign(score=1.0)).values():
        assert "</svg>" in svg


@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_roc_curves_are_of_the_set_in_use_and_of_the_conflict_set(scores, plant_on, monkeypatch):
    drawn = []

    def spy(anomalous, values):
        drawn.append((list(anomalous), list(values)))
        return roc_curve(anomalous, values)

    monkeypatch.setattr("fcdd_audit.report.figures.roc_curve", spy)
    direction = DIRECTIONS[plant_on]
    svg = roc_curves({"planted": [scores]}, direction, "x")
    for variants, (anomalous, values) in zip((direction.usual, direction.conflict), drawn, strict=True):
        expected = [
            scores[(scores["part"] == part) & (scores["variant"] == variant)]["score"].tolist()
            for part, variant in zip(("nominal", "anomalous"), variants, strict=True)
        ]
        assert values == expected[0] + expected[1]
        assert anomalous == [False] * 9 + [True] * 9
    assert svg.index(">in use<") < svg.index(">conflict<")


def test_an_artifact_that_carries_over_is_no_false_alarm():
    rates = [rate("planted", 1.0), rate("other-artifact", None, "patch", relied_on="yes")]
    assert "fcdd, other-artifact (patch)" not in rates_figure(rates, "x")
