import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity as ssim

from fcdd_audit.measures.similarity import rank_correlation, structural_similarity

MEASURES = [rank_correlation, structural_similarity]
measures = pytest.mark.parametrize("function", MEASURES, ids=lambda function: function.__name__)
NARROW = st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=2, max_size=30)
WIDE = st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(-1, 1)), min_size=2, max_size=30)


def maps(seed, count=4, height=8, width=9):
    return torch.randn(count, 1, height, width, generator=torch.Generator().manual_seed(seed))


def row(values):
    """One image of one row."""
    return torch.tensor(values, dtype=torch.float64)[None, None, None]


def scaled(one):
    """A map that isn't flat, (H, W), from 0 to 1."""
    one = one.double().numpy()
    return (one - one.min()) / (one.max() - one.min())


def test_the_rank_correlation_is_the_one_computed_by_hand():
    # Ranks 1, 2, 3, 4 and 2, 1, 4, 3, less 2.5; the squares of both sum to 5.
    by_hand = ((-1.5) * (-0.5) + (-0.5) * (-1.5) + 0.5 * 1.5 + 1.5 * 0.5) / 5
    assert rank_correlation(row([0, 1, 2, 30]), row([5, 4, 7, 6])).item() == pytest.approx(by_hand)
    # Tied: ranks 1.5, 1.5, 3 and 1, 2, 3, less 2: (0.5 + 0 + 1) / sqrt(1.5 * 2).
    assert rank_correlation(row([0, 0, 9]), row([-1, 0, 1])).item() == pytest.approx(1.5 / 3**0.5)


@given(st.one_of(NARROW, WIDE))
def test_the_rank_correlation_agrees_with_scipy_whatever_the_ties(pixels):
    first, second = (np.array(part, dtype=float) for part in zip(*pixels, strict=True))
    value = rank_correlation(row(first.tolist()), row(second.tolist())).item()
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(spearmanr(first, second).statistic, abs=1e-9)
        assert -1 <= value <= 1


def test_a_monotone_change_keeps_the_rank_correlation_at_1_and_the_reverse_takes_it_to_minus_1():
    a = maps(0).double()
    for rising in (a, a.exp(), 3 * a - 7, a**3):
        assert rank_correlation(a, rising).tolist() == pytest.approx([1] * 4)
        assert rank_correlation(a, -rising).tolist() == pytest.approx([-1] * 4)


@pytest.mark.parametrize("level", [0.0, 0.1, -3e38])
def test_a_flat_map_has_no_rank_correlation_and_leaves_that_of_others(level):
    a, b = maps(1), maps(2)
    whole = rank_correlation(a, b)
    a[1], b[2] = level, level
    a[3] = b[3] = level
    assert rank_correlation(a, b).isnan().tolist() == [False, True, True, True]
    assert rank_correlation(a, b)[0] == whole[0]


def test_independent_maps_have_no_rank_correlation_on_average():
    a, b = maps(3, count=400), maps(4, count=400)
    assert rank_correlation(a, b).mean().item() == pytest.approx(0, abs=0.02)  # 1 / sqrt(71 * 400) = 0.006


def test_the_structural_similarity_is_that_of_scikit_image_on_maps_from_0_to_1():
    a, b = maps(5) * 100 - 3, maps(6).exp()
    pairs = zip(a[:, 0], b[:, 0], strict=True)
    expected = [ssim(scaled(one), scaled(other), win_size=7, data_range=1) for one, other in pairs]
    assert structural_similarity(a, b).tolist() == pytest.approx(expected, abs=1e-5)
    assert structural_similarity(a.double(), b.double()).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("height", "width", "window"),
    [
        (3, 3, 3),
        (4, 4, 3),
        (5, 5, 5),
        (6, 6, 5),
        (7, 7, 7),
        (8, 8, 7),
        (12, 13, 7),
        (3, 20, 3),
        (20, 6, 5),
        (12, 7, 7),
    ],
)
def test_small_maps_are_compared_in_the_largest_odd_window_that_fits(height, width, window):
    a, b = maps(7, 1, height, width).double(), maps(8, 1, height, width).double()
    expected = ssim(scaled(a[0, 0]), scaled(b[0, 0]), win_size=window, data_range=1)
    assert structural_similarity(a, b).tolist() == pytest.approx([expected], abs=1e-12)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (1, 9), (9, 2)])
def test_maps_below_3_pixels_a_side_have_no_structural_similarity(height, width):
    a = maps(9, 1, height, width)
    with pytest.raises(ValueError, match="at least 3 pixels"):
        structural_similarity(a, a)
    assert rank_correlation(a, a).tolist() == pytest.approx([1])


def test_the_structural_similarity_of_a_map_with_itself_in_any_unit_is_1():
    a = maps(10).double()
    for same in (a, 2 * a, a / 1000 + 5):
        assert structural_similarity(a, same).tolist() == pytest.approx([1] * 4)
    assert (structural_similarity(a, -a) < 0.5).all()


def test_flat_maps_are_alike_whatever_their_level_and_count_as_0_everywhere():
    flat, other = torch.full((1, 1, 9, 9), 7.0), maps(11, 1, 9, 9)
    assert structural_similarity(flat, torch.zeros_like(flat)).tolist() == [1]
    expected = ssim(np.zeros((9, 9)), scaled(other[0, 0]), win_size=7, data_range=1)
    assert structural_similarity(flat, other).tolist() == pytest.approx([expected], abs=1e-5)
    assert structural_similarity(other, flat).tolist() == pytest.approx([expected], abs=1e-5)
    assert expected < 0.5


@measures
def test_similarity_is_mutual(function):
    a, b = maps(12), maps(13)
    assert function(a, b).tolist() == pytest.approx(function(b, a).tolist())


@measures
def test_each_image_of_a_batch_gets_the_number_it_has_alone(function):
    a, b = maps(14) * torch.tensor([1, 1e-6, 1e6, 3])[:, None, None, None], maps(15)
    together = function(a, b)
    assert together.dtype == torch.float64
    assert together.shape == (4,)
    alone = [function(a[n : n + 1], b[n : n + 1]).item() for n in range(4)]
    assert together.tolist() == pytest.approx(alone, abs=1e-12)
    assert len(set(alone)) == 4


@measures
def test_maps_are_left_as_they_were_and_their_layout_does_not_matter(function):
    a, b = maps(16), maps(17)
    before = a.clone(), b.clone()
    value = function(a, b)
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])
    strided = a.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert not strided.is_contiguous()
    assert torch.equal(function(strided, b), value)


@measures
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_width_of_float_is_taken_and_the_two_maps_may_differ(function, dtype):
    a = torch.arange(64.0).reshape(1, 1, 8, 8)  # exact in all of them
    b = maps(18, 1, 8, 8)
    assert function(a.to(dtype), b).tolist() == pytest.approx(function(a, b).tolist(), abs=1e-6)


@measures
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.ones(8, 9), "alike"),
        (torch.ones(4, 8, 9), "alike"),
        (torch.ones(4, 3, 8, 9), "alike"),
        (torch.ones(3, 1, 8, 9), "alike"),
        (torch.ones(1, 1, 8, 9), "alike"),
        (torch.ones(4, 1, 9, 8), "alike"),
        (torch.ones(4, 1, 8, 9, dtype=torch.long), "float"),
        (torch.ones(4, 1, 8, 9, dtype=torch.bool), "float"),
        (torch.full((4, 1, 8, 9), torch.nan), "finite"),
        (torch.full((4, 1, 8, 9), torch.inf), "finite"),
        (torch.full((4, 1, 8, 9), -torch.inf), "finite"),
    ],
    ids=["2-d", "3-d", "3 channels", "fewer", "one", "turned", "int", "bool", "nan", "inf", "-inf"],
)
def test_invalid_maps_are_refused_in_either_place(function, wrong, words):
    for pair in ((maps(19), wrong), (wrong, maps(19))):
        with pytest.raises(ValueError, match=words):
            function(*pair)


@measures
@pytest.mark.parametrize("shape", [(4, 3, 8, 9), (8, 9)])
def test_maps_alike_but_of_the_wrong_shape_are_refused(function, shape):
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
        function(torch.rand(shape), torch.rand(shape))
