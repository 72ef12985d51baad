from fcdd_audit.report.figures import forest, forest_rows


def test_the_table_has_what_is_drawn_and_no_references(finding):
    rows = forest_rows([finding])
    assert rows[0] == {
        "judged on": "nominal",
        "finding": "FCDD",
        "explainer": "native",
        "excess": 0.32,
        "from": 0.02,
        "to": 0.65,
        "answer": "shows it",
    }
    assert [(row["explainer"], row["answer"]) for row in rows[1:]] == [
        ("grad-cam", "doesn't show it"),
        ("occlusion", "not judged"),
    ]


def test_the_words_and_numbers_are_in_the_figure(finding):
    svg = forest([finding], 0.05, "x")
    for text in (
        "judged on nominal images",
        "FCDD: native",
        "0.32 (0.02 to 0.65)",
        "shows it",
        "doesn't show it",
        "not judged",
        "limit, 0.05",
    ):
        assert f">{text}<" in svg, text
    assert "edges" not in svg


def test_what_is_not_judged_stands_last_whatever_the_order(finding):
    other = {**finding, "detector": "ae"}
    other["explainers"] = [{**finding["explainers"][0], "side": "anomalous"}]
    sides = [row["judged on"] for row in forest_rows([finding, other])]
    assert sides == ["nominal", "nominal", "anomalous", "not judged"]


def test_an_excess_without_an_interval_or_a_value(finding):
    shown = finding["explainers"][0]
    none = {"value": None, "low": None, "high": None}
    finding["explainers"] = [
        {**shown, "excess_pixel_auroc": {**none, "value": 0.25}},
        {**shown, "excess_pixel_auroc": none},
    ]
    svg = forest([finding], 0.05, "x")
    assert ">0.25<" in svg
    assert ">–<" in svg


def test_only_references_give_no_figure(finding):
    finding["explainers"] = finding["explainers"][-1:]
    assert forest([finding], 0.05, "x") == ""
