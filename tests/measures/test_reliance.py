import dataclasses

import numpy as np
import pytest

from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.reliance import Scores, drop, flip_rate, reliance, reliance_draws, score_shift

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


@pytest.mark.parametrize("plant_on", SIDES)
def test_draws_scatter_around_the_point_estimate(plant_on):
    planted, control = [noisy(s, shift=1.5) for s in range(4)], [noisy(s, shift=0.2) for s in range(4)]
    draws = reliance_draws(planted, control, plant_on, 2000, np.random.default_rng(0)).reliance
    assert draws.shape == (2000,)
    assert draws.std() > 0.005
    estimate = reliance(planted, control, plant_on).mean()
    assert draws.mean() == pytest.approx(estimate, abs=5 * draws.std() / np.sqrt(2000))


@pytest.mark.parametrize("plant_on", SIDES)
def test_identical_twins_give_draws_of_exactly_zero(plant_on):
    twins = [noisy(seed) for seed in range(3)]
    assert not reliance_draws(twins, twins, plant_on, 200, np.random.default_rng(0)).reliance.any()


def test_all_seeds_share_the_resampled_images_so_copies_of_a_seed_add_no_certainty():
    one = [noisy(0, shift=2)], [noisy(0, shift=0)]
    spread = [
        reliance_draws(
            one[0] * seeds, one[1] * seeds, "anomalous", 4000, np.random.default_rng(1)
        ).reliance.std()
        for seeds in (1, 5)
    ]
    assert spread[1] == pytest.approx(spread[0], rel=1e-9)


def test_one_draw_of_one_seed_is_the_reliance_of_the_images_drawn():
    planted, control = noisy(0, images=5), noisy(1, images=5)
    draws = reliance_draws([planted], [control], "anomalous", 50, np.random.default_rng(3)).reliance
    rng = np.random.default_rng(3)
    nominal = rng.multinomial(5, [1 / 5] * 5, size=50)
    anomalous = rng.multinomial(15, [1 / 15] * 15, size=50)

    def resampled_drop(scores, n, a):
        marked, anomalies = np.repeat(scores.nominal_stamped, n), np.repeat(scores.anomalous_clean, a)
        return auroc(np.repeat(scores.nominal_clean, n), anomalies) - auroc(marked, anomalies)

    expected = [
        resampled_drop(planted, n, a) - resampled_drop(control, n, a)
        for n, a in zip(nominal, anomalous, strict=True)
    ]
    assert draws == pytest.approx(expected)


def test_draws_depend_on_the_generator_only():
    arguments = [noisy(0), noisy(1)], [noisy(2), noisy(3)], "nominal", 100
    first, again, other = (
        reliance_draws(*arguments, np.random.default_rng(seed)).reliance.tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_planted_twins_own_drop_comes_from_the_same_resamples():
    rng = np.random.default_rng(0)
    planted, control = (
        [Scores(*(rng.normal(size=20) for _ in range(5))) for _ in range(3)] for _ in range(2)
    )
    harmless = [
        Scores(s.validation, s.nominal_clean, s.nominal_clean, s.anomalous_clean, s.anomalous_clean)
        for s in control
    ]
    draws = reliance_draws(planted, harmless, "anomalous", 50, np.random.default_rng(1))
    assert draws.reliance == pytest.approx(draws.planted_drop)  # the control drops by nothing
    assert draws.planted_drop.std() > 0
