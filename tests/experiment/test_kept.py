"""The files of records come back as they were given."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fcdd_audit.experiment.kept import (
    halved,
    maps_file,
    read_frame,
    read_maps,
    read_scores,
    scores_file,
    table_file,
)
from fcdd_audit.measures.reliance import Scores

NAMES = {"validation": ("v",), "nominal": ("a", "b"), "anomalous": ("c",)}
numbers = st.floats(allow_nan=False)


def scores_of(*values):
    """One validation score, and two variants of two nominal images and an anomalous one."""
    validation, *rest = values
    parts = [("nominal", "clean"), ("nominal", "marked"), ("anomalous", "clean"), ("anomalous", "marked")]
    of = dict(zip(parts, np.split(np.array(rest), [2, 4, 5]), strict=True))
    return Scores(np.array([validation]), of)


# Tables


@given(st.lists(st.floats(), min_size=1, max_size=8))
def test_numbers_of_a_table_come_back_to_the_last_bit(values):
    table = pd.DataFrame({"area": values})
    np.testing.assert_array_equal(read_frame(table_file(table))["area"].to_numpy(), np.array(values))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r")), min_size=1, max_size=8))
@example(["NA", "", "nan", "a,b", "line\nline", '"', "é"])
def test_text_comes_back_whatever_it_is(names):
    check_names(names)


@pytest.mark.parametrize("name", ["\r", "Icon\r.png", "a\r\nb"])
def test_a_carriage_return_in_the_name_of_a_file_comes_back(name):
    check_names([name, "b"])


def check_names(names):
    table = pd.DataFrame({"image": names, "score": range(len(names))})
    found = read_frame(table_file(table))
    assert found["image"].tolist() == names
    assert found["score"].tolist() == [float(place) for place in range(len(names))]


def test_a_table_is_read_as_the_columns_say():
    table = pd.DataFrame({"part": ["nan", "1"], "image": ["NA", "007"], "turn": [0, 1]})
    found = read_frame(table_file(table.assign(area=[0.5, np.nan])))
    assert found["part"].tolist() == ["nan", "1"]
    assert found["image"].tolist() == ["NA", "007"]
    assert found["turn"].tolist() == [0.0, 1.0]
    assert np.isnan(found["area"].iloc[1])


def test_a_table_without_rows_keeps_its_columns():
    found = read_frame(table_file(pd.DataFrame(columns=["part", "mask", "turn"])))
    assert list(found) == ["part", "mask", "turn"]
    assert found.empty


def test_a_table_that_was_read_is_written_with_the_same_bytes():
    """Overlaps are kept again with more rows."""
    first = table_file(pd.DataFrame({"part": ["a"], "area": [1 / 3], "pixel_auroc": [np.nan]}))
    again = table_file(read_frame(first))
    assert again == first
    assert table_file(read_frame(again)) == first


# Scores


@given(st.lists(numbers, min_size=7, max_size=7))
def test_scores_come_back_to_the_last_bit(values):
    given_scores = scores_of(*values)
    found = read_scores(scores_file(given_scores, NAMES))
    assert found.validation.tolist() == given_scores.validation.tolist()
    assert list(found.of) == list(given_scores.of)
    for key, expected in given_scores.of.items():
        assert found.of[key].tolist() == expected.tolist()


def test_each_score_stands_in_a_row_with_its_image():
    text = scores_file(scores_of(0.5, 1, 2, 3, 4, 5, 6), NAMES).decode()
    assert text.splitlines() == [
        "part,image,variant,score",
        "validation,v,clean,0.5",
        "nominal,a,clean,1.0",
        "nominal,b,clean,2.0",
        "nominal,a,marked,3.0",
        "nominal,b,marked,4.0",
        "anomalous,c,clean,5.0",
        "anomalous,c,marked,6.0",
    ]


def test_images_of_one_name_keep_their_own_scores():
    names = {**NAMES, "nominal": ("x,\n", "x,\n"), "anomalous": ("NA",)}
    found = read_scores(scores_file(scores_of(0.5, 1, 2, 3, 4, 5, 6), names))
    assert found.of["nominal", "marked"].tolist() == [3, 4]


def test_validation_scores_are_apart_from_those_of_test_images():
    found = read_scores(scores_file(scores_of(0.5, 1, 2, 3, 4, 5, 6), NAMES))
    assert found.validation.tolist() == [0.5]
    assert ("validation", "clean") not in found.of


# Heatmaps


def test_heatmaps_are_scaled_back_and_the_quantiles_stay():
    maps = np.array([[[0.0, 0.5], [1.0, 0.25]], [[4.0, 0.0], [0.0, 0.0]]])
    levels = np.float32([0, 1 / 3, 4])
    found, kept = read_maps(maps_file(maps, levels))
    assert found.tolist() == maps.tolist()
    assert found.dtype == np.float32
    assert kept.tolist() == levels.tolist()
    half, scale = halved(maps)
    assert (half.dtype, float(half.max()), float(scale)) == (np.float16, 1, 4)


@pytest.mark.parametrize("size", [1e-30, 1e-9, 1.0, 1e9, 1e30])
def test_maps_of_any_size_keep_three_digits(size):
    maps = np.linspace(0.01, 1, 100, dtype=np.float32).reshape(4, 5, 5) * np.float32(size)
    found, _ = read_maps(maps_file(maps, np.zeros(3, np.float32)))
    np.testing.assert_allclose(found, maps, rtol=1e-3)


def test_flat_maps_stay_flat():
    found, _ = read_maps(maps_file(np.zeros((2, 3, 3), np.float32), np.zeros(3, np.float32)))
    assert found.tolist() == np.zeros((2, 3, 3)).tolist()


def test_the_same_maps_are_the_same_bytes():
    maps = np.random.default_rng(0).random((4, 8, 8), np.float32)
    assert maps_file(maps, maps[0, 0]) == maps_file(maps.copy(), maps[0, 0].copy())
    assert maps_file(maps, maps[0, 0]) != maps_file(maps[::-1], maps[0, 0])


def test_reading_needs_no_torch():
    code = "import sys, fcdd_audit.experiment.kept; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
