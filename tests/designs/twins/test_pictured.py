"""Which test images are shown, by scores made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fcdd_audit.core.sides import SIDES
from fcdd_audit.designs.twins.pictured import Pictured, examples, kept_at, pictured
from fcdd_audit.designs.twins.plan import twins
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.explaining import KEPT, Explained, explain
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.reading import CellRecord, Measured
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.verdict.looks import single_look

EDIT = Plant("frame", ("anomalous",), 1.0)
# By the side that changes, whose image 1 the artifact moves most the wrong way, 4 in the median, 3 least.
MOVED = {"nominal": [0.1, 0.9, 0.5, -0.3, 0.4], "anomalous": [-0.1, -0.9, -0.5, 0.3, -0.4]}
PLANT_ON = {"nominal": "anomalous", "anomalous": "nominal"}
TURNS = {"nominal": [3, 0, 4, 1, 2], "anomalous": [2, 4, 1, 0, 3]}  # places, in the order of their turns


def setup_of(masked=False, **turns):
    """Images of 2 px that tell their places: `place` of nominal ones, 100 more of anomalous ones, and 50 more
    with the artifact."""

    def part(side):
        places = torch.tensor(turns[side])
        levels = torch.arange(len(places), dtype=torch.uint8) + 100 * SIDES.index(side)
        clean = levels.view(-1, 1, 1, 1).repeat(1, 1, 2, 2)
        mask = torch.zeros(len(places), 1, 2, 2, dtype=torch.bool)
        mask[..., 0, 0] = True
        names = tuple(f"{side}-{place}" for place in range(len(places)))
        pairs = Pairs(side, names, {"clean": clean, "marked": clean + 50}, mask if masked else None)
        return Explained(side, pairs, "marked", places)

    return SimpleNamespace(marked=[part(side) for side in SIDES])


def measured_of(side, moved, other=5, seeds=2, bearing=None):
    """Twins of which the first seed's planted one is moved so on that side; the others the opposite way."""
    question = Question(
        *("set", "cat", "fcdd", "frame", PLANT_ON[side], 1.0),
        *twins("fcdd", EDIT, AS_IS, seeds),
        bearing=bearing,
    )

    def scored(sign):
        counts = {one: len(moved) if one == side else other for one in SIDES}
        # The images' own scores differ more than the artifact moves them.
        of = {(one, "clean"): np.arange(count) * 7.0 % 11 for one, count in counts.items()}
        of |= {(one, "marked"): of[one, "clean"] + (one != side) for one in SIDES}
        of[side, "marked"] = of[side, "marked"] + sign * np.array(moved)
        return Scores(np.zeros(3), of)

    cells = (*question.planted, *question.control)
    first = question.planted[:1]
    records = {
        cell: CellRecord(cell, scored(1 if cell in first else -1), None, None, None, {}) for cell in cells
    }
    return Measured(question, single_look(seeds) if cells else (), (None,) * bool(cells), {}, records)


@pytest.mark.parametrize("side", SIDES)
def test_images_are_ranked_by_how_far_the_artifact_moves_the_planted_twins_score_the_wrong_way(side):
    found = pictured(measured_of(side, MOVED[side]), setup_of(**TURNS))
    own, turns = SIDES.index(side), TURNS[side]
    assert found == (
        Pictured(own, turns.index(1), "most"),
        Pictured(own, turns.index(4), "median"),
        Pictured(own, turns.index(3), "least"),
        Pictured(1 - own, 0, "other"),
    )


def test_only_images_whose_heat_is_kept_are_ranked():
    turns = {"nominal": [*reversed(range(KEPT + 4))], "anomalous": [0]}
    moved = [9.0, 8.0, 7.0, 6.0, *np.linspace(1, 2, KEPT)]  # the first four are explained last
    most, *_, other = pictured(measured_of("nominal", moved, other=1), setup_of(**turns))
    assert (most.turn, other) == (0, Pictured(1, 0, "other"))


def test_images_that_do_not_bear_the_artifact_are_left_out():
    bearing = torch.tensor([True, False, True, True, False])  # not the most affected one
    found = pictured(measured_of("nominal", MOVED["nominal"], bearing=bearing), setup_of(**TURNS))
    turns = TURNS["nominal"]
    assert [(one.turn, one.why) for one in found if one.part == 0] == [
        (turns.index(2), "most"),
        (turns.index(0), "median"),
        (turns.index(3), "least"),
    ]
    nothing = measured_of("nominal", MOVED["nominal"], bearing=torch.zeros(5, dtype=torch.bool))
    assert pictured(nothing, setup_of(**TURNS)) == (Pictured(1, 0, "other"),)


def test_without_a_pair_there_are_no_pictures():
    assert pictured(measured_of("nominal", MOVED["nominal"], seeds=0), setup_of(**TURNS)) == ()


@pytest.mark.parametrize("masked", [True, False])
def test_each_chosen_image_is_an_example_once(masked):
    setup = setup_of(masked, **TURNS)
    chosen = [
        Pictured(1, 2, "most"),
        Pictured(0, 4, "median"),
        Pictured(1, 0, "other"),
        Pictured(0, 4, "least"),  # of another question
        Pictured(0, 1, "most"),
    ]
    arrays, rows = examples(chosen, setup)
    assert sorted(arrays["name"]) == ["anomalous-1", "anomalous-2", "nominal-0", "nominal-2"]
    assert set(rows) == set(chosen)
    for one, row in rows.items():
        side = SIDES[one.part]
        place = TURNS[side][one.turn]
        assert (arrays["name"][row], arrays["side"][row]) == (f"{side}-{place}", side)
        assert (arrays["clean"][row] == place + 100 * one.part).all()
        assert (arrays["marked"][row] == place + 100 * one.part + 50).all()
    assert ("mask" in arrays) == masked
    assert not masked or arrays["mask"].sum(axis=(1, 2, 3)).tolist() == [1] * 4


@pytest.mark.parametrize("nominal", [3, KEPT + 4])
def test_heat_is_that_of_the_chosen_images(nominal):
    """Maps that are the images themselves, kept as a cell keeps them."""
    setup = setup_of(nominal=[*reversed(range(nominal))], anomalous=TURNS["anomalous"])
    images = SimpleNamespace(explain=lambda detector, x, generator: x, signed=False)
    kept = explain(None, "own", images, setup.marked, torch.device("cpu"), 0, 2 * KEPT).examples
    chosen = [
        Pictured(1, 1, "most"),
        Pictured(0, 2, "median"),
        Pictured(1, 4, "least"),
        Pictured(0, 0, "other"),
    ]
    shown = (kept[kept_at(chosen, setup)] * 255).round()
    places = [100 + TURNS["anomalous"][1], nominal - 3, 100 + TURNS["anomalous"][4], nominal - 1]
    assert (shown == np.array(places)[:, None, None] + 50).all()
