"""What lowered the score, counted by hand on maps of a few pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.measures.localization import pixel_auroc
from fcdd_audit.measures.lowering import (
    lowering_above_chance,
    lowering_chance,
    lowering_excess,
    lowering_pixel_auroc,
    measure_signed,
    signed_relevance,
)

HEAT = torch.tensor([[[[-3.0, 1.0], [-1.0, 0.0]]]])
INSIDE = torch.tensor([[[[True, True], [False, False]]]])
MAPS = st.lists(st.integers(-4, 4), min_size=9, max_size=9).map(
    lambda values: torch.tensor(values, dtype=torch.float32).view(1, 1, 3, 3)
)
MASKS = st.lists(st.booleans(), min_size=9, max_size=9).map(lambda x: torch.tensor(x).view(1, 1, 3, 3))


def test_what_lowers_is_ranked_and_what_raises_ties_with_nothing():
    # Lowering 3 and 0 inside, 1 and 0 outside: 3 beats both, 0 loses to 1 and ties with 0.
    assert lowering_pixel_auroc(HEAT, INSIDE).tolist() == [(2 + 0.5) / 4]
    # Raising 0 and 1 inside, 0 and 0 outside: the same map raises there too.
    assert lowering_pixel_auroc(-HEAT, INSIDE).tolist() == [(1 + 2) / 4]


def test_signed_relevance_is_what_raises_less_what_lowers_over_all():
    assert signed_relevance(HEAT, INSIDE).tolist() == [(1 - 3) / 5]
    assert signed_relevance(HEAT, ~INSIDE).tolist() == [-1 / 5]
    assert signed_relevance(HEAT * 0, INSIDE).tolist() == [0]
    assert signed_relevance(HEAT, INSIDE & False).isnan().all()


def test_chance_is_that_of_the_mask_of_the_image_before():
    maps = torch.cat([HEAT, -HEAT, torch.zeros_like(HEAT)])
    masks = torch.cat([INSIDE, ~INSIDE, INSIDE.transpose(2, 3)])
    found = lowering_chance(maps, masks)
    assert found.tolist() == [
        lowering_pixel_auroc(HEAT, INSIDE.transpose(2, 3)).item(),
        lowering_pixel_auroc(-HEAT, INSIDE).item(),
        0.5,
    ]


def test_pairs_are_compared_with_the_control_and_with_chance():
    planted, control = np.array([0.9, 0.7, np.nan]), np.array([0.4, 0.3, 0.2])
    assert lowering_excess(planted, control) == pytest.approx(0.45)
    assert lowering_above_chance(planted, np.array([0.5, 0.7])) == pytest.approx(0.2)


@given(MAPS, MASKS)
def test_a_map_turned_over_lowers_where_it_raised(heat, mask):
    turned, raised = lowering_pixel_auroc(-heat, mask), pixel_auroc(heat.clamp_min(0), mask)
    assert torch.equal(turned.nan_to_num(9), raised.nan_to_num(9))
    assert torch.equal(
        signed_relevance(-heat, mask).nan_to_num(9), -signed_relevance(heat, mask).nan_to_num(-9)
    )
    for name, (value,) in measure_signed(heat, mask).items():
        low = -1 if name == "signed_relevance" else 0
        assert math.isnan(value) or low <= value <= 1


@pytest.mark.parametrize("heat", [HEAT[0], HEAT * torch.nan, HEAT.int()])
def test_what_cannot_be_measured_is_refused(heat):
    with pytest.raises(ValueError, match="heatmap must be"):
        lowering_pixel_auroc(heat, INSIDE)
