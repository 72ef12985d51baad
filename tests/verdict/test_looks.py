import math

import pytest

from fcdd_audit.verdict.looks import planned_looks, single_look


@pytest.mark.parametrize(
    ("most", "pairs"),
    [
        (16, (4, 6, 8, 12, 16)),
        (1, (1,)),
        (3, (3,)),
        (4, (4,)),
        (5, (4, 5)),
        (30, (4, 6, 8, 12, 16, 24, 30)),
        (54, (4, 6, 8, 12, 16, 24, 36, 54)),
    ],
)
def test_looks_are_planned_up_to_the_most_pairs(most, pairs):
    assert tuple(look.pairs for look in planned_looks(most)) == pairs


def test_a_look_spends_what_the_share_of_the_pairs_adds_to_pococks_function():
    looks = planned_looks(16)
    assert looks[0].share == pytest.approx(math.log(1 + (math.e - 1) / 4))
    assert looks[1].share == pytest.approx(math.log((1 + (math.e - 1) * 6 / 16) / (1 + (math.e - 1) / 4)))


@pytest.mark.parametrize("most", [1, 3, 4, 16, 40])
def test_all_looks_together_spend_the_whole_error(most):
    assert sum(look.share for look in planned_looks(most)) == pytest.approx(1)
    assert all(look.share > 0 for look in planned_looks(most))


def test_a_number_of_pairs_that_was_fixed_pays_nothing():
    (look,) = single_look(7)
    assert (look.pairs, look.share) == (7, 1)


def test_without_pairs_there_is_no_look():
    with pytest.raises(ValueError, match="at least one pair"):
        planned_looks(0)
