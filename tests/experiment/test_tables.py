"""From finished cells to the tidy table."""

import pandas as pd

from fcdd_audit.experiment.tables import COLUMNS, with_class_means


def test_a_number_that_a_class_does_not_have_has_no_mean():
    def row(name, split, value):
        about = {**dict.fromkeys(COLUMNS, ""), "plant_on": "anomalous"}
        return {**about, "nominal_class": name, "split": split, "value": value}

    rows = [row("a", "clean", 1.0), row("a", "defect", 1.0), row("a", "marked", 1.0)]
    rows += [row("b", "clean", 2.0), row("b", "marked", float("nan"))]
    table = with_class_means(pd.DataFrame(rows))
    means = table[table["nominal_class"] == "mean"]
    assert list(zip(means["split"], means["value"], strict=True)) == [("clean", 1.5)]
    one = pd.DataFrame(rows[:3])
    assert with_class_means(one) is one


def test_the_share_on_which_an_artifact_was_found_is_each_classs_own():
    """So that rows of several classes have a mean all the same, and their shares none."""

    def row(name, twin, plant_on, prevalence, value):
        about = {**dict.fromkeys(COLUMNS, ""), "plant_on": plant_on, "twin": twin}
        return {**about, "nominal_class": name, "prevalence": prevalence, "value": value}

    rows = [
        row("a", "planted", "found-on-nominal", 0.2, 1.0),
        row("b", "planted", "found-on-nominal", 0.4, 2.0),
    ]
    rows += [row("a", "planted", "nominal", 0.2, 1.0), row("b", "planted", "nominal", 0.4, 2.0)]
    table = with_class_means(pd.DataFrame(rows))
    means = table[table["nominal_class"] == "mean"]
    assert means["plant_on"].tolist() == ["found-on-nominal"]
    assert means["value"].tolist() == [1.5]
    assert means["prevalence"].isna().all()
