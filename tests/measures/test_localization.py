import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from fcdd_audit.measures import localization
from fcdd_audit.measures.localization import (
    area_share,
    aupro,
    dilate,
    measure_all,
    top_k_intersection,
)
from fcdd_audit.measures.table import family

MEASURES = {measure.name: measure for measure in family("overlap")}
NAMES = list(MEASURES)
COMPARED = ("pixel_auroc", "aupro")  # with the pixels outside
measures = pytest.mark.parametrize("name", NAMES)


def measure(name, heat, mask):
    """One image, given as nested lists, as a number."""
    heat, mask = torch.as_tensor(heat), torch.as_tensor(mask)
    return MEASURES[name].function(heat[None, None], mask.bool()[None, None]).item()


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
    values = MEASURES[name].function(heat, mask)
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
    chance = MEASURES[name].chance_of(6 / 20)
    assert measure(name, torch.full((4, 5), level), mask) == pytest.approx(chance, abs=1e-12)


@measures
def test_maps_of_pure_noise_average_to_the_stated_chance_level(name):
    heat = torch.rand(400, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(heat.shape, dtype=torch.bool)
    mask[..., 20:, :12] = True
    area = 144 / 1024
    got = MEASURES[name].function(heat, mask).mean().item()
    # The pointing game looks at one pixel an image: 400 of them deviate by 0.35 / 20 of the mean.
    tolerance = 0.05 if name == "pointing_game" else 0.01
    assert got == pytest.approx(MEASURES[name].chance_of(area), abs=tolerance)


@measures
def test_an_empty_mask_gives_nan_for_that_image_only(name):
    heat, mask = batch(0)
    mask[1] = False
    values = MEASURES[name].function(heat, mask)
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
        MEASURES[name].function(heat, mask)


@measures
@pytest.mark.parametrize("factor", [1e-12, 0.5, 1e12])
def test_the_unit_of_the_heat_does_not_matter(name, factor):
    heat, mask = batch(1)
    scaled = MEASURES[name].function(heat * factor, mask)
    assert scaled.tolist() == pytest.approx(MEASURES[name].function(heat, mask).tolist())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "relevance_mass"])
def test_measures_of_rank_depend_on_the_order_of_the_heat_only(name):
    heat, mask = batch(2, levels=1000)
    function = MEASURES[name].function
    assert torch.equal(function(heat.sqrt() + 3, mask), function(heat, mask))


@measures
def test_measuring_all_at_once_changes_no_number(name):
    heat, mask = batch(3)
    for where in (mask, ~mask, dilate(mask, 1)):
        together, alone = measure_all(heat, where)[name], MEASURES[name].function(heat, where)
        torch.testing.assert_close(together, alone, rtol=0, atol=0, equal_nan=True)


@measures
def test_the_layout_of_the_heat_in_memory_does_not_matter(name):
    heat, mask = batch(4)
    strided = heat.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert not strided.is_contiguous()
    assert torch.equal(MEASURES[name].function(strided, mask), MEASURES[name].function(heat, mask))


def test_dilation_grows_a_pixel_to_a_square_and_stops_at_the_border():
    mask = torch.zeros(2, 1, 7, 7, dtype=torch.bool)
    mask[0, 0, 3, 3] = mask[1, 0, 0, 6] = True
    expected = torch.zeros_like(mask)
    expected[0, 0, 1:6, 1:6] = expected[1, 0, :3, 4:] = True
    assert torch.equal(dilate(mask, 2), expected)
    assert torch.equal(dilate(mask, 0), mask)
    assert area_share(dilate(mask, 2)).tolist() == [25 / 49, 9 / 49]


# A region of one pixel and one of three; 8 pixels outside. From hot to cold, and the overlap so far:
# 9 in the large region (1/6); 8 outside; 7 the small region (1/6 + 1/2); 6 outside; 5 in the large one
# (5/6); 4 outside; 3 in the large one (1); 5 pixels outside.
REGIONS = [[1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 0]]
REGIONS_HEAT = [[7.0, 8.0, 0.0, 1.0], [0.0, 6.0, 9.0, 5.0], [4.0, 2.0, 3.0, 0.0]]


def overlap(heat, mask, limit):
    """AUPRO of one image."""
    return aupro(torch.tensor(heat)[None, None], torch.tensor(mask).bool()[None, None], limit).item()


def test_regions_of_different_size_count_alike_in_aupro():
    third = (1 / 8 * 1 / 6 + 1 / 8 * 2 / 3 + (0.3 - 2 / 8) * 5 / 6) / 0.3
    assert overlap(REGIONS_HEAT, REGIONS, 0.3) == pytest.approx(third, abs=1e-12)
    assert measure("aupro", REGIONS_HEAT, REGIONS) == pytest.approx(third, abs=1e-12)
    whole = 1 / 8 * (1 / 6 + 2 / 3 + 5 / 6) + 5 / 8
    assert overlap(REGIONS_HEAT, REGIONS, 1) == pytest.approx(whole, abs=1e-12)


def test_pixels_that_touch_at_a_corner_are_one_region_for_aupro():
    mask = [[1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    heat = [[0.0, 0.0, 0.0, 0.0, 1.0], [0.0] * 5, [0.0] * 5]
    # One of two regions, not of three: a line from 1/2 to 1.
    assert overlap(heat, mask, 1) == pytest.approx(3 / 4, abs=1e-12)


@pytest.mark.parametrize(
    ("limit", "by_hand"),
    [
        (0.3, (0.5 + 0.8) / 2),  # at 0.3 the line is at 1/2 + 0.3
        (0.5, (0.5 + 1) / 2),
        (0.6, (0.5 * (0.5 + 1) / 2 + 0.1 * 1) / 0.6),
        (1, 0.5 * 0.75 + 0.5),
        (1e-6, 0.5 + 1e-6 / 2),
    ],
)
def test_a_limit_cuts_the_line_that_joins_a_tie(limit, by_hand):
    # 3 is half of the region; the tie takes the overlap to 1 and the rate to 1/2; 0 takes the rate to 1.
    assert overlap([[3.0, 1.0, 1.0, 0.0]], [[1, 1, 0, 0]], limit) == pytest.approx(by_hand, abs=1e-12)


def slow_aupro(heat, mask, limit):
    """The curve swept threshold by threshold."""
    regions, number = ndimage.label(mask, np.ones((3, 3)))
    rate, hit, area = 0.0, 0.0, 0.0
    for threshold in np.unique(heat)[::-1]:
        hot = heat >= threshold
        next_rate = hot[~mask].mean()
        next_hit = np.mean([hot[regions == region].mean() for region in range(1, number + 1)])
        if next_rate > limit:
            at_limit = hit + (next_hit - hit) * (limit - rate) / (next_rate - rate)
            return (area + (limit - rate) * (hit + at_limit) / 2) / limit
        area += (next_rate - rate) * (hit + next_hit) / 2
        rate, hit = next_rate, next_hit
    return area / limit


@settings(deadline=None)  # slow indeed
@given(st.integers(0, 1 << 30), st.sampled_from([1, 2, 4, 30, 1 << 20]), st.floats(0.01, 1))
def test_aupro_agrees_with_a_slow_sweep_over_the_thresholds_whatever_the_ties(seed, levels, limit):
    heat, mask = batch(seed, count=3, height=6, width=7, levels=levels)
    values = aupro(heat, mask, limit).tolist()
    for value, one, inside in zip(values, heat[:, 0].numpy(), mask[:, 0].numpy(), strict=True):
        if 0 < inside.sum() < inside.size:
            assert value == pytest.approx(slow_aupro(one, inside, limit), abs=1e-9)
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("limit", [0, -0.1, 1.01, np.nan])
def test_aupro_refuses_a_limit_that_is_no_rate(limit):
    with pytest.raises(ValueError, match="limit must be"):
        aupro(*batch(0), limit=limit)


@pytest.mark.parametrize(
    ("k", "by_hand"), [(1, 0), (2, 1 / 2), (3, 2 / 3), (4, 2.5 / 4), (5, 3 / 5), (6, 3 / 6)]
)
def test_the_k_hottest_pixels_are_those_counted_by_hand(k, by_hand):
    # From hot to cold: 9 outside, 8 inside, 7 inside, then 5 in- and outside, and 1 outside.
    heat = torch.tensor([[8.0, 9.0, 5.0], [5.0, 7.0, 1.0]])[None, None]
    mask = torch.tensor([[1, 0, 1], [0, 1, 0]]).bool()[None, None]
    assert top_k_intersection(heat, mask, k).item() == pytest.approx(by_hand, abs=1e-12)


def test_the_default_k_is_one_percent_of_the_pixels_rounded_up():
    heat, mask = batch(5, height=10, width=21, levels=1000)
    assert torch.equal(top_k_intersection(heat, mask), top_k_intersection(heat, mask, 3))
    assert not torch.equal(top_k_intersection(heat, mask), top_k_intersection(heat, mask, 2))


@pytest.mark.parametrize("k", [0, -1, 25])
def test_k_must_be_a_number_of_pixels_of_the_map(k):
    heat, mask = batch(0)
    with pytest.raises(ValueError, match="k must be from 1 to the 24 pixels"):
        top_k_intersection(heat, mask, k)


@measures
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_width_of_the_heats_numbers_does_not_matter(name, dtype):
    heat, mask = batch(6, levels=20)  # whole numbers, exact in all of them
    function = MEASURES[name].function
    values = function(heat.to(dtype), mask)
    assert values.dtype == torch.float64
    torch.testing.assert_close(values, function(heat, mask), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "relevance_mass"])
def test_double_heat_is_not_rounded_to_single(name):
    heat = torch.full((10, 10), 1.0, dtype=torch.float64)
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[4:6, 4:6] = True
    heat[mask] += 1e-12
    assert measure(name, heat, mask) == pytest.approx(1, abs=1e-12)
    chance = MEASURES[name].chance_of(4 / 100)
    assert measure(name, heat.float(), mask) == pytest.approx(chance, abs=1e-12)


@measures
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_negative_zeros_are_zeros(name, dtype):
    heat, mask = batch(7, levels=3)
    heat = heat.to(dtype)
    signed = torch.where((heat == 0) & (torch.arange(4) % 2 == 0), -heat, heat)
    assert signed.signbit().any()
    function = MEASURES[name].function
    assert torch.equal(function(signed, mask), function(heat, mask))
    flat = torch.zeros_like(heat)
    assert torch.equal(function(torch.where(mask, -flat, flat), mask), function(flat, mask))


@pytest.mark.parametrize("at_once", [1, 24, 50, 72, 1000])
def test_images_measured_in_parts_get_the_numbers_they_have_alone(monkeypatch, at_once):
    heat, mask = batch(8, count=7)
    mask[3] = False
    mask[6] = True
    parts = []

    def count(pixels):
        parts.append(len(pixels.heat))
        return pixels.size

    monkeypatch.setattr(localization, "AT_ONCE", at_once)
    assert localization._measured({"": count}, heat, mask)[""].tolist() == mask.sum(dim=(1, 2, 3)).tolist()
    assert max(parts) == min(7, max(1, at_once // 24))
    together = measure_all(heat, mask)
    for name in NAMES:
        alone = [MEASURES[name].function(heat[n : n + 1], mask[n : n + 1]) for n in range(7)]
        torch.testing.assert_close(together[name], torch.cat(alone), rtol=0, atol=0, equal_nan=True)


@measures
def test_what_is_invalid_in_a_later_part_is_refused_too(monkeypatch, name):
    monkeypatch.setattr(localization, "AT_ONCE", 24)
    heat, mask = batch(9)
    heat[4, 0, 5, 3] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        MEASURES[name].function(heat, mask)


@pytest.fixture
def threads():
    """Sets the number of threads until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@settings(deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([1, 2, 4, 30, 1 << 20]), st.booleans())
def test_the_kth_hottest_pixel_is_the_same_with_and_without_sorting(seed, levels, double):
    heat, mask = batch(seed, levels=levels)
    heat = heat.double() if double else heat
    k = torch.tensor([1.0, 24.0, 7.0, 2.0, 13.0])
    chosen, ordered = (localization._Pixels(heat, mask, sort=sort).hottest(k) for sort in (False, True))
    assert torch.equal(chosen, ordered)
    # The heat of the k-th hottest, whatever the way to it.
    descending = heat.flatten(1).sort(dim=1, descending=True).values
    of_rank = descending[torch.arange(5), k.long() - 1][:, None]
    pixels = localization._Pixels(heat, mask)
    assert torch.equal(pixels.packed > (chosen | 1), pixels.heat > of_rank)
    assert torch.equal(pixels.packed | 1 == chosen | 1, pixels.heat == of_rank)


def test_places_are_listed_row_by_row():
    where = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]).bool()
    places, meant = localization._places(where)
    assert places.tolist() == [[1, 3], [0, 0], [0, 0]]
    assert meant.tolist() == [[True, True], [False, False], [True, False]]
    assert localization._places(where[1:2])[0].shape == (1, 0)


@measures
def test_no_images_give_no_numbers(name):
    none = torch.zeros(0, 1, 4, 4)
    assert MEASURES[name].function(none, none.bool()).shape == (0,)
    assert measure_all(none, none.bool())[name].shape == (0,)


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("shape", [(1, 50), (2, 50), (5, 301), (4, 1), (20, 7)])
def test_numpy_sorts_rows_as_torch_does_whatever_the_threads(threads, number, dtype, shape):
    threads(number)
    limits = torch.iinfo(dtype)
    keys = torch.randint(
        limits.min, limits.max, shape, generator=torch.Generator().manual_seed(0), dtype=dtype
    )
    keys[:, 0], keys[0, -1] = limits.max, limits.min
    before = keys.clone()
    assert torch.equal(localization._sort(keys), keys.sort(dim=1).values)
    assert torch.equal(keys, before)


def test_the_number_of_threads_changes_no_number_and_sorting_no_input(threads):
    heat, mask = batch(10, count=5, levels=50)
    before = heat.clone(), mask.clone()
    threads(1)
    one = measure_all(heat, mask)
    threads(2)
    two = measure_all(heat, mask)
    for name in NAMES:
        assert torch.equal(one[name], two[name]), name
    assert torch.equal(heat, before[0])
    assert torch.equal(mask, before[1])
