"""What is to be done for the questions, and what is left of them where something failed."""

from dataclasses import replace

import pytest
import torch

from fcdd_audit.designs.twins.plan import twins
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.plan import Question, before, planned_work, usable
from fcdd_audit.experiment.setup import AS_IS, prepare
from fcdd_audit.experiment.work import Work
from fcdd_audit.verdict.findings import FailedTwin

ABOUT = ("set", "cat", "fcdd", "frame", "anomalous")
FULL, HALF = (Plant("frame", ("anomalous",), share) for share in (1.0, 0.5))


def asked(edit=FULL, seeds=2, detector="fcdd"):
    about = ("set", "cat", detector, "frame", "anomalous")
    return Question(*about, edit.prevalence, *twins(detector, edit, AS_IS, seeds))


@pytest.fixture(scope="module")
def setup(exposed_config):
    return prepare(
        exposed_config.having(detectors=("fcdd", "hsc"), explainers=("native", "gradient", "edges"))
    )


def named(works):
    """What is done, in order: seed, what it is trained on, whether it is."""
    return [(cell.seed, cell.edit, cell.trained) for cell in works]


# What is to be done


def test_cells_are_planned_once_twins_next_to_each_other_with_the_network_before(setup):
    questions = [asked(FULL), Question(*ABOUT, 0.0, obstacle="nothing"), asked(HALF)]
    works = planned_work(questions, setup)
    assert named(works) == [
        *((0, AS_IS, True), (0, FULL, True), (0, AS_IS, False)),
        *((1, AS_IS, True), (1, FULL, True)),
        *((0, HALF, True), (1, HALF, True)),
    ]
    assert all(work.cell == cell for cell, work in works.items())


def test_reference_maps_know_nothing_of_the_network_and_are_not_made_of_it_before_training(setup):
    works = planned_work([asked()], setup)
    control = Cell("fcdd", 0, AS_IS)
    assert works[control] == Work(control, ("native", "gradient", "edges"))
    assert works[before(control)] == Work(before(control), ("native", "gradient"))
    only = planned_work([asked()], replace(setup, explainers={"fcdd": ("edges", "random")}))
    assert all(cell.trained for cell in only)


def test_each_detector_has_the_explainers_that_work_on_it(setup):
    works = planned_work([asked(), asked(detector="hsc")], setup)
    assert usable("hsc", setup) == ("gradient", "edges")
    assert {work.cell.detector: work.explainers for work in works.values() if work.cell.trained} == {
        "fcdd": ("native", "gradient", "edges"),
        "hsc": ("gradient", "edges"),
    }


def test_the_network_before_training_is_of_the_first_pair_of_each_detector(setup):
    works = planned_work([asked(), asked(detector="hsc"), asked(HALF)], setup)
    assert [cell for cell in works if not cell.trained] == [
        Cell(name, 0, AS_IS, trained=False) for name in ("fcdd", "hsc")
    ]


@pytest.mark.parametrize("images", [None, 2])
def test_how_many_images_are_explained_is_part_of_the_work(setup, images):
    works = planned_work([asked()], setup, images)
    assert {work.explained for work in works.values()} == {images}


def test_without_a_place_there_is_nothing_to_compare_with_before_training(setup):
    pairs = {side: replace(one, mask=None) for side, one in setup.pairs.items()}
    works = planned_work([asked(seeds=1)], replace(setup, pairs=pairs))
    assert named(works) == [(0, AS_IS, True), (0, FULL, True)]


def test_explanations_of_trained_detectors_are_checked_where_that_is_asked_for(setup):
    assert not any(work.checks for work in planned_work([asked()], setup).values())
    for cell, work in planned_work([asked()], replace(setup, sanity=2)).items():
        assert work.checks == cell.trained


def test_what_has_an_obstacle_is_no_work(setup):
    assert planned_work([Question(*ABOUT, 1.0, obstacle="nothing to learn")], setup) == {}
    assert planned_work([], setup) == {}


def test_the_network_before_training_is_the_same_for_all_questions_of_a_control():
    control = Cell("fcdd", 4, AS_IS)
    assert before(control) == Cell("fcdd", 4, AS_IS, trained=False) == before(before(control))
    assert before(control) != control


# What is left of it


def test_pairs_are_control_and_planted_by_seed():
    question = asked()
    assert question.pairs == [(Cell("fcdd", seed, AS_IS), Cell("fcdd", seed, FULL)) for seed in (0, 1)]
    assert Question(*ABOUT, 1.0, obstacle="nothing").pairs == []


def test_nothing_is_taken_off_where_nothing_failed():
    assert asked().without({}) == asked()
    assert asked().without({Cell("hsc", 0, AS_IS): "another's"}) == asked()


@pytest.mark.parametrize(
    ("lost", "twin"),
    [
        (Cell("fcdd", 1, AS_IS), "control"),
        (Cell("fcdd", 1, FULL), "planted"),
        (Cell("fcdd", 1, AS_IS, trained=False), "control"),
    ],
)
def test_a_pair_of_which_one_failed_is_left_out_and_named(lost, twin):
    left = asked(seeds=3).without({lost: "it diverged"})
    assert [cell.seed for cell in left.planted] == [cell.seed for cell in left.control] == [0, 2]
    assert left.failed == (FailedTwin(1, twin, "it diverged"),)
    assert {cell.edit for cell in left.planted} == {FULL}
    unlike = replace(left, planted=(), control=(), failed=())
    assert unlike == replace(asked(), planted=(), control=())


def test_a_control_that_fails_is_missing_from_every_question_that_shares_it():
    failures = {Cell("fcdd", 0, AS_IS): "killed", Cell("fcdd", 1, HALF): "it diverged"}
    full, half = (asked(edit).without(failures) for edit in (FULL, HALF))
    assert [cell.seed for cell in full.planted] == [1]
    assert full.failed == (FailedTwin(0, "control", "killed"),)
    assert half.pairs == []
    assert half.failed == (FailedTwin(0, "control", "killed"), FailedTwin(1, "planted", "it diverged"))


def test_what_a_question_was_asked_of_stays_when_pairs_are_lost():
    bearing = torch.tensor([True, False])
    found = replace(asked(), bearing=bearing).without({Cell("fcdd", 0, FULL): "killed"})
    assert found.bearing is bearing
    assert (found.detector, found.prevalence, found.obstacle) == ("fcdd", 1.0, None)
