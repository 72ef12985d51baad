import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.measures.detection import auroc, threshold
from fcdd_audit.measures.effects import (
    alarms,
    auroc_drop,
    drop_elsewhere,
    flip_rate,
    rightly_decided,
    score_numbers,
    usual_auroc,
)
from fcdd_audit.measures.reliance import (
    Scores,
    cut,
    dependence,
    drop,
    excess_alarms,
    new_alarms,
    reliance,
    right_in_use,
    shift,
)
from fcdd_audit.measures.table import MEASURES, family


def scored(
    validation,
    nominal_clean,
    nominal_marked,
    anomalous_clean,
    anomalous_marked,
    nominal_elsewhere=None,
    anomalous_elsewhere=None,
):
    named = dict(list(locals().items())[1:])
    return Scores(
        validation, {tuple(name.split("_")): values for name, values in named.items() if values is not None}
    )


def rescored(scores, **of):
    """The same with some of them replaced: nominal_marked=..."""
    changed = {tuple(name.split("_")): values for name, values in of.items()}
    return dataclasses.replace(scores, of={**scores.of, **changed})


# By hand. Clean: both of 2, 4 above both of 0, 1: AUROC 1.
# Nominal marked, anomalous clean: 3, 1 against 2, 4: all but (3, 2) in order: 3/4.
# Nominal clean, anomalous marked: 0, 1 against -1, 0.5: only (0, 0.5) in order: 1/4.
# Marked: 3, 1 against -1, 0.5: none in order: 0.
HAND = scored(
    validation=np.array([0.0, 1.0]),
    nominal_clean=np.array([0.0, 1.0]),
    nominal_marked=np.array([3.0, 1.0]),
    anomalous_clean=np.array([2.0, 4.0]),
    anomalous_marked=np.array([-1.0, 0.5]),
)
# Clean and marked change places: what was the clean set is the one in use.
SWAPPED = scored(
    validation=HAND.validation,
    nominal_clean=HAND.of["nominal", "marked"],
    nominal_marked=HAND.of["nominal", "clean"],
    anomalous_clean=HAND.of["anomalous", "marked"],
    anomalous_marked=HAND.of["anomalous", "clean"],
    nominal_elsewhere=np.array([2.5, 0.0]),
    anomalous_elsewhere=np.array([0.5, 4.0]),
)
# A mark changes nothing: drop 0 in every direction.
UNMOVED = rescored(
    HAND, nominal_marked=HAND.of["nominal", "clean"], anomalous_marked=HAND.of["anomalous", "clean"]
)


# In use less conflict.
DROPS = {
    "anomalous": 1 - 3 / 4,
    "nominal": 1 - 1 / 4,
    "oe": 1 - 3 / 4,
    "all-but-oe": 0 - 1 / 4,
    "found-on-anomalous": 0 - 3 / 4,
    "found-on-nominal": 0 - 1 / 4,
    "transplanted-from-anomalous": 1 - 3 / 4,
    "transplanted-from-nominal": 1 - 1 / 4,
}
SWAPPED_DROPS = {
    "anomalous": 0 - 1 / 4,
    "nominal": 0 - 3 / 4,
    "oe": 0 - 1 / 4,
    "all-but-oe": 1 - 3 / 4,
    "found-on-anomalous": 1 - 1 / 4,
    "found-on-nominal": 1 - 3 / 4,
    "transplanted-from-anomalous": 0 - 1 / 4,
    "transplanted-from-nominal": 0 - 3 / 4,
}
SETS = {  # variants of the nominal and the anomalous images, and the side that differs
    "anomalous": ("clean clean", "marked clean", "clean marked", "nominal"),
    "nominal": ("clean clean", "clean marked", "marked clean", "anomalous"),
    "oe": ("clean clean", "marked clean", "clean marked", "nominal"),
    "all-but-oe": ("marked marked", "clean marked", "marked clean", "nominal"),
    "found-on-anomalous": ("marked marked", "marked clean", "clean marked", "anomalous"),
    "found-on-nominal": ("marked marked", "clean marked", "marked clean", "nominal"),
    "transplanted-from-anomalous": ("clean clean", "marked clean", "clean marked", "nominal"),
    "transplanted-from-nominal": ("clean clean", "clean marked", "marked clean", "anomalous"),
}


def sides_of(scores, variants):
    nominal, anomalous = variants.split()
    return scores.of["nominal", nominal], scores.of["anomalous", anomalous]


@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_drop_is_the_auroc_in_use_less_that_of_the_conflict_set(plant_on):
    assert drop(HAND, plant_on) == DROPS[plant_on]
    assert drop(SWAPPED, plant_on) == SWAPPED_DROPS[plant_on]
    assert drop(UNMOVED, plant_on) == 0


@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_the_test_sets_follow_from_where_the_artifact_was_in_training(plant_on):
    usual, conflict, aligned, changed = SETS[plant_on]
    assert HAND.split("usual", plant_on) == sides_of(HAND, usual)
    assert HAND.split("conflict", plant_on) == sides_of(HAND, conflict)
    assert HAND.split("aligned", plant_on) == sides_of(HAND, aligned)
    assert HAND.split("clean", plant_on) == sides_of(HAND, "clean clean")
    assert HAND.split("marked", plant_on) == sides_of(HAND, "marked marked")
    assert DIRECTIONS[plant_on].changed == changed


@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_only_the_changed_side_differs_between_use_and_conflict(plant_on):
    usual, conflict = (SWAPPED.split(name, plant_on) for name in ("usual", "conflict"))
    changed = ("nominal", "anomalous").index(DIRECTIONS[plant_on].changed)
    assert usual[1 - changed] is conflict[1 - changed]
    assert SWAPPED.changed_pair(plant_on) == (usual[changed], conflict[changed])
    assert usual[changed] is not conflict[changed]


@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_aligned_has_the_artifact_where_training_had_it_and_conflict_on_the_other_side_or_off(plant_on):
    direction = DIRECTIONS[plant_on]
    side, other = (0, 1) if direction.side == "nominal" else (1, 0)
    assert (direction.aligned[side], direction.aligned[other]) == ("marked", "clean")
    assert (direction.conflict[side], direction.conflict[other]) == ("clean", "marked")


@pytest.mark.parametrize("plant_on", ["found-on-anomalous", "found-on-nominal"])
def test_elsewhere_takes_something_else_off_where_the_conflict_set_takes_off_the_artifact(plant_on):
    nominal, anomalous = SWAPPED.split("elsewhere", plant_on)
    if plant_on == "found-on-anomalous":  # 0, 1 against 0.5, 4: all but (1, 0.5) in order
        assert (nominal, anomalous) == (SWAPPED.of["nominal", "marked"], SWAPPED.of["anomalous", "elsewhere"])
    else:  # 2.5, 0 against 2, 4: all but (2.5, 2)
        assert (nominal, anomalous) == (SWAPPED.of["nominal", "elsewhere"], SWAPPED.of["anomalous", "marked"])
    assert drop(SWAPPED, plant_on, "elsewhere") == 1 - 3 / 4
    assert drop_elsewhere([SWAPPED], plant_on, [0]).tolist() == [1 - 3 / 4]
    assert drop_elsewhere([SWAPPED, HAND], plant_on, [0, 0]) is None, "of both twins or of none"


@pytest.mark.parametrize("side", ["nominal", "anomalous"])
def test_only_some_images_of_a_side(side):
    kept = SWAPPED.only(side, np.array([False, True]))
    other = "anomalous" if side == "nominal" else "nominal"
    for variant in ("clean", "marked", "elsewhere"):
        mine, all_of_mine = (s.of[side, variant] for s in (kept, SWAPPED))
        assert mine.tolist() == [all_of_mine[1]]
        assert kept.of[other, variant] is SWAPPED.of[other, variant]
    assert kept.validation is SWAPPED.validation
    planted = HAND.only(side, np.array([True, False]))
    assert not planted.has("elsewhere")
    assert kept.has("elsewhere")
    assert len(planted.of[side, "clean"]) == 1


@pytest.mark.parametrize(("plant_on", "by_hand"), DROPS.items())
def test_reliance_is_the_planted_drop_beyond_the_controls_seed_by_seed(plant_on, by_hand):
    got = reliance([HAND, UNMOVED, HAND], [UNMOVED, HAND, HAND], plant_on)
    assert got.tolist() == [by_hand, -by_hand, 0]


@given(st.data(), st.sampled_from(list(DIRECTIONS)))
def test_an_artifact_that_changes_no_score_is_not_relied_on(data, plant_on):
    lists = st.lists(st.integers(-3, 3), min_size=3, max_size=3).map(lambda x: np.array(x, float))
    twins = []
    for _ in range(4):
        nominal, anomalous = data.draw(lists), data.draw(lists)
        twins.append(scored(data.draw(lists), nominal, nominal, anomalous, anomalous, nominal, anomalous))
    assert not reliance(twins[:2], twins[2:], plant_on).any()
    assert [drop(scores, plant_on, "elsewhere") for scores in twins] == [0] * 4
    assert not flip_rate(twins, plant_on, [0.0] * 4).any()
    assert not alarms(twins, plant_on, [0.0] * 4).any()
    assert not excess_alarms(twins[:2], twins[2:], plant_on, [(0.0, 1.0)] * 2).any()
    assert not np.nan_to_num(dependence(twins[:2], twins[2:], plant_on)).any()


def test_score_shift_is_the_median_change_in_inter_quartile_ranges():
    # nominal clean 0 and 1: quartiles 0.25 and 0.75, range 0.5
    assert shift(HAND, "anomalous") == np.median([3 - 0, 1 - 1]) / 0.5
    # an anomaly that is misled is one whose score falls
    assert shift(HAND, "nominal") == -np.median([-1 - 2, 0.5 - 4]) / 0.5
    assert shift(HAND, "oe") == shift(HAND, "anomalous")
    # of what is found, as it is found: nominal marked 0 and 1
    assert shift(SWAPPED, "found-on-anomalous") == -np.median([-1 - 2, 0.5 - 4]) / 0.5
    for plant_on in ("found-on-nominal", "all-but-oe"):
        assert shift(SWAPPED, plant_on) == np.median([3 - 0, 1 - 1]) / 0.5
    assert np.isnan(shift(rescored(HAND, nominal_clean=np.zeros(2)), "nominal"))


@pytest.mark.parametrize(
    ("plant_on", "limit", "by_hand"),
    [
        ("anomalous", 1.5, 1 / 2),
        ("anomalous", 3, 0),
        ("nominal", 1.5, 1),
        ("nominal", 3, 1 / 2),
        ("oe", 1.5, 1 / 2),
        ("all-but-oe", 1.5, 1 / 2),
        ("found-on-anomalous", 0.75, 1),  # marked -1, 0.5; clean 2, 4
        ("found-on-anomalous", 0, 1 / 2),
        ("found-on-nominal", 0.5, 1 / 2),  # marked 3, 1; clean 0, 1
    ],
)
def test_flip_rate_counts_images_that_cross_the_threshold_in_either_direction(plant_on, limit, by_hand):
    assert flip_rate([HAND], plant_on, [limit]).tolist() == [by_hand]


# Of a limit of 1.5. Nominal clean 0, 1: none passes; marked 3, 1: the first does.
# Anomalous clean 2, 4: both pass; marked -1, .5: none does.
@pytest.mark.parametrize(
    ("scores", "plant_on", "limit", "new", "right"),
    [
        (HAND, "anomalous", 1.5, 1 / 2, 1),
        (HAND, "anomalous", 0.5, 1 / 2, 1 / 2),  # the second passes anyway
        (HAND, "anomalous", 3, 0, 1),  # a score on the limit is no alarm
        (HAND, "nominal", 1.5, 1, 1),
        (HAND, "nominal", 0, 1 / 2, 1),
        (HAND, "nominal", 2, 1 / 2, 1 / 2),  # the first hides anyway
        (HAND, "oe", 1.5, 1 / 2, 1),
        (HAND, "found-on-anomalous", 1.5, 0, 0),  # in use: marked, hidden; clean: seen
        (SWAPPED, "found-on-anomalous", 1.5, 1, 1),
        (HAND, "found-on-nominal", 1.5, 0, 1 / 2),
        (SWAPPED, "found-on-nominal", 1.5, 1 / 2, 1),
        (SWAPPED, "all-but-oe", 1.5, 1 / 2, 1),
    ],
)
def test_new_alarms_are_right_in_use_and_wrong_in_the_conflict_set(scores, plant_on, limit, new, right):
    assert new_alarms(scores, plant_on, limit) == new
    assert right_in_use(scores, plant_on, limit) == right
    assert alarms([scores, UNMOVED], plant_on, [limit, limit]).tolist() == [new, 0]
    assert rightly_decided([scores], plant_on, [limit]).tolist() == [right]


def test_what_the_mark_puts_right_is_no_new_alarm():
    """Images whose decision it mends don't make up for those that it spoils."""
    moved = rescored(HAND, nominal_clean=np.array([0.0, 5.0]), nominal_marked=np.array([5.0, 0.0]))
    assert new_alarms(moved, "anomalous", 1.5) == 1 / 2
    assert flip_rate([moved], "anomalous", [1.5]).tolist() == [1]


def test_dependence_is_the_planted_shift_beyond_the_controls_seed_by_seed():
    # HAND: nominal images by 3 and 0, median 1.5, in ranges of .5: 3; anomalous ones fall by 3.25: 6.5
    assert shift(HAND, "anomalous") == 3
    assert shift(HAND, "nominal") == 6.5
    assert dependence([HAND, UNMOVED, HAND], [UNMOVED, HAND, HAND], "anomalous").tolist() == [3, -3, 0]
    cut_off = dependence([HAND, UNMOVED, HAND], [UNMOVED, HAND, HAND], "nominal")
    assert cut_off.tolist() == [5, -5, 0]


def test_the_difference_is_cut_off_and_not_each_twins_shift():
    further = rescored(HAND, nominal_marked=np.array([103.0, 103.0]))
    nearer = rescored(HAND, nominal_marked=np.array([102.5, 102.5]))
    assert shift(further, "anomalous") == pytest.approx(205)
    assert dependence([further], [nearer], "anomalous") == pytest.approx([1])


def test_without_a_range_there_is_no_dependence():
    flat = rescored(HAND, nominal_clean=np.zeros(2))
    assert np.isnan(dependence([flat, HAND], [HAND, HAND], "anomalous")).tolist() == [True, False]


def test_excess_alarms_are_each_at_its_own_threshold():
    limits = [(1.5, 3.0), (3.0, 1.5), (1.5, 1.5)]
    assert excess_alarms([HAND] * 3, [HAND] * 3, "anomalous", limits).tolist() == [1 / 2, -1 / 2, 0]


@pytest.mark.parametrize("measure", [dependence, reliance])
def test_what_is_paired_refuses_unpaired_seeds(measure):
    with pytest.raises(ValueError, match="shorter"):
        measure([HAND, HAND], [HAND], "anomalous")


FEW = st.lists(st.integers(-3, 3), min_size=4, max_size=4).map(lambda x: np.array(x, float))
TWIN = st.tuples(*[FEW] * 5).map(lambda parts: scored(*parts))
EVERY = st.sampled_from(list(DIRECTIONS))


@given(TWIN, TWIN, EVERY, st.floats(-3, 3))
def test_twins_exchanged_give_the_opposite(one, other, plant_on, limit):
    for measure in (dependence, reliance):
        there, back = measure([one], [other], plant_on), measure([other], [one], plant_on)
        np.testing.assert_array_equal(there, -back)
    limits = [(limit, limit)]
    there = excess_alarms([one], [other], plant_on, limits)
    assert there == -excess_alarms([other], [one], plant_on, limits)


@given(TWIN, TWIN, EVERY, st.floats(-3, 3))
def test_numbers_of_pairs_stay_within_their_bounds(one, other, plant_on, limit):
    found = {
        "dependence": dependence([one], [other], plant_on),
        "reliance": reliance([one], [other], plant_on),
        "excess_alarms": excess_alarms([one], [other], plant_on, [(limit, limit)]),
    }
    for name, values in found.items():
        low, high = MEASURES[name].bounds
        assert np.isnan(values).all() or ((low <= values) & (values <= high)).all()


@given(TWIN, EVERY, st.floats(-3, 3), st.floats(0, 4))
def test_what_misleads_more_never_counts_less(twin, plant_on, limit, more):
    """The artifact lifts nominal images, or pushes anomalies down, by so much more."""
    direction = DIRECTIONS[plant_on]
    side = direction.changed
    variant = direction.conflict[0 if side == "nominal" else 1]
    lifted = twin.of[side, variant] + (more if side == "nominal" else -more)
    further = rescored(twin, **{f"{side}_{variant}": lifted})
    assert new_alarms(further, plant_on, limit) >= new_alarms(twin, plant_on, limit)
    assert new_alarms(further, plant_on, limit) <= right_in_use(further, plant_on, limit)
    assert drop(further, plant_on) >= drop(twin, plant_on) - 1e-12
    before, after = shift(twin, plant_on), shift(further, plant_on)
    assert np.isnan(before) or after >= before - 1e-12


@given(TWIN, EVERY, st.sampled_from([0.25, 2.0, 8.0]), st.integers(-4, 4))
def test_the_scale_of_scores_is_each_detectors_own(twin, plant_on, factor, offset):
    of = {key: values * factor + offset for key, values in twin.of.items()}
    scaled = Scores(twin.validation * factor + offset, of)
    assert shift(scaled, plant_on) == pytest.approx(shift(twin, plant_on), nan_ok=True)
    assert new_alarms(scaled, plant_on, 1.0 * factor + offset) == new_alarms(twin, plant_on, 1.0)


@given(st.lists(st.floats(-1e3, 1e3), max_size=5))
def test_a_shift_is_cut_off_at_five(values):
    assert cut(np.array(values)).tolist() == [max(-5, min(5, value)) for value in values]
    assert np.isnan(cut(np.array([np.nan]))).all()


@given(st.lists(TWIN, min_size=2, max_size=2), EVERY)
def test_each_number_is_that_of_the_twin_alone(twins, plant_on):
    limits = [0.5, -1.5]
    for measure in family("scores"):
        together = measure.function(twins, plant_on, limits)
        alone = [measure.function([s], plant_on, [at]) for s, at in zip(twins, limits, strict=True)]
        if together is None:
            assert alone == [None, None]
        else:
            np.testing.assert_array_equal(together, np.concatenate(alone))
    assert auroc_drop(twins, plant_on, limits) == pytest.approx([drop(s, plant_on) for s in twins])
    in_use = usual_auroc(twins, plant_on, limits)
    if in_use is not None:
        assert in_use == pytest.approx([auroc(*s.split("usual", plant_on)) for s in twins])


def test_numbers_of_both_twins_are_taken_at_each_ones_own_threshold():
    calm = dataclasses.replace(HAND, validation=np.array([3.0, 3.0]))
    found = score_numbers([HAND, HAND], [calm, HAND], "anomalous", 0.5)
    assert threshold(HAND.validation, 0.5) == 0.5
    planted, control = found["new_alarms"]
    assert (planted.tolist(), control.tolist()) == ([1 / 2, 1 / 2], [0, 1 / 2])
    assert found["right_in_use"][1].tolist() == [1, 1 / 2]
    assert [values.tolist() for values in found["drop"]] == [[1 / 4] * 2] * 2
    assert "usual_auroc" not in found
    assert "drop_elsewhere" not in found


def test_a_number_that_one_twin_lacks_is_left_out():
    assert "drop_elsewhere" in score_numbers([SWAPPED], [SWAPPED], "found-on-nominal", 0.5)
    assert "drop_elsewhere" not in score_numbers([SWAPPED], [HAND], "found-on-nominal", 0.5)
    assert "usual_auroc" in score_numbers([HAND], [HAND], "found-on-nominal", 0.5)
