import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from fcdd_audit.measures.localization import LOCALIZATION, area_share, dilate, measure_all

NAMES = list(LOCALIZATION)
COMPARED = ("pixel_auroc", "aupro")  # with the pixels outside
measures = pytest.mark.parametrize("name", NAMES)


def measure(name, heat, mask):
    """One image, given as nested lists, as a number."""
    heat, mask = torch.as_tensor(heat), torch.as_tensor(mask)
    return LOCALIZATION[name].function(heat[None, None], mask.bool()[None, None]).item()


def batch(seed, count=5, height=6, width=4, levels=4):
    """Heat with many ties and random masks."""
    generator = torch.Generator().manual_seed(seed)
    heat = torch.randint(0, levels, (count, 1, height, width), generator=generator).float()
    return heat, torch.rand(heat.shape, generator=generator) < 0.4


# Mask pixels hold 1 and 3, the others 0 and 2.
DISTINCT = [[0.0, 1.0], [2.0, 3.0]], [[0, 1], [0, 1]]
DISTINCT_BY_HAND = {
    "pixel_auroc": 3 / 4,  # 3 > 0, 3 > 2, 1 > 0, but 1 < 2
    "pixel_ap": (1 / 1 + 2 / 3) / 2,  # precision down to 3, and down to 1
    "relevance_mass": (1 + 3) / (0 + 1 + 2 + 3),
    "relevance_rank": 1 / 2,  # the two hottest are 3 and 2
    "pointing_game": 1.0,
    "iou_at_mask_area": 1 / (2 + 2 - 1),
    "top_k_intersection": 1.0,  # one pixel is 1 % of four: the hottest
    # 3 first: half of the one region at no false positive; 2 takes the rate to 1/2, over the limit.
    "aupro": 1 / 2,
}
# Mask pixels hold 2 and 0, the others 2 and 2.
TIED = [[2.0, 2.0], [0.0, 2.0]], [[1, 0], [1, 0]]
TIED_BY_HAND = {
    "pixel_auroc": (0.5 + 0.5 + 0 + 0) / 4,
    "pixel_ap": (1 / 3 + 2 / 4) / 2,
    "relevance_mass": 2 / 6,
    "relevance_rank": (2 * 1 / 3) / 2,  # each of the three tied pixels has 2/3 of a place
    "pointing_game": 1 / 3,
    "iou_at_mask_area": (2 / 3) / (4 - 2 / 3),
    "top_k_intersection": 1 / 3,
    # The tie takes the overlap to 1/2 and the rate to 1: a line from 0, of which 0.3 counts.
    "aupro": 0.3 / 2 / 2,
}


@measures
def test_the_number_is_the_one_computed_by_hand(name):
    assert measure(name, *DISTINCT) == pytest.approx(DISTINCT_BY_HAND[name], abs=1e-12)
    assert measure(name, *TIED) == pytest.approx(TIED_BY_HAND[name], abs=1e-12)


@measures
def test_each_image_of_a_batch_gets_its_own_number(name):
    heat = torch.tensor([DISTINCT[0], TIED[0]])[:, None]
    mask = torch.tensor([DISTINCT[1], TIED[1]]).bool()[:, None]
    values = LOCALIZATION[name].function(heat, mask)
    assert values.dtype == torch.float64
    assert values.tolist() == pytest.approx([DISTINCT_BY_HAND[name], TIED_BY_HAND[name]])


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30))
def test_auroc_and_ap_of_pixels_agree_with_scikit_learn_whatever_the_ties(pixels):
    heat, labels = (np.array(part) for part in zip(*pixels, strict=True))
    image = torch.from_numpy(heat).float()[None], torch.from_numpy(labels)[None]
    if labels.any():
        assert measure("pixel_ap", *image) == pytest.approx(average_precision_score(labels, heat))
    if 0 < labels.sum() < len(labels):
        assert measure("pixel_auroc", *image) == pytest.approx(roc_auc_score(labels, heat))


@given(st.lists(st.tuples(st.floats(0, 2.0**100, width=32), st.booleans()), min_size=4, max_size=20))
def test_every_measure_stays_in_its_range_or_is_nan_for_want_of_a_mask(pixels):
    heat, labels = (torch.tensor(part)[None] for part in zip(*pixels, strict=True))
    for name in NAMES:
        value = measure(name, heat, labels)
        if not labels.any() or (name in COMPARED and labels.all()):
            assert np.isnan(value), name
        else:
            assert 0 <= value <= 1 + 1e-12, name


@measures
@pytest.mark.parametrize("level", [0.0, 1e-40, 0.7, 3e38])
def test_a_flat_map_gets_exactly_the_value_of_chance(name, level):
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[:2, :3] = True
    chance = LOCALIZATION[name].chance(6 / 20)
    assert measure(name, torch.full((4, 5), level), mask) == pytest.approx(chance, abs=1e-12)


@measures
def test_maps_of_pure_noise_average_to_the_stated_chance_level(name):
    heat = torch.rand(400, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(heat.shape, dtype=torch.bool)
    mask[..., 20:, :12] = True
    area = 144 / 1024
    got = LOCALIZATION[name].function(heat, mask).mean().item()
    # The pointing game looks at one pixel an image: 400 of them deviate by 0.35 / 20 of the mean.
    tolerance = 0.05 if name == "pointing_game" else 0.01
    assert got == pytest.approx(LOCALIZATION[name].chance(area), abs=tolerance)


@measures
def test_an_empty_mask_gives_nan_for_that_image_only(name):
    heat, mask = batch(0)
    mask[1] = False
    values = LOCALIZATION[name].function(heat, mask)
    assert values.isnan().tolist() == [False, True, False, False, False]


@measures
def test_a_full_mask_holds_everything_and_leaves_auroc_nothing_to_compare(name):
    value = measure(name, DISTINCT[0], np.ones((2, 2)))
    assert np.isnan(value) if name in COMPARED else value == pytest.approx(1)


@measures
def test_heat_on_the_mask_alone_is_perfect_and_heat_beside_it_alone_is_the_worst(name):
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[1:3, 1:3] = True
    assert measure(name, mask.float(), mask) == pytest.approx(1)
    beside = measure(name, (~mask).float(), mask)
    assert beside == (pytest.approx(4 / 36) if name == "pixel_ap" else 0)


@measures
@pytest.mark.parametrize(
    ("heat", "mask"),
    [
        (torch.tensor([[[[0.0, -1e-9]]]]), torch.ones(1, 1, 1, 2).bool()),
        (torch.tensor([[[[0.0, torch.nan]]]]), torch.ones(1, 1, 1, 2).bool()),
        (torch.tensor([[[[0.0, torch.inf]]]]), torch.ones(1, 1, 1, 2).bool()),
        (torch.ones(2, 2), torch.ones(2, 2).bool()),
        (torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 2).bool()),
        (torch.ones(2, 1, 2, 2), torch.ones(1, 1, 2, 2).bool()),
        (torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 3).bool()),
        (torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)),
        (torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.uint8)),
    ],
    ids=["negative", "nan", "infinite", "2-d", "3 channels", "fewer masks", "wide mask", "float", "uint8"],
)
def test_invalid_input_is_refused(name, heat, mask):
    with pytest.raises(ValueError, match="must be"):
        LOCALIZATION[name].function(heat, mask)


@measures
@pytest.mark.parametrize("factor", [1e-12, 0.5, 1e12])
def test_the_unit_of_the_heat_does_not_matter(name, factor):
    heat, mask = batch(1)
    scaled = LOCALIZATION[name].function(heat * factor, mask)
    assert scaled.tolist() == pytest.approx(LOCALIZATION[name].function(heat, mask).tolist())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "relevance_mass"])
def test_measures_of_rank_depend_on_the_order_of_the_heat_only(name):
    heat, mask = batch(2, levels=1000)
    function = LOCALIZATION[name].function
    assert torch.equal(function(heat.sqrt() + 3, mask), function(heat, mask))


@measures
def test_measuring_all_at_once_changes_no_number(name):
    heat, mask = batch(3)
    for where in (mask, ~mask, dilate(mask, 1)):
        together, alone = measure_all(heat, where)[name], LOCALIZATION[name].function(heat, where)
        torch.testing.assert_close(together, alone, rtol=0, atol=0, equal_nan=True)


@measures
def test_the_layout_of_the_heat_in_memory_does_not_matter(name):
    heat, mask = batch(4)
    strided = heat.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert not strided.is_contiguous()
    assert torch.equal(LOCALIZATION[name].function(strided, mask), LOCALIZATION[name].function(heat, mask))


def test_dilation_grows_a_pixel_to_a_square_and_stops_at_the_border():
    mask = torch.zeros(2, 1, 7, 7, dtype=torch.bool)
    mask[0, 0, 3, 3] = mask[1, 0, 0, 6] = True
    expected = torch.zeros_like(mask)
    expected[0, 0, 1:6, 1:6] = expected[1, 0, :3, 4:] = True
    assert torch.equal(dilate(mask, 2), expected)
    assert torch.equal(dilate(mask, 0), mask)
    assert area_share(dilate(mask, 2)).tolist() == [25 / 49, 9 / 49]
