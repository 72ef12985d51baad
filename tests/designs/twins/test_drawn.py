"""What the page draws of the scores, measured by the run."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import auc as area_under

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.core.sides import SIDES
from fcdd_audit.designs.twins.drawn import (
    curves_table,
    first_thresholds,
    heat,
    most_drawn,
    scores_table,
)
from fcdd_audit.designs.twins.plan import twins
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.reading import CellRecord, Measured
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.experiment.work import Work
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.verdict.looks import single_look

EDIT = Plant("frame", ("anomalous",), 1.0)


def asked(plant_on="anomalous", seeds=2, bearing=None):
    about = ("set", "cat", "fcdd", "frame", plant_on, 1.0)
    return Question(*about, *twins("fcdd", EDIT, AS_IS, seeds), bearing=bearing)


def scored(seed):
    """Of three nominal and two anomalous test images."""
    rng = np.random.default_rng(seed)
    of = {
        (side, variant): rng.random(count)
        for side, count in zip(SIDES, (3, 2), strict=True)
        for variant in ("clean", "marked")
    }
    return Scores(np.arange(100.0) + seed, of)


def measured(question):
    cells = (*question.planted, *question.control)
    return Measured(
        question,
        single_look(len(question.planted)) if cells else (),
        (None,) if cells else (),
        {cell: Work(cell) for cell in cells},
        {cell: CellRecord(cell, scored(i), None, None, None, {}) for i, cell in enumerate(cells)},
    )


@pytest.fixture
def setup():
    """Only what names the images."""

    def pairs(side, names):
        images = torch.zeros(len(names), 1, 2, 2, dtype=torch.uint8)
        return Pairs(side, tuple(names), {"clean": images, "marked": images})

    return SimpleNamespace(pairs={"nominal": pairs("nominal", "abc"), "anomalous": pairs("anomalous", "xy")})


def test_thresholds_are_those_of_the_first_seed():
    found = first_thresholds(measured(asked()), 0.95)
    assert list(found) == ["planted", "control"]
    assert found["planted"] == pytest.approx(np.quantile(np.arange(100.0), 0.95), abs=1)
    assert found["control"] - found["planted"] == pytest.approx(2)
    assert first_thresholds(measured(Question("set", "cat", "fcdd", "frame", "nominal", 0.0)), 0.95) == {}


def test_scores_are_those_of_the_first_seeds_twins_with_the_images_names(setup):
    question = asked()
    found = measured(question)
    records = found.records
    table = scores_table([found], setup, asked=4)
    assert list(table) == ["question", "twin", "part", "variant", "image", "score"]
    assert set(table["question"]) == {4}
    for twin, cells in (("planted", question.planted), ("control", question.control)):
        for (side, variant), values in records[cells[0]].scores.of.items():
            mine = table[(table["twin"] == twin) & (table["part"] == side) & (table["variant"] == variant)]
            assert mine["score"].tolist() == values.tolist()
            assert "".join(mine["image"]) == ("abc" if side == "nominal" else "xy")
    assert len(table) == 2 * 2 * (3 + 2)


def test_of_the_side_where_a_found_artifact_is_removed_only_images_that_bear_it_are_drawn(setup):
    question = asked("found-on-nominal", bearing=torch.tensor([True, False, True]))
    found = measured(question)
    records = found.records
    table = scores_table([found], setup, 0)
    counts = table.groupby("part")["image"].unique().map("".join).to_dict()
    assert counts == {"nominal": "ac", "anomalous": "xy"}
    kept = table[(table["twin"] == "planted") & (table["part"] == "nominal") & (table["variant"] == "clean")]
    assert (
        kept["score"].tolist() == records[question.planted[0]].scores.of["nominal", "clean"][[0, 2]].tolist()
    )


@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_curves_are_of_the_set_in_use_and_of_the_conflict_set(plant_on):
    question = asked(plant_on)
    found = measured(question)
    records = found.records
    table = curves_table([found], 0)
    assert list(table) == ["question", "twin", "seed", "set", "fpr", "tpr"]
    direction = DIRECTIONS[plant_on]
    for twin, cells in (("planted", question.planted), ("control", question.control)):
        for seed, cell in enumerate(cells):
            of = records[cell].scores.of
            for name, variants in (("in use", direction.usual), ("conflict", direction.conflict)):
                mine = table[(table["twin"] == twin) & (table["seed"] == seed) & (table["set"] == name)]
                nominal, anomalous = (of[side, v] for side, v in zip(SIDES, variants, strict=True))
                assert (mine["fpr"].iloc[0], mine["tpr"].iloc[0]) == (0, 0)
                assert (mine["fpr"].iloc[-1], mine["tpr"].iloc[-1]) == (1, 1)
                area = area_under(mine["fpr"], mine["tpr"])
                assert area == pytest.approx(auroc(nominal, anomalous), abs=1e-12)


def test_without_twins_the_tables_have_columns_and_no_rows(setup):
    question = Question("set", "cat", "fcdd", "frame", "nominal", 0.0, obstacle="nothing is planted")
    for table in (scores_table([measured(question)], setup, 0), curves_table([measured(question)], 0)):
        assert table.empty
        assert {"question", "twin"} < set(table)


@pytest.mark.parametrize(("explainers", "findings"), [(1, 6), (5, 6), (6, 5), (10, 3), (30, 1), (99, 1)])
def test_with_more_than_five_explainers_fewer_findings_have_pictures(explainers, findings):
    assert most_drawn(explainers) == findings


def test_heat_is_kept_of_the_first_seeds_twins_by_explainer():
    question = asked()
    rng = np.random.default_rng(0)
    maps = {
        cell: {
            name: (rng.random((4, 3, 3)).astype(np.float32) * 1e-9, np.linspace(0, 1e-9, 5))
            for name in ("native", "grad-cam")
        }
        for cell in (question.planted[0], question.control[0])
    }
    found = heat(measured(question), lambda work: maps[work.cell], lambda work: {"native": rng}, [3, 0])
    assert set(found) == {
        f"{kind}.{twin}.{name}"
        for kind in ("maps", "scale", "levels")
        for twin in ("planted", "control")
        for name in ("native", "grad-cam")
    }
    for twin, cell in (("planted", question.planted[0]), ("control", question.control[0])):
        for name, (examples, levels) in maps[cell].items():
            kept = found[f"maps.{twin}.{name}"]
            assert kept.dtype == np.float16
            assert kept.max() == 1, "of the largest value, which float16 couldn't hold"
            assert kept.shape == (2, 3, 3)
            shown = kept.astype(np.float32) * found[f"scale.{twin}.{name}"]
            np.testing.assert_allclose(shown, examples[[3, 0]], rtol=1e-3, atol=1e-12)
            assert found[f"levels.{twin}.{name}"].tolist() == levels.tolist()


def test_what_lowers_is_kept_where_an_artifact_may_lower_the_score():
    question, lowered = asked(), np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    one = measured(question)
    works = {cell: Work(cell, ("native", "lrp"), lowered="anomalous") for cell in one.works}
    maps = {"lrp": (lowered, np.zeros(2))}
    found = heat(replace(one, works=works), lambda work: maps, lambda work: {"lrp": lowered}, [1])
    for twin in ("planted", "control"):
        kept = found[f"lowers.{twin}.lrp"] * found[f"lowers-scale.{twin}.lrp"]
        np.testing.assert_allclose(kept, lowered[1:], rtol=1e-3)
        assert found[f"lowers-levels.{twin}.lrp"][[0, -1]].tolist() == [0, 7], "of all that are kept"
