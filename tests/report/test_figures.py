import re

import matplotlib as mpl
import pandas as pd
import pytest

from fcdd_audit.report.figures import (
    INK,
    among_placebos,
    dose_figure,
    dose_response,
    places_figure,
    rates_figure,
    roc_curves,
)

# What a library is about to remove ends here, not at the user's.
pytestmark = [
    pytest.mark.filterwarnings(f"error::{kind}")
    for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
]
LABELS = {"dependence": "dependence", "new_alarms": "new alarms", "excess_pixel_auroc": "excess pixel AUROC"}
LEVELS = {"shift": 0.5, "alarms": 0.05, "reveal": 0.05}
TWINS = ("planted", "control")


@pytest.fixture
def curves():
    """A question's rows of curves.csv: two seeds of either twin."""
    frames = [
        pd.DataFrame(
            {"question": 0, "twin": twin, "seed": seed, "set": name, "fpr": [0, 0, 1], "tpr": [0, share, 1]}
        )
        for twin in TWINS
        for seed in (0.0, 1.0)
        for name, share in (("in use", 0.75), ("conflict", 0.25))
    ]
    return pd.concat(frames, ignore_index=True)


DOSE = {
    kind: [{"share": 0.5, "newly_wrong": 0.1, "p": 0.3}, {"share": 1.0, "newly_wrong": 0.9, "p": 0.0}]
    for kind in ("opacity", "size")
}


@pytest.fixture
def figures(curves):
    return {
        "b": roc_curves(curves, "b"),
        "c": dose_response([finding(0.01), finding(1.0)], LEVELS, LABELS.__getitem__, "c"),
        "d": rates_figure([rate("planted", 0.01), rate("planted", 1.0), rate("any-null", None)], "d"),
        "e": among_placebos(0.3, [0.0, 0.1, 0.1], "AUROC lost", 0.05, "e"),
        "f": dose_figure(DOSE, 0.05, "f"),
        "g": places_figure([0, 5], [0, 3, 6], [[0.0, 0.5, 1.0], [0.0, 0.0, 0.1]], "g"),
    }


def span(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def finding(prevalence):
    shown = {"explainer": "native", "reference": False, "excess_pixel_auroc": span(0.2, 0.1, 0.3)}
    known = {**shown, "explainer": "edges", "reference": True}
    numbers = {"dependence": span(prevalence * 3), "alarms": span(prevalence / 2)}
    return {"prevalence": prevalence, **numbers, "explainers": [shown, known]}


def rate(truth, prevalence, label=None, carries_over=False):
    return {
        "detector": "fcdd",
        "truth": truth,
        "label": label or truth,
        "null": truth != "planted",
        "prevalence": prevalence,
        "audits": 20,
        "says_relies": span(0.5, 0.3, 0.7),
        "carries_over": carries_over,
    }


def test_the_dose_has_a_tick_at_each_prevalence_and_a_line_for_each_explainer():
    svg = dose_response(
        [finding(0.01), finding(0.2), finding(1.0)],
        LEVELS,
        LABELS.__getitem__,
        "x",
    )
    for text in ("1 %", "20 %", "100 %", "dependence", "new alarms", "excess pixel AUROC"):
        assert f">{text}<" in svg, text
    assert ">edges<" not in svg, "reference maps show nothing"


def test_prevalences_without_a_number_are_left_out_of_the_curve():
    empty = {"prevalence": 0.2, "dependence": None, "alarms": None, "explainers": []}
    svg = dose_response([empty, finding(1.0)], LEVELS, LABELS.__getitem__, "x")
    assert ">100 %<" in svg
    assert ">20 %<" not in svg
    assert "</svg>" in dose_response([empty], LEVELS, LABELS.__getitem__, "x")


def test_the_artifact_stands_among_its_placebos():
    svg = among_placebos(0.3, [0.0, 0.1, 0.1], "AUROC lost", 0.05, "x")
    for text in ("AUROC lost", "placebos", "artifact"):
        assert f">{text}<" in svg, text
    assert "</svg>" in among_placebos(0.0, [0.0] * 39, "AUROC lost", 0.0, "x"), "all alike"


def test_a_dose_has_a_panel_for_opacity_and_one_for_size_if_it_has_one():
    svg = dose_figure(DOSE, 0.05, "x")
    for text in ("opacity", "size"):
        assert f">share of the artifact's {text}<" in svg, text
    assert svg.count(">turned wrong<") == 1
    alone = dose_figure({**DOSE, "size": []}, 0.05, "x")
    assert "artifact's size" not in alone


def test_places_are_named_by_pixels():
    svg = places_figure([0, 13], [7], [[0.0], [1.0]], "x")
    for text in ("0", "13", "7", "from the left, px", "from the top, px", "turned wrong"):
        assert f">{text}<" in svg, text


def test_the_figure_of_rates_names_each_kind_of_null():
    svg = rates_figure(
        [
            rate("planted", 1.0, "artifact planted on 100 %"),
            rate("both-sides", 0.2, "planted on 20 % of both sides alike"),
            rate("unrelated-seeds", None, "two clean twins of unrelated seeds"),
            rate("other-artifact", 1.0, "bars planted instead on 100 %"),
        ],
        "x",
    )
    for text in (
        "FCDD, planted on 20 % of both sides alike",
        "FCDD, two clean twins of unrelated seeds",
        "FCDD, bars planted instead on 100 %",
        "sensitivity",
        "100 %",
    ):
        assert f">{text}<" in svg, text
    assert "FCDD, artifact planted" not in svg, "that is no null"


def test_a_kind_of_no_audits_is_no_false_alarm():
    rates = [rate("planted", 1.0), {**rate("any-null", None, "all nulls together"), "audits": 0}]
    assert "all nulls together" not in rates_figure(rates, "x")


def test_figures_take_their_ink_from_the_page_and_keep_text_as_text(figures):
    for svg in figures.values():
        assert re.match(r'<svg viewBox="[^"]+" role="img" aria-labelledby="', svg)
        assert INK not in svg
        assert "currentColor" in svg
        assert re.search("planted twin|prevalence|AUROC lost|turned wrong", svg)


def test_ids_carry_the_prefix_so_that_figures_can_share_a_page(figures):
    for prefix, svg in figures.items():
        ids = re.findall(r'\bid="([^"]+)"', svg)
        assert ids
        assert all(name.startswith(f"{prefix}-") for name in ids)
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_the_same_numbers_give_the_same_figure(curves):
    assert roc_curves(curves, "b") == roc_curves(curves, "b")


def test_the_users_settings_are_the_same_after_a_figure(curves):
    with mpl.rc_context({"text.usetex": True, "lines.linewidth": 7, "font.family": "monospace"}):
        before = dict(mpl.rcParams.copy())
        roc_curves(curves, "b")
        assert dict(mpl.rcParams.copy()) == before


def test_curves_have_a_line_for_each_seed_and_each_set_is_named_once(curves):
    svg = roc_curves(curves, "x")
    for text in ("planted twin", "control twin", "test set"):
        assert f">{text}<" in svg, text
    assert svg.count(">in use<") == svg.count(">conflict<") == 1
    assert svg.index(">in use<") < svg.index(">conflict<")
    one_seed = roc_curves(curves[curves["seed"] == 0], "x")
    lines = [len(re.findall(r'id="x-line2d_', text)) for text in (svg, one_seed)]
    assert lines[0] - lines[1] == 2 * 2, "two twins, two sets"


def test_an_artifact_that_carries_over_is_no_false_alarm():
    label = "patch planted instead on 20 %"
    for carries_over in (False, True):
        rates = [rate("planted", 1.0), rate("other-artifact", 0.2, label, carries_over)]
        assert (label in rates_figure(rates, "x")) != carries_over
