"""Explainers compared on artifacts that lower the score: the half of their maps that lowers it counts."""

import pandas as pd
import pytest

from fcdd_audit.experiment.folder import PAIR, second_name
from fcdd_audit.studies.compare.cases import alone, overlap_of, planted_twins
from fcdd_audit.studies.compare.halves import as_judged, least, lowers

HEADLINE = "pixel_auroc"


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def explainer(*opinions, **changes):
    """opinions: above chance and excess."""
    found = {"opinions": [{"above_chance": above, "excess": excess} for above, excess in opinions]}
    raised = {"side": "anomalous", "measure": HEADLINE, "excess": interval(-0.3, -0.4, -0.2)}
    about = {"explainer": "lrp", "reference": False, "judged": True, "side": "anomalous"}
    return {**about, "map": "lowers", "lowering": found, "overlaps": [raised], **changes}


ABOVE, EXCESS = interval(0.2, 0.1, 0.3), interval(0.4, 0.05, 0.75)


def test_of_one_explainer_alone_the_least_counts():
    assert alone(explainer((ABOVE, EXCESS)), HEADLINE) == interval(0.2, 0.05, 0.3)
    second = interval(0.1, -0.2, 0.4)
    assert least(explainer((ABOVE, EXCESS), (second, EXCESS))) == interval(0.1, -0.2, 0.3)
    assert least(explainer((interval(0.2, None, None), EXCESS)))["low"] is None


def test_what_is_judged_by_what_raises_and_older_runs_count_as_ever():
    raised = alone(explainer((ABOVE, EXCESS), map="raises"), HEADLINE)
    assert raised == interval(-0.3, -0.4, -0.2)
    older = explainer((ABOVE, EXCESS))
    del older["map"], older["lowering"]
    assert not lowers(older)
    assert alone(older, HEADLINE) == raised
    assert alone(explainer((ABOVE, EXCESS), map="raises", judged=False), HEADLINE) is None


def results():
    """A control and a planted twin on the nominal side, and the same on the anomalous one."""
    numbers = [
        ("control", "lrp", HEADLINE, 0.6),
        ("control", "lrp", "lowering_pixel_auroc", 0.4),
        ("planted", "lrp", HEADLINE, 0.3),
        ("planted", "lrp", "lowering_pixel_auroc", 0.9),
        (PAIR, "lrp", "excess_pixel_auroc", -0.3),
        (PAIR, "lrp", "lowering_excess", 0.5),
        (PAIR, "lrp", "lowering_above_chance", 0.2),
        (PAIR, second_name("lrp"), "lowering_excess", 0.1),
        (PAIR, second_name("lrp"), "lowering_above_chance", 0.3),
        (PAIR, "", "dependence", 2.0),
    ]
    return pd.DataFrame(
        [
            {
                "run": "0",
                "nominal_class": "cat",
                "probe": "bars",
                "plant_on": plant_on,
                "seed": 0.0,
                "detector": "hsc",
                "twin": twin,
                "prevalence": 0.0 if twin == "control" else 1.0,
                "explainer": name,
                "metric": metric,
                "value": value,
                "split": f"marked-{side}" if name else "conflict",
            }
            for plant_on, side in (("nominal", "anomalous"), ("anomalous", "nominal"))
            for twin, name, metric, value in numbers
        ]
    )


def shown(*lowered):
    """Findings. lowered: of the nominal and of the anomalous side, whether what lowers is judged."""
    case = {"run": "0", "nominal_class": "cat", "probe": "bars", "prevalence": 1.0, "possible": True}
    sides = zip(("nominal", "anomalous"), lowered, strict=True)
    return pd.DataFrame([{**case, "plant_on": plant_on, "lowers": one} for plant_on, one in sides])


def test_what_lowers_stands_for_the_map_where_that_is_judged():
    own = results()
    mine = as_judged(own, "lrp", shown(True, False), HEADLINE)
    overlaps = {
        twin: overlap_of(mine, twin, HEADLINE).set_index("plant_on")["overlap"]
        for twin in ("planted", "control")
    }
    assert (overlaps["planted"]["nominal"], overlaps["control"]["nominal"]) == (0.9, 0.4)
    assert (overlaps["planted"]["anomalous"], overlaps["control"]["anomalous"]) == (0.3, 0.6)
    twins = planted_twins(own, mine, shown(True, False), HEADLINE).set_index("plant_on")
    assert twins["excess"].to_dict() == {"nominal": pytest.approx(0.1), "anomalous": -0.3}
    assert twins["dependence"].tolist() == [2.0, 2.0]


def test_where_nothing_is_judged_by_what_lowers_rows_stay_as_they_are():
    own = results()
    pd.testing.assert_frame_equal(
        as_judged(own, "lrp", shown(False, False), HEADLINE), own[own["explainer"] == "lrp"]
    )
