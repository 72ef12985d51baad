import pytest

from fcdd_audit.report.figures import origin_dots, origin_rows
from fcdd_audit.report.figures.origin import CLASSES, LISTED


def checked(name, features=2):
    return {
        "nominal_class": name,
        "summary": f"{name} differs.",
        "groups": [{"group": "coding", "auroc": {"value": 0.54, "low": 0.49, "high": 0.58}}],
        "features": [
            {
                "label": f"width {at}",
                "group": "file",
                "unit": "px",
                "nominal": 640.0,
                "anomalous": 1024.0,
                "auroc": {"value": 0.9, "low": 0.85, "high": 0.95},
            }
            for at in range(features)
        ],
        "limits": {"separates": 0.6},
    }


def test_the_table_has_groups_and_features():
    group, feature = origin_rows([checked("cat", 1)])
    assert group == {
        "class": "cat",
        "feature": "all of coding",
        "group": "coding",
        "AUROC": 0.54,
        "from": 0.49,
        "to": 0.58,
        "nominal": None,
        "anomalous": None,
        "unit": "",
    }
    assert feature == {
        "class": "cat",
        "feature": "width 0",
        "group": "file",
        "AUROC": 0.9,
        "from": 0.85,
        "to": 0.95,
        "nominal": 640.0,
        "anomalous": 1024.0,
        "unit": "px",
    }


def test_the_words_and_numbers_are_in_the_figure():
    svg = origin_dots([checked("cat")], "x")
    for text in (
        "all of coding",
        "width 1",
        "0.90 (0.85 to 0.95)",
        "640 against 1024 px",
        "chance",
        "limit of a group, 0.6",
    ):
        assert f">{text}<" in svg, text
    assert ">cat<" not in svg, "one class needs no heading"
    assert ">cat: cat differs.</desc>" in svg


@pytest.mark.parametrize(("more", "words"), [(1, "1 more class in"), (3, "3 more classes in")])
def test_of_many_classes_the_first_are_drawn_and_the_rest_said(more, words):
    origin = [checked(f"class{at}") for at in range(CLASSES + more)]
    svg = origin_dots(origin, "x")
    assert f">class{CLASSES - 1}<" in svg
    assert f">class{CLASSES}<" not in svg
    assert f">{words} the table<" in svg
    assert len(origin_rows(origin)) == 3 * len(origin)


def test_so_many_features_are_drawn():
    svg = origin_dots([checked("cat", LISTED + 1)], "x")
    assert f">width {LISTED - 1}<" in svg
    assert f">width {LISTED}<" not in svg


def test_an_unchecked_class_is_left_out():
    assert origin_dots([{**checked("cat"), "groups": [], "features": []}], "x") == ""
