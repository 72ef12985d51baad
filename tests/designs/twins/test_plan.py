"""What twins are asked, and why some questions have no answer."""

from dataclasses import replace

import pytest
import torch

from fcdd_audit import InputError
from fcdd_audit.core.sides import SIDES
from fcdd_audit.designs.twins.plan import check_trainable, learned_side, plan, training_notes, twins
from fcdd_audit.edits.plant import Plant
from fcdd_audit.edits.together import Together
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.setup import AS_IS, Subject, prepare


def trained_on(config):
    """By twin, the training set of the first question's first cell; and the setup."""
    setup = prepare(config)
    question = plan(config, setup)[0]
    cells = {"planted": question.planted[0], "control": question.control[0]}
    return {twin: setup.trained_on(cell.edit, cell.seed) for twin, cell in cells.items()}, setup


def bearing_frame(images, originals):
    """How many bear the frame."""
    changed = (images != originals).any(dim=1)
    assert not changed[:, 8:-8, 8:-8].any(), "a frame"
    return int(changed.flatten(1).any(dim=1).sum())


# An artifact that is planted


@pytest.mark.parametrize(
    ("plant_on", "counts"),
    [("oe", (0, 5)), ("all-but-oe", (8, 0)), ("anomalous", (0, 5)), ("nominal", (8, 0))],
)
def test_half_of_one_side_is_planted_and_nothing_of_the_other(exposed_config, plant_on, counts):
    given, setup = trained_on(exposed_config.having(plant_on=plant_on, prevalence=(0.5,)))
    originals = setup.data.train_nominal.images, setup.data.train_anomalous.images
    assert [len(part) for part in originals] == [16, 10]
    for twin, expected in (("planted", counts), ("control", (0, 0))):
        found = [
            bearing_frame(given[twin].of(side).images, before)
            for side, before in zip(SIDES, originals, strict=True)
        ]
        assert tuple(found) == expected


@pytest.mark.parametrize(("one", "other"), [("oe", "anomalous"), ("all-but-oe", "nominal")])
def test_where_all_training_anomalies_are_outlier_exposure_training_is_that_of_the_side(
    exposed_config, one, other
):
    first, second = (
        trained_on(exposed_config.having(plant_on=plant_on, prevalence=(0.5,)))[0]["planted"]
        for plant_on in (one, other)
    )
    assert first.content() == second.content()


def test_what_never_sees_outlier_exposure_cannot_learn_a_cue_from_it(exposed_config):
    asked = exposed_config.having(detectors=("ae", "fcdd"), plant_on="oe", prevalence=(0.5, 1.0))
    questions = plan(asked, prepare(asked))
    reasons = [question.obstacle for question in questions]
    because = (
        "identical by construction: ae never sees anomalous images in training, so the twins can't differ; "
        "plant on the nominal side"
    )
    assert reasons[:2] == [because, because]
    assert reasons[2:] == [None, None]
    assert [question.plant_on for question in questions] == ["oe"] * 4
    asked = asked.having(plant_on="all-but-oe")
    assert all(question.obstacle is None for question in plan(asked, prepare(asked)))


def test_there_is_a_question_for_each_detector_and_prevalence_with_twins_of_every_seed(exposed_config):
    asked = exposed_config.having(detectors=("fcdd", "ae"), prevalence=(0.5, 0.0, 1.0), seeds=2)
    questions = plan(asked, prepare(asked))
    assert [(q.detector, q.plant_on, q.prevalence) for q in questions] == [
        *(("fcdd", "anomalous", share) for share in (0.5, 0.0, 1.0)),
        *(("ae", "nominal", share) for share in (0.5, 0.0, 1.0)),
    ]
    for question in questions:
        if question.prevalence == 0:
            assert question.obstacle == "identical by construction: at prevalence 0 nothing is planted"
            assert (question.planted, question.control) == ((), ())
            continue
        assert question.obstacle is question.bearing is None
        edit = Plant("frame", (question.plant_on,), question.prevalence)
        assert question.planted == tuple(Cell(question.detector, s, edit) for s in (0, 1))
        assert question.control == tuple(Cell(question.detector, s, AS_IS) for s in (0, 1))


def test_every_side_is_asked_about_once_and_twins_share_their_controls(exposed_config):
    asked = exposed_config.having(detectors=("fcdd", "ae"), plant_on=("nominal", "auto", "anomalous"))
    questions = plan(asked, prepare(asked))
    assert [(q.detector, q.plant_on, q.obstacle is None) for q in questions] == [
        ("fcdd", "nominal", True),
        ("fcdd", "anomalous", True),
        ("ae", "nominal", True),
        ("ae", "anomalous", False),
    ]
    assert questions[0].control == questions[1].control
    assert questions[0].planted == (Cell("fcdd", 0, Plant("frame", ("nominal",), 1.0)),)


def test_artifacts_that_are_planted_together_have_one_planted_twin(exposed_config):
    asked = exposed_config.having(probe="frame,bars,jpeg", together=True, prevalence=(0.5,))
    plants = tuple((name, ("anomalous",), 0.5) for name in ("frame", "bars", "jpeg"))
    for place, probe in enumerate(asked.artifact.probes):
        (question,) = plan(asked, prepare(asked, subject=Subject(probe)))
        assert (question.probe, question.prevalence) == (probe, 0.5)
        assert question.planted == (Cell("fcdd", 0, Together(plants)),)
        assert question.control == (Cell("fcdd", 0, Together(plants[:place] + plants[place + 1 :])),)


def test_a_prevalence_that_plants_on_no_image_is_refused(exposed_config):
    asked = exposed_config.having(prevalence=(0.01,))
    with pytest.raises(InputError, match="of 10 images plants the artifact on none"):
        plan(asked, prepare(asked))


def test_auto_is_the_side_that_a_detector_learns_from():
    assert learned_side(SIDES, "auto") == "anomalous"
    assert learned_side(("nominal",), "auto") == "nominal"
    assert learned_side(("nominal",), "anomalous") == "anomalous", "or what is asked for"


def test_twins_of_a_seed_differ_in_the_edit_only():
    planted, control = twins("hsc", Plant("frame", ("nominal",), 0.5), AS_IS, 3)
    assert [cell.seed for cell in planted] == [cell.seed for cell in control] == [0, 1, 2]
    for one, other in zip(planted, control, strict=True):
        assert replace(one, edit=AS_IS) == other
        assert one.trained


def test_all_prevalences_and_directions_of_a_detector_share_their_controls(exposed_config):
    controls = {}
    for plant_on in ("anomalous", "nominal"):
        asked = exposed_config.having(plant_on=plant_on, prevalence=(0.5, 1.0), seeds=2)
        for question in plan(asked, prepare(asked)):
            controls[plant_on, question.prevalence] = question.control
    assert len(controls) == 4
    assert len(set(controls.values())) == 1


def test_what_would_stop_a_cell_is_said_now(exposed_config):
    asked = exposed_config.having(oe="none", oe_limit=None, detectors=("ae", "fcdd"))
    with pytest.raises(InputError) as error:
        check_trainable(asked, prepare(asked))
    assert str(error.value) == (
        "fcdd learns from training anomalies and 'folder' has none; add train/anomalous or --oe, or leave "
        "out fcdd"
    )
    asked = exposed_config.having(detectors=("hsc",))
    with pytest.raises(InputError, match="none of the explainers native works on hsc"):
        check_trainable(asked, prepare(asked))


# An artifact that is found


def test_a_found_artifact_is_asked_of_the_side_where_it_is_with_twins_as_found_and_cleaned(squares_config):
    asked = squares_config.having(seeds=2)
    setup = prepare(asked)
    (question,) = plan(asked, setup)
    assert (question.plant_on, question.prevalence) == ("found-on-anomalous", 6 / 8)
    assert question.planted == tuple(Cell("fcdd", seed, AS_IS) for seed in (0, 1))
    assert question.control == tuple(Cell("fcdd", seed, setup.removal) for seed in (0, 1))
    assert question.bearing.tolist() == [True] * 3 + [False] * 3


def test_a_detector_that_learns_from_images_without_it_gets_words(squares_config):
    asked = squares_config.having(detectors=("ae",))
    (question,) = plan(asked, prepare(asked))
    assert (question.plant_on, question.prevalence) == ("found-on-nominal", 0)
    assert question.obstacle == (
        "identical by construction: no nominal training image, from which ae learns, bears it"
    )
    assert question.bearing is None


def test_too_few_test_images_of_the_side_that_a_detector_learned_it_from_give_words(squares_config):
    config = squares_config.having(detectors=("fcdd", "ae"))
    setup = replace(prepare(config), share={"nominal": 0.9, "anomalous": 0.75})  # mostly nominal
    nominal = setup.pairs["nominal"]
    one = nominal.mask.clone()
    one[1:] = False
    few = replace(setup, pairs={**setup.pairs, "nominal": replace(nominal, mask=one)})
    for question in plan(config, few):
        assert (question.plant_on, question.prevalence) == ("found-on-nominal", 0.9)
        assert question.obstacle == (
            "1 nominal test image(s) bear it, and at least 2 are needed to see what its removal does"
        )
    for question in plan(config, setup):
        assert question.obstacle is None
        assert question.bearing.tolist() == [True, True, False, False, False, False]


# Masks of true anomalies


def test_a_reader_is_told_what_masks_of_training_anomalies_do(exposed_config):
    config = exposed_config.having(masks_per_defect=0)
    setup = prepare(config)
    assert training_notes(config, setup) == []
    anomalous = setup.data.train_anomalous
    masks = torch.zeros(len(anomalous), 1, 32, 32, dtype=torch.bool)
    masked = replace(setup, data=replace(setup.data, train_anomalous=replace(anomalous, masks=masks)))
    assert training_notes(config, masked) == []
    with_masks = replace(masked, options={"fcdd": {"supervision": "pixel"}})
    (note,) = training_notes(config, with_masks)
    assert note.startswith("fcdd is trained with masks of the anomalies")
