"""Audits whose truth is known: what is planted in them, on what, with which seeds."""

from dataclasses import replace

import pytest

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.studies.trials import NULL_PREVALENCE, Drawing, all_trials
from fcdd_audit.studies.truths import TRUTHS

DRAWING = Drawing(
    detector="fcdd",
    probe="watermark",
    decoys=("bars", "patch"),
    plant_on="anomalous",
    prevalences=(0.1, 1.0),
    audits=2,
    nulls=3,
    seeds=lambda index: range(100 + 3 * index, 103 + 3 * index),
)
FIRST, SECOND, THIRD = range(100, 103), range(103, 106), range(106, 109)
HIGH, LOW, SIDE = 1.0, 0.1, ("anomalous",)

# By hand: what is planted where, on how many, and the seeds of either twin; None: nothing.
TRIALS = {
    "planted": [
        (Plant("watermark", SIDE, HIGH), FIRST, FIRST),
        (Plant("watermark", SIDE, HIGH), SECOND, SECOND),
        (Plant("watermark", SIDE, LOW), FIRST, FIRST),
        (Plant("watermark", SIDE, LOW), SECOND, SECOND),
    ],
    "unrelated-seeds": [(None, SECOND, FIRST), (None, THIRD, SECOND), (None, FIRST, THIRD)],
    "both-sides": [
        (Plant("watermark", SIDES, 0.2), FIRST, FIRST),
        (Plant("watermark", SIDES, 1.0), SECOND, SECOND),
        (Plant("watermark", SIDES, 0.2), THIRD, THIRD),
    ],
    "other-artifact": [
        (Plant("bars", SIDE, 0.2), FIRST, FIRST),
        (Plant("patch", SIDE, 0.2), FIRST, FIRST),
        (Plant("bars", SIDE, 1.0), SECOND, SECOND),
        (Plant("patch", SIDE, 1.0), SECOND, SECOND),
        (Plant("bars", SIDE, 0.2), THIRD, THIRD),
        (Plant("patch", SIDE, 0.2), THIRD, THIRD),
    ],
}


def test_every_truth_is_written_out_here():
    assert list(TRIALS) == list(TRUTHS)


@pytest.mark.parametrize("truth", TRUTHS)
def test_trials_are_those_by_hand(truth):
    found = list(TRUTHS[truth].trials(DRAWING))
    for trial, (edit, planted, control) in zip(found, TRIALS[truth], strict=True):
        assert (trial.detector, trial.truth, trial.plant_on) == ("fcdd", truth, "anomalous")
        assert trial.prevalence == (0 if edit is None else edit.prevalence)
        assert trial.decoy == (edit.artifact if edit is not None and edit.artifact != "watermark" else "")
        assert [cell.seed for cell in trial.planted] == list(planted)
        assert [cell.seed for cell in trial.control] == list(control)
        assert {cell.edit for cell in trial.control} == {AS_IS}
        assert {cell.edit for cell in trial.planted} == {AS_IS if edit is None else edit}
        assert all(cell.trained for cell in (*trial.planted, *trial.control))


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize(("audits", "nulls"), [(2, 3), (4, 3), (2, 2)])
def test_no_pair_of_twins_is_used_by_two_trials_of_a_kind(truth, audits, nulls):
    drawing = replace(DRAWING, audits=audits, nulls=nulls)
    groups = {}
    for trial in TRUTHS[truth].trials(drawing):
        kind = (trial.decoy, trial.prevalence if truth == "planted" else None)
        groups.setdefault(kind, []).extend(zip(trial.planted, trial.control, strict=True))
    for pairs in groups.values():
        assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("truth", TRUTHS)
def test_labels_have_words_whatever_varies(truth):
    entry = TRUTHS[truth]
    assert entry.summary == TRUTHS.summary(truth)
    assert "{" not in entry.summary
    words = entry.label.format(share=" on 20 %", decoy="bars")
    assert "{" not in words
    assert ("bars" in words) == (truth == "other-artifact")
    assert ("20 %" in words) == (truth != "unrelated-seeds")


def test_what_was_planted_is_no_null_and_only_another_artifact_may_carry_over():
    assert [name for name in TRUTHS if not TRUTHS[name].null] == ["planted"]
    assert [name for name in TRUTHS if TRUTHS[name].may_carry_over] == ["other-artifact"]
    assert [name for name in TRUTHS if not TRUTHS[name].measured] == ["unrelated-seeds"]


def test_a_detector_that_learns_from_one_side_gets_no_null_of_both():
    one_sided = replace(DRAWING, detector="ae", plant_on="nominal")
    assert one_sided.side == "nominal"
    assert one_sided.learns_from == ("nominal",)
    planned = all_trials(one_sided)
    assert {trial.truth for trial in planned} == {"planted", "other-artifact", "unrelated-seeds"}
    assert {trial.plant_on for trial in planned} == {"nominal"}
    sides = {cell.edit.sides for trial in planned for cell in trial.planted if cell.edit != AS_IS}
    assert sides == {("nominal",)}


def test_unrelated_seeds_take_each_control_once_as_either_twin():
    planned = list(TRUTHS["unrelated-seeds"].trials(replace(DRAWING, audits=5, nulls=2)))
    assert len(planned) == 5
    firsts = [trial.control[0].seed for trial in planned]
    assert firsts == [100 + 3 * index for index in range(5)]
    assert sorted(trial.planted[0].seed for trial in planned) == firsts
    assert all(trial.planted[0].seed != trial.control[0].seed for trial in planned)


@pytest.mark.parametrize("prevalences", [(0.5, 1.0), (0.05,)])
def test_nulls_have_their_own_prevalences_in_turn_whatever_the_audits_have(prevalences):
    planned = all_trials(replace(DRAWING, prevalences=prevalences))
    in_turn = [*NULL_PREVALENCE, NULL_PREVALENCE[0]]
    for truth, decoy in (("both-sides", ""), ("other-artifact", "bars"), ("other-artifact", "patch")):
        mine = [t for t in planned if (t.truth, t.decoy) == (truth, decoy)]
        assert [t.prevalence for t in mine] == in_turn
        assert [t.planted[0].edit.prevalence for t in mine] == in_turn


def test_the_most_telling_trials_come_first():
    planned = all_trials(DRAWING)
    assert len(planned) == sum(map(len, TRIALS.values()))
    turns = [
        "highest"
        if (t.truth, t.prevalence) == ("planted", HIGH)
        else "lower"
        if t.truth == "planted"
        else "null"
        for t in planned
    ]
    assert turns == ["highest"] * 2 + ["null"] * (3 + 3 + 6) + ["lower"] * 2
