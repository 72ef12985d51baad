"""Pairs of twins whose truth is known: what is planted in them, on what, with which seeds."""

from dataclasses import replace

import pytest

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.studies.planning import BLOCK, NULL_PREVALENCE, Planner, all_conditions, block_of
from fcdd_audit.studies.truths import TRUTHS

PLANNER = Planner(
    detector="fcdd",
    probe="watermark",
    decoys=("bars", "patch"),
    plant_on="anomalous",
    prevalences=(0.1, 1.0),
    pairs=5,
    null_pairs=3,
)
HIGH, LOW, SIDE = 1.0, 0.1, ("anomalous",)
FIRST = range(10_000, 10_005)

# By hand: what is planted where, on how many, and in which seeds.
CONDITIONS = {
    "planted": [(Plant("watermark", SIDE, HIGH), FIRST), (Plant("watermark", SIDE, LOW), FIRST)],
    "both-sides": [
        (Plant("watermark", SIDES, 0.2), range(13_000, 13_003)),
        (Plant("watermark", SIDES, 1.0), range(14_000, 14_003)),
    ],
    "other-artifact": [
        (Plant("bars", SIDE, 0.2), range(21_000, 21_003)),
        (Plant("bars", SIDE, 1.0), range(22_000, 22_003)),
        (Plant("patch", SIDE, 0.2), range(27_000, 27_003)),
        (Plant("patch", SIDE, 1.0), range(28_000, 28_003)),
    ],
}


def test_every_truth_that_is_trained_is_written_out_here():
    assert list(CONDITIONS) == [name for name in TRUTHS if TRUTHS[name].trained is not None]
    assert [name for name in TRUTHS if TRUTHS[name].derived is not None] == ["unrelated-seeds"]


@pytest.mark.parametrize("truth", CONDITIONS)
def test_conditions_are_those_by_hand(truth):
    found = list(TRUTHS[truth].trained(PLANNER))
    for one, (edit, seeds) in zip(found, CONDITIONS[truth], strict=True):
        assert (one.detector, one.truth, one.plant_on) == ("fcdd", truth, "anomalous")
        assert one.prevalence == edit.prevalence
        assert one.decoy == ("" if edit.artifact == "watermark" else edit.artifact)
        assert [cell.seed for cell in one.planted] == [cell.seed for cell in one.control] == list(seeds)
        assert {cell.edit for cell in one.control} == {AS_IS}
        assert {cell.edit for cell in one.planted} == {edit}
        assert all(cell.trained for pair in one.pairs for cell in pair)


@pytest.mark.parametrize("planner", [PLANNER, replace(PLANNER, pairs=BLOCK, null_pairs=BLOCK)])
def test_blocks_of_seeds_share_none(planner):
    nulls = [one for one in all_conditions(planner) if TRUTHS[one.truth].null]
    blocks = [range(10_000, 10_000 + planner.pairs)]
    blocks += [range(one.control[0].seed, one.control[-1].seed + 1) for one in nulls]
    seeds = [seed for block in blocks for seed in block]
    assert len(set(seeds)) == len(seeds)
    assert len({block_of(seed) for seed in seeds}) == len(blocks)
    assert all(len({block_of(seed) for seed in block}) == 1 for block in blocks)


def test_another_decoy_or_more_pairs_leave_the_seeds_of_others():
    before = {(one.truth, one.decoy, one.prevalence): one for one in all_conditions(PLANNER)}
    more = replace(PLANNER, decoys=("bars", "patch", "frame"), pairs=9, null_pairs=7)
    after = {(one.truth, one.decoy, one.prevalence): one for one in all_conditions(more)}
    for kind, one in before.items():
        assert after[kind].pairs[: len(one.pairs)] == one.pairs
    assert len(after) == len(before) + 2


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


def test_a_detector_that_learns_from_one_side_gets_no_null_of_both():
    one_sided = replace(PLANNER, detector="ae", plant_on="nominal")
    assert one_sided.side == "nominal"
    assert one_sided.learns_from == ("nominal",)
    planned = all_conditions(one_sided)
    assert {one.truth for one in planned} == {"planted", "other-artifact"}
    assert {one.plant_on for one in planned} == {"nominal"}
    assert {cell.edit.sides for one in planned for cell in one.planted} == {("nominal",)}


@pytest.mark.parametrize("prevalences", [(0.5, 1.0), (0.05,)])
def test_nulls_have_their_own_prevalences_whatever_the_audits_have(prevalences):
    planned = all_conditions(replace(PLANNER, prevalences=prevalences))
    for truth, decoy in (("both-sides", ""), ("other-artifact", "bars"), ("other-artifact", "patch")):
        mine = [one for one in planned if (one.truth, one.decoy) == (truth, decoy)]
        assert tuple(one.prevalence for one in mine) == NULL_PREVALENCE


def test_the_most_telling_conditions_come_first():
    planned = all_conditions(PLANNER)
    assert len(planned) == sum(map(len, CONDITIONS.values()))
    assert (planned[0].truth, planned[0].prevalence) == ("planted", HIGH)
    assert (planned[-1].truth, planned[-1].prevalence) == ("planted", LOW)
    assert all(TRUTHS[one.truth].null for one in planned[1:-1])
