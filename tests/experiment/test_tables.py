"""From finished cells to the tidy table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit.edits.drop import Drop
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.explaining import CHECKED, overlap_columns
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.reading import CellRecord, Measured
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.tables import (
    COLUMNS,
    COSTS,
    chance_levels,
    costs_table,
    evidence,
    overlaps,
    results_table,
    with_class_means,
)
from fcdd_audit.experiment.work import Work
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.verdict.findings import FailedTwin
from fcdd_audit.verdict.judge import judge
from fcdd_audit.verdict.looks import Look, single_look
from fcdd_audit.verdict.thresholds import Thresholds

FULL, HALF = (Plant("frame", ("anomalous",), share) for share in (1.0, 0.5))
CONTROL, PLANTED = Cell("fcdd", 0, AS_IS), Cell("fcdd", 0, FULL)
SPENT = {"seconds": 0.5, "megabytes": 2.0, "seconds_to_score": 0.1}


def scores(marked_nominal):
    """Anomalous images are told from nominal ones, unless the artifact raises the score of these."""
    nominal, anomalous = np.array([0.0, 1.0]), np.array([2.0, 3.0])
    return Scores(
        nominal,
        {
            ("nominal", "clean"): nominal,
            ("nominal", "marked"): np.array(marked_nominal),
            ("anomalous", "clean"): anomalous,
            ("anomalous", "marked"): anomalous,
        },
    )


def localization(pixel_aurocs, explainer="native"):
    """Rows of two nominal images and an anomalous one, on the exact mask and on one twice as large; other
    measures are 0.5."""
    columns = [name for name in overlap_columns() if name != "place"]
    rows = []
    for mask, area in (("exact", 0.1), ("dilated", 0.2)):
        images = zip(("nominal", "nominal", "anomalous"), (0, 1, 0), "aba", pixel_aurocs, strict=True)
        for part, turn, image, value in images:
            about = {"explainer": explainer, "part": part, "mask": mask, "image": image, "area": area}
            about["turn"] = turn
            rows.append({**dict.fromkeys(columns, 0.5), **about, "pixel_auroc": value})
    return pd.DataFrame(rows)[["explainer", *columns]]


def record(cell, marked_nominal=(0.0, 1.0), pixel_aurocs=(0.5, 0.6, 0.7)):
    checks = pd.DataFrame([("native", "noise", "rank_correlation", 0.9)], columns=["explainer", *CHECKED])
    found = localization(pixel_aurocs)
    return CellRecord(cell, scores(marked_nominal), found, found[:0], checks, {"native": SPENT})


def question(planted, control, prevalence=1.0, plant_on="anomalous", **others):
    return Question("set", "cat", "fcdd", "frame", plant_on, prevalence, planted, control, **others)


def measured(asked, records, looks=None, images=None):
    """The question with its records, by default after one look at all of its images."""
    looks = (single_look(len(asked.planted)) if asked.planted else ()) if looks is None else looks
    works = {cell: Work(cell) for cell in records}
    return Measured(asked, looks, (None,) * len(looks) if images is None else images, works, records)


def number(table, split, metric, **where):
    """The one number of that split and metric."""
    rows = table[(table["split"] == split) & (table["metric"] == metric)]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    (found,) = rows["value"]
    return found


# results.csv


def test_a_pair_of_twins_has_rows_of_each_and_of_both():
    records = {CONTROL: record(CONTROL), PLANTED: record(PLANTED, (4.0, 5.0), (0.9, 0.9, 0.9))}
    table = results_table([measured(question((PLANTED,), (CONTROL,)), records)], 0.95)
    assert list(table) == list(COLUMNS)
    twins = table.drop_duplicates(["twin", "prevalence", "seed"])[["twin", "prevalence", "seed"]]
    assert twins.to_numpy().tolist() == [
        ["control", 0.0, 0],
        ["planted", 1.0, 0],
        ["planted-control", 1.0, 0],
    ]
    assert number(table, "conflict", "auroc", twin="control") == 1
    assert number(table, "conflict", "auroc", twin="planted") == 0
    assert number(table, "conflict", "reliance") == 1, "the planted twin falls by 1, its control by 0"
    assert number(table, "marked", "pixel_auroc", twin="control") == pytest.approx(0.6)
    assert number(table, "marked-nominal", "pixel_auroc", twin="control") == pytest.approx(0.55)
    assert number(table, "marked-nominal", "excess_pixel_auroc") == pytest.approx(0.35)
    assert number(table, "marked-anomalous", "excess_pixel_auroc") == pytest.approx(0.2)
    # nominal scores 0 and 1 rise by 4, their range is .5; none passed the threshold, both do
    assert number(table, "conflict", "score_shift", twin="planted") == 8
    assert number(table, "conflict", "dependence") == 5, "cut off"
    assert number(table, "conflict", "new_alarms", twin="planted") == 0.5, "the score 1 is over .95 anyway"
    assert number(table, "conflict", "excess_alarms") == 0.5
    assert number(table, "marked", "area_dilated", twin="control") == pytest.approx(0.2)
    assert number(table, "noise", "rank_correlation", twin="planted") == 0.9
    assert "twins" not in set(table["split"]), "maps aren't compared unless they are given"


def test_a_control_that_questions_share_stands_once_and_each_pair_stands():
    half = Cell("fcdd", 0, HALF)
    records = {cell: record(cell) for cell in (CONTROL, PLANTED, half)}
    questions = [question((PLANTED,), (CONTROL,)), question((half,), (CONTROL,), 0.5)]
    table = results_table([measured(one, records) for one in questions], 0.95)
    one = table[(table["split"] == "clean") & (table["metric"] == "auroc")]
    assert one[["twin", "prevalence"]].to_numpy().tolist() == [
        ["control", 0.0],
        ["planted", 1.0],
        ["planted", 0.5],
    ]
    assert table[table["metric"] == "reliance"]["prevalence"].tolist() == [1.0, 0.5]


def test_one_cell_can_be_the_planted_twin_of_a_question_and_the_control_of_another():
    """A cell doesn't know its part: images as found are planted beside cleaned ones, and control beside
    those on which another artifact is planted."""
    cleaned = Cell("fcdd", 0, Drop())
    records = {cell: record(cell) for cell in (CONTROL, PLANTED, cleaned)}
    questions = [
        question((CONTROL,), (cleaned,), 0.75, "found-on-anomalous"),
        question((PLANTED,), (CONTROL,)),
    ]
    table = results_table([measured(one, records) for one in questions], 0.95)
    one = table[(table["split"] == "clean") & (table["metric"] == "auroc")]
    assert one[["twin", "prevalence"]].to_numpy().tolist() == [
        ["control", 0.0],
        ["planted", 0.75],
        ["control", 0.0],
        ["planted", 1.0],
    ]
    costs = costs_table([measured(one, records) for one in questions])
    assert costs[["twin", "prevalence"]].to_numpy().tolist() == [
        ["control", 0.0],
        ["planted", 0.75],
        ["control", 0.0],
        ["planted", 1.0],
    ]


def test_maps_of_twins_are_compared_where_they_are_given():
    maps = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    heat = {CONTROL: {"native": (maps, np.zeros(3))}, PLANTED: {"native": (1 - maps, np.ones(3))}}
    asked = measured(question((PLANTED,), (CONTROL,)), {cell: record(cell) for cell in heat})
    table = results_table([asked], 0.95, lambda work: heat[work.cell])
    assert number(table, "twins", "rank_correlation", twin="planted-control") == pytest.approx(-1)
    table = results_table([asked], 0.95, lambda work: heat[CONTROL])
    assert number(table, "twins", "rank_correlation") == number(table, "twins", "structural_similarity") == 1


def test_of_a_found_artifact_only_images_that_bear_it_count():
    bearing = torch.tensor([True, False])
    records = {cell: record(cell, (0.0, 1.0)) for cell in (CONTROL, Cell("fcdd", 0, Drop()))}
    asked = question((CONTROL,), (Cell("fcdd", 0, Drop()),), 0.5, "found-on-anomalous", bearing=bearing)
    for one in records.values():
        one.scores.of["anomalous", "clean"][:] = [0.5, 9.0]
    table = results_table([measured(asked, records)], 0.95)
    assert number(table, "clean", "auroc", twin="planted") == 0.5, "0.5 against 0 and 1, without 9"


def test_without_questions_that_have_numbers_the_tables_have_their_columns():
    nothing = [measured(question((), (), obstacle="nothing to learn"), {})]
    assert list(results_table(nothing, 0.95)) == list(COLUMNS)
    assert list(costs_table(nothing)) == list(COSTS)
    assert results_table(nothing, 0.95).empty


def test_costs_are_of_each_twin_and_explainer():
    records = {CONTROL: record(CONTROL), PLANTED: record(PLANTED)}
    table = costs_table([measured(question((PLANTED,), (CONTROL,), 0.5), records)])
    assert list(table) == list(COSTS)
    assert table.to_numpy().tolist() == [
        ["fcdd", "control", 0.0, 0, "native", 0.5, 2.0, 0.1],
        ["fcdd", "planted", 0.5, 0, "native", 0.5, 2.0, 0.1],
    ]


# What is judged


def test_overlaps_are_by_image_and_carry_the_kind_of_their_mask():
    defect = localization((0.1, 0.1, 0.1)).assign(part="defect")
    rows = pd.concat([localization((0.5, 0.6, 0.7)), defect])
    for side, values in (("nominal", [0.5, 0.6]), ("anomalous", [0.7])):
        found = overlaps(rows, side)
        assert list(found) == ["native"]
        assert found["native"]["pixel_auroc"].tolist() == values
        assert found["native"]["pixel_auroc_dilated"].tolist() == values
    chance = chance_levels(record(CONTROL))
    assert chance["pixel_auroc"] == chance["pixel_auroc_dilated"] == 0.5
    assert chance["relevance_mass"] == pytest.approx(0.1)
    assert chance["relevance_mass_dilated"] == pytest.approx(0.2)


@pytest.fixture(scope="module")
def data(exposed_config):
    return prepare(exposed_config).data


def pairs(count):
    planted, control = (tuple(Cell("fcdd", seed, edit) for seed in range(count)) for edit in (FULL, AS_IS))
    return question(planted, control)


def test_what_is_judged_is_paired_by_seed_and_has_sides_apart(data):
    asked = pairs(2)
    records = {
        **{
            cell: record(cell, (4, 5), (0.6 + seed / 10, 0.8, 0.9)) for seed, cell in enumerate(asked.planted)
        },
        **{cell: record(cell, (0, 1), (0.2, 0.4, 0.5)) for cell in asked.control},
    }
    found = evidence(measured(asked, records), data, 0.95)
    sides = found.overlaps["native"]
    planted, control = sides["nominal"].numbers["pixel_auroc"]
    assert planted == pytest.approx([0.7, 0.75])
    assert control == pytest.approx([0.3, 0.3])
    assert sides["nominal"].excess.last == pytest.approx([0.4, 0.45])
    assert sides["anomalous"].excess.last == pytest.approx([0.4, 0.4])
    assert (sides["nominal"].images, sides["anomalous"].images) == (2, 1)
    assert [values.tolist() for values in found.scores["score_shift"]] == [[8, 8], [0, 0]]
    assert (found.turns, found.looks) == ((0, 1), single_look(2))
    assert (found.images, found.failed, found.ability, found.obstacle) == (4, (), None, None)


def test_an_image_without_a_number_for_one_twin_counts_for_neither(data):
    asked = pairs(1)
    records = {
        asked.planted[0]: record(PLANTED, pixel_aurocs=(0.9, 0.7, 0.5)),
        asked.control[0]: record(CONTROL, pixel_aurocs=(np.nan, 0.5, np.nan)),
    }
    sides = evidence(measured(asked, records), data, 0.95).overlaps["native"]
    assert [one.tolist() for one in sides["nominal"].numbers["pixel_auroc"]] == [[0.7], [0.5]]
    assert np.isnan(sides["anomalous"].excess.last).all()


def test_each_look_has_its_pairs_and_its_images(data):
    """At the first look the first image of each side of the first pair, later all."""
    asked = pairs(2)
    records = {
        **{cell: record(cell, pixel_aurocs=(0.9, 0.7, 0.5)) for cell in asked.planted},
        **{cell: record(cell) for cell in asked.control},
    }
    looks = (Look(1, 0.6), Look(2, 0.4))
    found = evidence(measured(asked, records, looks, (1, 2)), data, 0.95)
    side = found.overlaps["native"]["nominal"]
    assert [one.tolist() for one in side.excess.values] == [
        pytest.approx([0.4]),
        pytest.approx([0.25, 0.25]),
    ]
    assert side.excess.shares == (0.6, 0.4)
    assert side.images == 2
    assert side.numbers["pixel_auroc"][0] == pytest.approx([0.8, 0.8])
    assert found.looks == looks


def test_pairs_that_are_missing_keep_their_turns(data):
    asked = pairs(4)
    kept = replace(asked, planted=asked.planted[1::2], control=asked.control[1::2])
    records = {cell: record(cell) for cell in (*kept.planted, *kept.control)}
    found = evidence(measured(kept, records, (Look(1, 0.5), Look(4, 0.5)), (2, 2)), data, 0.95)
    assert found.turns == (1, 3)
    assert [len(one) for one in found.overlaps["native"]["nominal"].excess.values] == [0, 2]
    (finding,) = judge([found], Thresholds())
    assert (finding.seeds, finding.missing) == (2, "pairs")


def test_overlap_before_training_is_of_the_one_control_whose_network_was_explained(data):
    asked = pairs(3)
    records = {cell: record(cell) for cell in (*asked.planted, *asked.control)}
    assert evidence(measured(asked, records), data, 0.95).untrained == {}
    second = asked.control[1]
    records[second] = replace(records[second], untrained=localization((0.1, np.nan, 0.3)))
    found = evidence(measured(asked, records), data, 0.95).untrained["native"]
    assert found["nominal"]["pixel_auroc"] == pytest.approx(0.1)
    assert found["anomalous"]["pixel_auroc"] == pytest.approx(0.3)
    assert found["nominal"]["pixel_ap_dilated"] == 0.5


@pytest.mark.parametrize("bearing", [None, torch.tensor([True, True, False, False])])
def test_a_question_all_of_whose_pairs_are_lost_has_its_failures_and_no_numbers(data, bearing):
    failed = (FailedTwin(0, "planted", "it diverged"),)
    found = evidence(measured(question((), (), failed=failed, bearing=bearing), {}), data, 0.95)
    assert found.failed == failed
    assert (found.pairs, found.scores, found.looks) == (0, {}, ())
    assert (found.overlaps, found.chance, dict(found.untrained), found.ability) == ({}, {}, {}, None)
    assert found.images == len(data.test_nominal) + len(data.test_anomalous)


# Several classes


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
