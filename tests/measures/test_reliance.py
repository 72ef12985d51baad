import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.measures.detection import auroc, weighted_auroc
from fcdd_audit.measures.effects import auroc_estimate, drop_estimate, flip_rate, score_shift
from fcdd_audit.measures.reliance import Scores, drop, reliance
from fcdd_audit.measures.statistics import draw


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


def noisy(seed, images=60, shift=1.0):
    rng = np.random.default_rng(seed)
    nominal, anomalous = rng.normal(size=images), rng.normal(2, size=images + 10)
    return scored(rng.normal(size=20), nominal, nominal + shift, anomalous, anomalous - shift)


# In use less conflict.
DROPS = {
    "anomalous": 1 - 3 / 4,
    "nominal": 1 - 1 / 4,
    "oe": 1 - 3 / 4,
    "all-but-oe": 0 - 1 / 4,
    "found-on-anomalous": 0 - 3 / 4,
    "found-on-nominal": 0 - 1 / 4,
}
SWAPPED_DROPS = {
    "anomalous": 0 - 1 / 4,
    "nominal": 0 - 3 / 4,
    "oe": 0 - 1 / 4,
    "all-but-oe": 1 - 3 / 4,
    "found-on-anomalous": 1 - 1 / 4,
    "found-on-nominal": 1 - 3 / 4,
}
SETS = {  # variants of the nominal and the anomalous images, and the side that differs
    "anomalous": ("clean clean", "marked clean", "clean marked", "nominal"),
    "nominal": ("clean clean", "clean marked", "marked clean", "anomalous"),
    "oe": ("clean clean", "marked clean", "clean marked", "nominal"),
    "all-but-oe": ("marked marked", "clean marked", "marked clean", "nominal"),
    "found-on-anomalous": ("marked marked", "marked clean", "clean marked", "anomalous"),
    "found-on-nominal": ("marked marked", "clean marked", "marked clean", "nominal"),
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
    assert drop_estimate([SWAPPED], plant_on, "elsewhere").per_seed.tolist() == [1 - 3 / 4]


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
    assert not flip_rate(twins, plant_on, [0.0] * 4).per_seed.any()


def test_reliance_refuses_unpaired_seeds():
    with pytest.raises(ValueError, match="shorter"):
        reliance([HAND, HAND], [HAND], "anomalous")


def test_score_shift_is_the_median_change_in_inter_quartile_ranges():
    def shift(scores, plant_on):
        return score_shift([scores], plant_on, []).value

    # nominal clean 0 and 1: quartiles 0.25 and 0.75, range 0.5
    assert shift(HAND, "anomalous") == np.median([3 - 0, 1 - 1]) / 0.5
    assert shift(HAND, "nominal") == np.median([-1 - 2, 0.5 - 4]) / 0.5
    assert shift(HAND, "oe") == shift(HAND, "anomalous")
    # of what is found, as it is found: nominal marked 0 and 1
    assert shift(SWAPPED, "found-on-anomalous") == np.median([-1 - 2, 0.5 - 4]) / 0.5
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
    assert flip_rate([HAND], plant_on, [limit]).value == by_hand


@given(st.data(), st.sampled_from(list(DIRECTIONS)))
def test_estimates_are_the_numbers_of_each_seed(data, plant_on):
    scores = st.lists(st.integers(-3, 3), min_size=4, max_size=4).map(lambda x: np.array(x, float))
    twins = [scored(*(data.draw(scores) for _ in range(5))) for _ in range(2)]
    assert drop_estimate(twins, plant_on).per_seed == pytest.approx([drop(s, plant_on) for s in twins])
    for split in ("clean", "marked", "usual", "aligned", "conflict"):
        expected = [auroc(*s.split(split, plant_on)) for s in twins]
        assert auroc_estimate(twins, split, plant_on).per_seed == pytest.approx(expected)
    for measure, limits in ((flip_rate, [0.5, -1.5]), (score_shift, [0.0, 0.0])):
        alone = [measure([s], plant_on, [limit]).value for s, limit in zip(twins, limits, strict=True)]
        assert measure(twins, plant_on, limits).per_seed == pytest.approx(alone, nan_ok=True)


@pytest.mark.parametrize("plant_on", DIRECTIONS)
@pytest.mark.parametrize("side", [0, 1])
def test_influence_is_what_a_heavier_image_does(plant_on, side):
    twins, little = [noisy(seed) for seed in range(2)], 1e-6
    influence = drop_estimate(twins, plant_on).influence[side]
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    counts = [len(values) for values in twins[0].split("clean", plant_on)]
    for image in (0, 7):
        weights = [np.full((1, count), 1 / count) for count in counts]
        weights[side] = weights[side] * (1 - little)
        weights[side][0, image] += little

        def weighted_drop(scores, weights=weights):
            usual, conflict = (scores.split(name, plant_on) for name in ("usual", "conflict"))
            return (weighted_auroc(*usual, *weights) - weighted_auroc(*conflict, *weights)).item()

        change = np.mean([weighted_drop(s) - drop(s, plant_on) for s in twins]) / little
        assert influence[image] == pytest.approx(change, abs=1e-6)


def test_draws_of_the_images_are_those_of_an_exact_bootstrap():
    twins = [noisy(3, images=80, shift=0.8)]
    estimate = drop_estimate(twins * 2, "anomalous")  # two seeds that agree
    (drawn,) = draw([estimate], 4000, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    weights = [rng.multinomial(n, np.full(n, 1 / n), 4000).astype(float) for n in (80, 90)]
    clean, conflict = (twins[0].split(name, "anomalous") for name in ("clean", "conflict"))
    exact = weighted_auroc(*clean, *weights) - weighted_auroc(*conflict, *weights)
    assert drawn.std() == pytest.approx(exact.std(), rel=0.05)
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(np.quantile(exact, [0.025, 0.975]), abs=0.01)


@pytest.mark.parametrize("plant_on", DIRECTIONS)
def test_identical_twins_have_a_reliance_of_exactly_zero(plant_on):
    twins = [noisy(seed) for seed in range(3)]
    difference = drop_estimate(twins, plant_on) - drop_estimate(twins, plant_on)
    assert not draw([difference], 200, np.random.default_rng(0)).any()


def test_copies_of_a_seed_add_no_certainty_about_the_images():
    spreads = [drop_estimate([noisy(0, shift=2)] * seeds, "anomalous").spread for seeds in (2, 8)]
    assert spreads[0].seeds == spreads[1].seeds == 0
    assert spreads[0].images == pytest.approx(spreads[1].images)
