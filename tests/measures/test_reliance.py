import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.measures.detection import auroc, weighted_auroc
from fcdd_audit.measures.reliance import (
    Scores,
    auroc_estimate,
    drop,
    drop_estimate,
    flip_estimate,
    flip_rate,
    reliance,
    score_shift,
    shift_estimate,
)
from fcdd_audit.measures.statistics import draw

SIDES = ["anomalous", "nominal"]

# By hand. Clean: both of 2, 4 above both of 0, 1: AUROC 1.
# Conflict, planted on anomalous: 3, 1 against 2, 4: all but (3, 2) in order: 3/4.
# Conflict, planted on nominal: 0, 1 against -1, 0.5: only (0, 0.5) in order: 1/4.
HAND = Scores(
    validation=np.array([0.0, 1.0]),
    nominal_clean=np.array([0.0, 1.0]),
    nominal_stamped=np.array([3.0, 1.0]),
    anomalous_clean=np.array([2.0, 4.0]),
    anomalous_stamped=np.array([-1.0, 0.5]),
)
# A stamp changes nothing: drop 0 on both sides.
UNMOVED = dataclasses.replace(
    HAND, nominal_stamped=HAND.nominal_clean, anomalous_stamped=HAND.anomalous_clean
)


def noisy(seed, images=60, shift=1.0):
    rng = np.random.default_rng(seed)
    nominal, anomalous = rng.normal(size=images), rng.normal(2, size=images + 10)
    return Scores(rng.normal(size=20), nominal, nominal + shift, anomalous, anomalous - shift)


@pytest.mark.parametrize(("plant_on", "by_hand"), [("anomalous", 1 - 3 / 4), ("nominal", 1 - 1 / 4)])
def test_drop_is_clean_minus_conflict_auroc(plant_on, by_hand):
    assert drop(HAND, plant_on) == by_hand
    assert drop(UNMOVED, plant_on) == 0


@pytest.mark.parametrize("plant_on", SIDES)
def test_aligned_and_conflict_put_the_artifact_on_opposite_sides(plant_on):
    marked_anomalous = (HAND.nominal_clean, HAND.anomalous_stamped)
    marked_nominal = (HAND.nominal_stamped, HAND.anomalous_clean)
    aligned, conflict = (
        (marked_anomalous, marked_nominal) if plant_on == "anomalous" else (marked_nominal, marked_anomalous)
    )
    assert HAND.split("aligned", plant_on) == aligned
    assert HAND.split("conflict", plant_on) == conflict
    assert HAND.split("clean", plant_on) == (HAND.nominal_clean, HAND.anomalous_clean)
    assert HAND.split("stamped", plant_on) == (HAND.nominal_stamped, HAND.anomalous_stamped)


@pytest.mark.parametrize(("plant_on", "by_hand"), [("anomalous", 1 / 4), ("nominal", 3 / 4)])
def test_reliance_is_the_planted_drop_beyond_the_controls_seed_by_seed(plant_on, by_hand):
    got = reliance([HAND, UNMOVED, HAND], [UNMOVED, HAND, HAND], plant_on)
    assert got.tolist() == [by_hand, -by_hand, 0]


def test_reliance_refuses_unpaired_seeds():
    with pytest.raises(ValueError, match="shorter"):
        reliance([HAND, HAND], [HAND], "anomalous")


def test_score_shift_is_the_median_change_in_inter_quartile_ranges():
    # nominal clean 0 and 1: quartiles 0.25 and 0.75, range 0.5
    assert score_shift(HAND, "anomalous") == np.median([3 - 0, 1 - 1]) / 0.5
    assert score_shift(HAND, "nominal") == np.median([-1 - 2, 0.5 - 4]) / 0.5
    assert np.isnan(score_shift(dataclasses.replace(HAND, nominal_clean=np.zeros(2)), "nominal"))


@pytest.mark.parametrize(
    ("plant_on", "limit", "by_hand"),
    [("anomalous", 1.5, 1 / 2), ("anomalous", 3, 0), ("nominal", 1.5, 1), ("nominal", 3, 1 / 2)],
)
def test_flip_rate_counts_images_that_cross_the_threshold_in_either_direction(plant_on, limit, by_hand):
    assert flip_rate(HAND, plant_on, limit) == by_hand


@given(st.data(), st.sampled_from(SIDES))
def test_estimates_are_the_numbers_of_each_seed(data, plant_on):
    scores = st.lists(st.integers(-3, 3), min_size=4, max_size=4).map(lambda x: np.array(x, float))
    twins = [Scores(*(data.draw(scores) for _ in range(5))) for _ in range(2)]
    assert drop_estimate(twins, plant_on).per_seed == pytest.approx([drop(s, plant_on) for s in twins])
    for split in ("clean", "stamped", "aligned", "conflict"):
        expected = [auroc(*s.split(split, plant_on)) for s in twins]
        assert auroc_estimate(twins, split, plant_on).per_seed == pytest.approx(expected)
    flips = flip_estimate(twins, plant_on, [0.5, -1.5])
    assert flips.per_seed == pytest.approx(
        [flip_rate(s, plant_on, limit) for s, limit in zip(twins, [0.5, -1.5], strict=True)]
    )
    shifts = shift_estimate(twins, plant_on).per_seed
    assert shifts == pytest.approx([score_shift(s, plant_on) for s in twins], nan_ok=True)


@pytest.mark.parametrize("plant_on", SIDES)
@pytest.mark.parametrize("side", [0, 1])
def test_influence_is_what_a_heavier_image_does(plant_on, side):
    twins, little = [noisy(seed) for seed in range(2)], 1e-6
    influence = drop_estimate(twins, plant_on).influence[side]
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    counts = len(twins[0].nominal_clean), len(twins[0].anomalous_clean)
    for image in (0, 7):
        weights = [np.full((1, count), 1 / count) for count in counts]
        weights[side] = weights[side] * (1 - little)
        weights[side][0, image] += little

        def weighted_drop(scores, weights=weights):
            clean, conflict = (scores.split(name, plant_on) for name in ("clean", "conflict"))
            return (weighted_auroc(*clean, *weights) - weighted_auroc(*conflict, *weights)).item()

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


@pytest.mark.parametrize("plant_on", SIDES)
def test_identical_twins_have_a_reliance_of_exactly_zero(plant_on):
    twins = [noisy(seed) for seed in range(3)]
    difference = drop_estimate(twins, plant_on) - drop_estimate(twins, plant_on)
    assert not draw([difference], 200, np.random.default_rng(0)).any()


def test_copies_of_a_seed_add_no_certainty_about_the_images():
    spreads = [drop_estimate([noisy(0, shift=2)] * seeds, "anomalous").spread for seeds in (2, 8)]
    assert spreads[0].seeds == spreads[1].seeds == 0
    assert spreads[0].images == pytest.approx(spreads[1].images)
