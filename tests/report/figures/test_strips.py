import re

import numpy as np
import pandas as pd
import pytest

from fcdd_audit.report.figures import score_strips, score_strips_rows, strip_thresholds
from fcdd_audit.report.figures.strips import DIFFERENCE, MOST, RATIO

QUESTION = {
    "nominal_class": "cat",
    "detector": "fcdd",
    "probe": "watermark",
    "plant_on": "anomalous",
    "prevalence": 0.2,
    "seeds": [0, 1],
}


@pytest.fixture
def levels(results):
    return strip_thresholds([QUESTION], results)


def some(values, twin="planted", part="nominal", variant="clean", **more):
    about = {"question": 0, "twin": twin, "part": part, "variant": variant, **more}
    return pd.DataFrame({**about, "score": values})


def dots(svg):
    return len(re.findall("h0", svg))


def test_thresholds_are_of_every_twin_of_the_question(levels):
    assert levels.to_dict("list") == {
        "question": [0, 0, 0, 0],
        "twin": ["planted", "planted", "control", "control"],
        "seed": [0, 1, 0, 1],
        "threshold": [2.0, 3.0, 4.0, 5.0],
    }


def test_scores_are_divided_by_their_own_twins_threshold(levels):
    scores = pd.concat([some([1.0, 2.0, 6.0]), some([1.0, 2.0, 6.0], "control")])
    planted, control = score_strips_rows(scores, levels, {0: "fcdd"})
    assert planted == {
        "finding": "fcdd",
        "images": "nominal clean",
        "twin": "planted",
        "scale": RATIO,
        "scores": 3,
        "lower quartile": 0.75,
        "median": 1.0,
        "upper quartile": 2.0,
        "over the threshold": pytest.approx(1 / 3),
    }
    assert control["median"] == 0.5


def test_with_a_column_of_seeds_each_has_its_own(levels):
    scores = pd.concat([some([2.0], seed=0), some([6.0], seed=1)])
    (row,) = score_strips_rows(scores, levels, {0: "fcdd"})
    assert (row["scores"], row["lower quartile"], row["upper quartile"]) == (2, 1.25, 1.75)


def test_without_a_positive_threshold_it_is_the_difference(levels):
    scores = pd.concat([some([0.0, 1.0, 2.0, 3.0, 4.0]), some([5.0], variant="marked")])
    negative = levels.assign(threshold=-1.0)
    clean, marked = score_strips_rows(scores, negative, {0: "fcdd"})
    assert clean["scale"] == marked["scale"] == DIFFERENCE
    assert (clean["median"], marked["median"]) == (1.5, 3.0), "a range of 2"
    svg = score_strips(scores, negative, {0: "fcdd"}, "x")
    assert f">{DIFFERENCE}<" in svg
    assert f">{RATIO}<" not in svg


def test_both_scales_have_an_axis_of_their_own(levels):
    other = levels.assign(question=1, threshold=0.0)
    scores = pd.concat([some([1.0, 3.0]), some([1.0, 3.0]).assign(question=1)])
    svg = score_strips(scores, pd.concat([levels, other]), {0: "fcdd", 1: "ae"}, "x")
    for text in (RATIO, DIFFERENCE, "fcdd", "ae", "nominal clean", "50 % over", "100 % over"):
        assert f">{text}<" in svg, text


def test_at_most_so_many_points_a_strip(levels):
    few, many = (
        score_strips(some(np.linspace(1, 3, count)), levels, {0: "a"}, "x") for count in (7, 10 * MOST)
    )
    assert (dots(few), dots(many)) == (7, MOST)


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.0, -3.0], [1e9, 1e-9]])
def test_constant_negative_and_extreme_scores_still_make_a_figure(levels, values):
    svg = score_strips(some(values), levels, {0: "a"}, "x")
    assert dots(svg) == 2
    assert "nan" not in svg
