"""What is said of remedies, and which one is recommended."""

import numpy as np
import pytest

from fcdd_audit.verdict.remedied import Tried, recommend

SHIFT = np.array([3.0, 3.2, 2.8, 3.1, 2.9, 3.0, 3.3, 2.7])  # of the planted twins
AUROC = np.full(8, 0.93)


def tried(name, left=0.1, cost=0.0, others=None, pairs=8, noise=0.02):
    """A remedy that leaves a share of the shift and costs so much AUROC, the same in all pairs but for noise
    of one sign and the other, two by two so that the halves have the same means."""
    sway = noise * np.array([1, 1, -1, -1] * 2)[:pairs]
    return Tried(
        name,
        f"{name} does",
        numbers={
            "shift": (SHIFT[:pairs], left * SHIFT[:pairs] + sway),
            "auroc": (AUROC[:pairs], AUROC[:pairs] - cost + sway / 10),
        },
        others=others or {},
        seeds=tuple(range(pairs)),
    )


UNFIT = Tried("drop", "does", "every anomalous training image bears the artifact")


def test_the_best_of_those_that_cost_nothing_is_chosen_and_checked():
    found = recommend([tried("inpaint", 0.2), tried("balance", 0.1), UNFIT, tried("placebo", 0.0)], "placebo")
    assert (found.answer, found.remedy, found.chosen_on, found.checked_on) == ("mended", "balance", 4, 4)
    assert found.said.startswith("balance removes 90 % (")
    assert found.said.endswith(
        "of it; AUROC 0.93 before, 0.93 after; checked on 4 trainings that didn't choose it; the placebo "
        "removes 100 % (99 to 100)"
    )


def test_one_that_costs_too_much_is_passed_over():
    found = recommend([tried("outside", 0.0, cost=0.1), tried("balance", 0.15)], "placebo")
    assert (found.answer, found.remedy) == ("mended", "balance")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"left": 0.5}, "leaves 50 % of it"),
        ({"cost": 0.05}, "costs 0.05 of the AUROC"),
        ({"others": {"disc": (np.full(8, 0.1), np.full(8, -0.4))}}, "has the score follow disc more"),
    ],
)
def test_where_none_is_good_enough_it_is_said_and_why(given, said):
    found = recommend([tried("balance", **given), UNFIT], "placebo")
    assert (found.answer, found.remedy) == ("none", None)
    assert f"none of balance mends it: the best, balance, {said}" in found.said
    assert "Drop can't work: every anomalous training image bears the artifact." in found.said


def second_half(values, other):
    """The same on the pairs that choose, another on those that check."""
    return np.where(np.arange(8) % 2 == 0, values, other)


@pytest.mark.parametrize(
    ("numbers", "others", "said"),
    [
        ({"shift": (SHIFT, second_half(0.1 * SHIFT, 2.0))}, {}, "under 25 % of it is left"),
        ({"auroc": (AUROC, second_half(AUROC, AUROC - 0.1))}, {}, "at most 0.02 of the AUROC is lost"),
        (
            {},
            {"disc": (np.zeros(8), second_half(0.0, 1.0))},
            "the score doesn't follow disc more",
        ),
    ],
)
def test_what_does_not_hold_on_the_other_pairs_is_not_recommended(numbers, others, said):
    one = tried("balance")
    one = Tried("balance", "does", numbers={**one.numbers, **numbers}, others=others, seeds=one.seeds)
    found = recommend([one], "placebo")
    assert (found.answer, found.remedy) == ("open", "balance")
    assert f"checked on 4 trainings that didn't choose it: not sure that {said}" in found.said


def test_too_few_pairs_check_nothing():
    found = recommend([tried("balance", pairs=4)], "placebo")
    assert (found.answer, found.chosen_on, found.checked_on) == ("open", 2, 2)
    assert "too few to check that: use --seeds 16" in found.said


def test_where_nothing_could_be_tried_it_is_said():
    found = recommend([UNFIT, tried("placebo")], "placebo")
    assert (found.answer, found.remedy) == ("none", None)
    assert found.said == (
        "nothing could be tried. Drop can't work: every anomalous training image bears the artifact."
    )


def test_a_finding_has_the_numbers_of_all_pairs_and_an_unfit_one_none():
    found = tried("balance", others={"disc": (np.zeros(8), np.full(8, 0.2))}).finding()
    assert found.pairs == 8
    assert found.shift.before.value == pytest.approx(SHIFT.mean())
    assert found.shift.difference.value == pytest.approx(-0.9 * SHIFT.mean())
    assert found.removed.value == pytest.approx(0.9)
    assert (found.others[0].artifact, found.others[0].rise.value) == ("disc", pytest.approx(0.2))
    nothing = UNFIT.finding()
    assert (nothing.pairs, nothing.removed, nothing.unfit) == (0, None, UNFIT.unfit)


def test_a_lost_pair_moves_no_other_from_one_half_to_the_other():
    whole = tried("balance", 0.1)
    kept = np.arange(1, 8)  # seed 0 has no numbers
    numbers = {name: tuple(one[kept] for one in twins) for name, twins in whole.numbers.items()}
    one = Tried("balance", "does", numbers=numbers, seeds=tuple(kept.tolist()))
    found = recommend([one], "placebo")
    assert (found.chosen_on, found.checked_on) == (3, 4)
    assert one.of(lambda seed: seed % 2 == 1).seeds == (1, 3, 5, 7)


def test_what_is_not_known_is_never_chosen():
    shift = 0.03 * SHIFT
    shift[2] = np.nan
    unknown = Tried(
        "outside", "does", numbers={"shift": (SHIFT, shift), "auroc": (AUROC, AUROC)}, seeds=tuple(range(8))
    )
    for order in ([unknown, tried("balance", 0.1)], [tried("balance", 0.1), unknown]):
        assert recommend(order, "placebo").remedy == "balance"
    assert "leaves an unknown share of it" in recommend([unknown], "placebo").said


def test_what_the_placebo_removes_is_said_beside_it():
    found = recommend([tried("balance", 0.1), tried("placebo", 0.9)], "placebo")
    assert found.said.endswith("that didn't choose it; the placebo removes 10 % (9 to 11)")


def test_lost_trainings_are_not_called_impossible():
    found = recommend([Tried("balance", "does", failed=("seed 0: it diverged",))], "placebo")
    assert found.said == "all trainings failed."
