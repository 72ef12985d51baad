"""From cells to what the verdict on the half that lowers is given on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fcdd_audit.designs.twins.plan import twins
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.explaining import overlap_columns
from fcdd_audit.experiment.folder import second_name
from fcdd_audit.experiment.lowered import found_lowering, lowering_numbers, paired_lowering
from fcdd_audit.experiment.lowering import COLUMNS, FIRST, SECOND
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.reading import CellRecord, Measured
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.experiment.work import Work
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.verdict.looks import Look, single_look

IMAGES = 8  # anomalous ones; two are spared, and four are explained
NOMINAL = np.array([0.0, 1.0, 2.0, 3.0])  # inter-quartile range 1.5


def record(cell, moved, auroc, chance, second=None, explained=4):
    """moved: by the artifact, of each anomalous image. auroc, chance: of each explained one."""
    clean = np.full(IMAGES, 10.0)
    of = {("anomalous", "clean"): clean, ("anomalous", "marked"): clean + np.asarray(moved, float)}
    of |= {("nominal", variant): NOMINAL for variant in ("clean", "marked")}
    columns = [name for name in overlap_columns() if name != "place"]
    own = [
        {
            **dict.fromkeys(columns, 0.5),
            "explainer": "occlusion",
            "part": "anomalous",
            "mask": mask,
            "image": str(turn),
            "turn": turn,
            "lowering_pixel_auroc": auroc[turn] if mask == "exact" else np.nan,
            "signed_relevance": -turn / 10,
        }
        for mask in ("exact", "dilated")
        for turn in range(explained)
    ]
    opinions = {FIRST: np.full(explained, np.nan), **({} if second is None else {SECOND: second})}
    lowering = [
        ("occlusion", opinion, turn, turn, str(turn), values[turn], chance[turn])
        for opinion, values in opinions.items()
        for turn in range(explained)
    ]
    localization = pd.DataFrame(own)[["explainer", *columns]]
    return CellRecord(
        cell,
        Scores(NOMINAL, of),
        localization,
        localization[:0],
        pd.DataFrame(columns=["explainer", "split", "metric", "value"]),
        {},
        pd.DataFrame(lowering, columns=["explainer", *COLUMNS]),
    )


def measured(planted, control, plant_on="nominal", looks=None, images=None, **others):
    """planted, control: what `record` is given, of each pair."""
    cells = twins("hsc", Plant("frame", ("nominal",), 1.0), AS_IS, len(planted))
    question = Question("set", "cat", "hsc", "frame", plant_on, 1.0, *cells, **others)
    asked = zip((*cells[0], *cells[1]), (*planted, *control), strict=True)
    records = {cell: record(cell, **one) for cell, one in asked}
    looks = single_look(len(planted)) if looks is None else looks
    works = {cell: Work(cell) for cell in records}
    return Measured(question, looks, (None,) * len(looks) if images is None else images, works, records)


MOVED = {"planted": [-3] * 4 + [-6, -6, -9, 0], "control": [0] * 8}
PLANTED = {"moved": MOVED["planted"], "auroc": [0.9, 0.8, 0.7, 0.6], "chance": [0.5, 0.6, 0.5, 0.6]}
CONTROL = {"moved": MOVED["control"], "auroc": [0.4, 0.3, 0.4, 0.3], "chance": [0.1] * 4}


def test_the_planted_twin_is_compared_with_the_control_and_with_its_own_chance():
    found = found_lowering(measured([PLANTED] * 2, [CONTROL] * 2))["occlusion"]
    (opinion,) = found.opinions
    assert opinion.planted == pytest.approx([0.75] * 2)
    assert opinion.control == pytest.approx([0.35] * 2)
    assert opinion.chance == pytest.approx([0.55] * 2), "not the control's"
    assert opinion.excess.last == pytest.approx([0.4] * 2)
    assert opinion.above.last == pytest.approx([0.2] * 2)
    assert found.relevance[0] == pytest.approx([-0.15] * 2)
    assert found.images == 4
    # Taken off the four judged images the score rises by 3, two ranges; by nothing for the control.
    assert [one.tolist() for one in found.change] == [[2, 2], [0, 0]]


def test_the_direction_is_of_images_that_are_not_judged():
    found = found_lowering(measured([PLANTED], [CONTROL]))["occlusion"]
    assert found.elsewhere.tolist() == [-4], "the median of -6, -6, -9 and 0, in ranges of 1.5"
    turned = {**PLANTED, "moved": [-3] * 4 + [1] * 4}
    found = found_lowering(measured([turned], [CONTROL]))["occlusion"]
    assert not found.lowers, "whatever it does to the judged ones"


def test_where_all_are_explained_a_quarter_is_spared():
    every = {"auroc": [0.5] * 6 + [1.0] * 2, "chance": [0.5] * 8, "explained": 8}
    found = found_lowering(measured([{**PLANTED, **every}], [{**CONTROL, **every}]))["occlusion"]
    assert found.images == 6
    assert found.opinions[0].planted.tolist() == [0.5], "without the two that are spared"
    assert found.elsewhere.tolist() == [-3], "-9 and 0"


def test_each_look_has_its_pairs_and_images():
    looks = (Look(1, 0.6), Look(2, 0.4))
    found = found_lowering(measured([PLANTED] * 2, [CONTROL] * 2, looks=looks, images=(2, 4)))["occlusion"]
    assert [one.tolist() for one in found.opinions[0].above.values] == [
        pytest.approx([0.3]),
        pytest.approx([0.2, 0.2]),
    ]
    assert found.opinions[0].excess.shares == (0.6, 0.4)


def test_a_second_opinion_is_one_more():
    planted, control = ({**one, "second": at} for one, at in ((PLANTED, [0.6] * 4), (CONTROL, [0.7] * 4)))
    given = found_lowering(measured([planted], [control]))
    first, second = given["occlusion"].opinions
    assert (first.planted.tolist(), second.planted.tolist()) == ([pytest.approx(0.75)], [pytest.approx(0.6)])
    assert second.excess.last == pytest.approx([-0.1])
    rows = {(name, metric): value for name, _, metric, value in paired_lowering(given, 0, "anomalous")}
    assert rows["occlusion", "lowering_excess"] == pytest.approx(0.4)
    assert rows[second_name("occlusion"), "lowering_excess"] == pytest.approx(-0.1)
    assert rows[second_name("occlusion"), "lowering_above_chance"] == pytest.approx(0.05)


def test_of_a_found_artifact_only_images_that_bear_it_count():
    bearing = torch.tensor([True] * 6 + [False] * 2)
    one = measured([PLANTED], [CONTROL], bearing=bearing)
    assert found_lowering(one)["occlusion"].elsewhere.tolist() == [-4], "the fifth and sixth image's"


@pytest.mark.parametrize("plant_on", ["anomalous", "oe"])
def test_what_stands_for_a_high_score_is_not_asked(plant_on):
    assert found_lowering(measured([PLANTED], [CONTROL], plant_on=plant_on)) == {}


def test_an_artifact_without_a_place_is_not_asked():
    one = measured([PLANTED], [CONTROL])
    empty = {cell: replace(found, lowering=found.lowering[:0]) for cell, found in one.records.items()}
    assert found_lowering(replace(one, records=empty)) == {}


def test_levels_of_chance_stand_in_the_table():
    cell = measured([PLANTED], [CONTROL]).question.planted[0]
    one = record(cell, **{**PLANTED, "second": [0.6] * 4})
    assert list(lowering_numbers(one, "anomalous")) == [
        ("occlusion", "marked-anomalous", "lowering_chance", pytest.approx(0.55)),
        (second_name("occlusion"), "marked-anomalous", "lowering_pixel_auroc", pytest.approx(0.6)),
        (second_name("occlusion"), "marked-anomalous", "lowering_chance", pytest.approx(0.55)),
    ]
