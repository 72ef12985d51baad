"""Artifacts as blends: taken off the image, weakened, shrunk and moved."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes import PROBES
from fcdd_audit.probes.blends import Blend, Patch, blend_of, patch_of

CPU = torch.device("cpu")
SIDE = 8


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def two_by_two(stamp, blended):
    """A content of four greys at 80 % in rows and columns 4 and 5 of a single image of 8 x 8."""
    return blended(stamp(torch.tensor([[[0.0, 1.0], [0.5, 0.25]]])), SIDE, count=1)


# Taking the stamp off


def test_alpha_and_paint_are_what_was_laid_on(two_by_two):
    box = (0, ..., slice(4, 6), slice(4, 6))
    torch.testing.assert_close(two_by_two.alpha[box][0], torch.full((2, 2), 0.8))
    torch.testing.assert_close(two_by_two.paint[box][0], torch.tensor([[0.0, 0.8], [0.4, 0.2]]))
    torch.testing.assert_close(two_by_two.shade[box], torch.tensor([[-0.4, 0.4], [0.0, -0.2]]))
    assert two_by_two.alpha.sum() == pytest.approx(4 * 0.8)
    assert two_by_two.mask.sum() == 4


def test_marked_images_are_rounded_as_stored_ones(stamp, blended):
    blend = blended(stamp(torch.full((1, 1, 1), 0.5), opacity=0.5), SIDE, count=1)
    x = torch.full((1, 1, SIDE, SIDE), 100 / 255)
    marked = blend.on(x) * 255
    assert marked[0, 0, 4, 4].item() == pytest.approx(round(100 * 0.5 + 255 * 0.25))
    assert marked[0, 0, 0, 0].item() == pytest.approx(100)


@pytest.mark.parametrize("name", ["watermark", "logo", "date", "frame", "grid", "line", "patch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_blend_is_the_probe(name, channels):
    x = torch.rand(4, channels, 64, 64, generator=generator(1))
    expected, mask = PROBES[name]().apply(x, generator(5))
    drawn = generator(5)
    blend = blend_of(PROBES[name](), x.shape, drawn, CPU)
    assert (blend.on(x) - expected).abs().max() < 0.51 / 255
    assert torch.equal(blend.mask, mask)
    once = generator(5)
    PROBES[name]().apply(x, once)
    assert torch.equal(drawn.get_state(), once.get_state()), "as after one application"


class Inverted:
    """Adds to dark pixels only: no blend."""

    def apply(self, x, generator):
        mask = torch.zeros_like(x[:, :1], dtype=torch.bool)
        mask[..., :4, :4] = True
        return torch.where(mask & (x < 0.5), x + 0.4, x), mask


class Blurred:
    """Spreads what is in the box over it: linear, but not pixel by pixel."""

    def apply(self, x, generator):
        mask = torch.zeros_like(x[:, :1], dtype=torch.bool)
        mask[..., :4, :4] = True
        blurred = x.clone()
        blurred[..., :4, :4] = x[..., :4, :4].mean(dim=(2, 3), keepdim=True)
        return blurred, mask


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (PROBES["blur"](), "Blur has no mask, so there is no place for placebos"),
        (PROBES["jpeg"](), "Jpeg has no mask"),
        (Inverted(), "Inverted isn't laid over the image in fixed shares"),
        (Blurred(), "Blurred isn't laid over the image in fixed shares"),
    ],
)
def test_what_is_no_blend_is_said(probe, message, blended):
    with pytest.raises(InputError, match=message):
        blended(probe)


# Weakened


def test_a_faded_stamp_has_a_share_of_its_opacity_at_the_same_place(two_by_two, stamp, blended):
    half = two_by_two.faded(0.5)
    torch.testing.assert_close(half.alpha[0, 0, 4:6, 4:6], torch.full((2, 2), 0.4))
    torch.testing.assert_close(half.paint[0, 0, 4:6, 4:6], torch.tensor([[0.0, 0.4], [0.2, 0.1]]))
    assert torch.equal(half.mask, two_by_two.mask)
    weaker = blended(stamp(torch.tensor([[[0.0, 1.0], [0.5, 0.25]]]), opacity=0.4), SIDE, count=1)
    torch.testing.assert_close(half.alpha, weaker.alpha)
    torch.testing.assert_close(half.paint, weaker.paint)


@given(share=st.floats(0.01, 1), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_a_faded_watermark_is_that_share_of_the_way_to_it(share, seed):
    x = torch.rand(2, 1, 48, 48, generator=generator(seed))
    blend = blend_of(PROBES["watermark"](), x.shape, generator(seed), CPU)
    between = x + share * (blend.on(x) - x)
    assert (blend.faded(share).on(x) - between).abs().max() < 1.01 / 255
    outside = ~blend.mask.expand_as(x)
    rounded = (x * 255).round() / 255
    assert torch.equal(blend.faded(share).on(x)[outside], rounded[outside])


# Cut out, moved and shrunk


def test_a_patch_is_the_box_of_the_mask_and_knows_where_it_lay(stamp, blended):
    blend = blended(stamp(torch.rand(3, 2, 3), at=(3, 1), jitter=1), SIDE, channels=3)
    patch = patch_of(blend)
    assert (patch.alpha.shape, patch.mask.shape) == ((3, 3, 2, 3), (3, 1, 2, 3))
    assert (patch.frame, patch.room) == ((SIDE, SIDE), (SIDE - 2, SIDE - 3))
    rows, columns = (blend.mask[:, 0].any(dim=axis).int().argmax(dim=1) for axis in (2, 1))
    assert torch.equal(patch.tops, rows)
    assert torch.equal(patch.lefts, columns)


@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    channels=st.sampled_from([1, 3]),
    jitter=st.integers(0, 1),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25)
def test_a_patch_laid_where_it_lay_is_the_blend(stamp, blended, height, width, channels, jitter, seed):
    content = torch.rand(channels, height, width, generator=generator(seed))
    blend = blended(stamp(content, at=(1, 1), jitter=jitter), SIDE, channels, seed=seed)
    patch = patch_of(blend)
    for laid in (patch.laid(), patch.shrunk(1).laid()):
        assert torch.equal(laid.alpha, blend.alpha)
        assert torch.equal(laid.paint, blend.paint)
        assert torch.equal(laid.mask, blend.mask)


def test_a_mask_with_holes_stays_so():
    mask = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    mask[0, 0, 1, 1:4] = mask[0, 0, 3, 2] = True
    values = torch.rand(1, 1, 5, 5) * mask
    laid = patch_of(Blend(values, values, mask)).laid()
    assert torch.equal(laid.mask, mask)
    assert torch.equal(laid.paint, values)


def test_moved_by_hand(two_by_two):
    moved = patch_of(two_by_two).at(0, 6).laid()
    expected = torch.zeros(SIDE, SIDE)
    expected[0:2, 6:8] = torch.tensor([[0.0, 0.8], [0.4, 0.2]])
    torch.testing.assert_close(moved.paint[0, 0], expected)
    assert moved.mask[0, 0].nonzero().tolist() == [[0, 6], [0, 7], [1, 6], [1, 7]]


def test_all_images_have_it_at_one_place(stamp, blended):
    blend = blended(stamp(torch.rand(1, 2, 2), jitter=2), SIDE, count=5)
    moved = patch_of(blend).at(1, 2).laid()
    assert moved.mask.sum(dim=0)[0, 1:3, 2:4].tolist() == [[5, 5], [5, 5]]
    assert moved.mask.sum() == 5 * 4


@pytest.mark.parametrize(
    ("at", "box"),  # of 4 rows and 2 columns in 8 x 8, at half its size
    [
        ((0, 0), (0, 0)),  # stays at the upper left corner
        ((4, 6), (6, 7)),  # at the lower right one
        ((0, 6), (0, 7)),
        ((4, 0), (6, 0)),
        ((1, 5), (1, 6)),  # a pixel from the top, a pixel from the right
        ((2, 3), (2, 3)),  # in the middle: as from the upper left
    ],
)
def test_a_shrunk_stamp_keeps_its_distance_from_the_edges_it_is_nearest_to(at, box, stamp, blended):
    content = torch.tensor([[[0.0, 0.5], [1.0, 0.5], [0.2, 0.2], [0.2, 0.2]]])
    small = patch_of(blended(stamp(content, opacity=1, at=at), SIDE, count=1)).shrunk(0.5)
    assert small.mask.shape == (1, 1, 2, 1)
    torch.testing.assert_close(small.paint[0, 0], torch.tensor([[0.5], [0.2]]))  # means of four pixels each
    assert (small.tops.item(), small.lefts.item()) == box
    assert small.laid().mask[0, 0].nonzero().tolist() == [[box[0], box[1]], [box[0] + 1, box[1]]]


def test_a_shrunk_stamp_has_at_least_a_pixel(two_by_two):
    small = patch_of(two_by_two).shrunk(0.01)
    assert small.mask.shape == (1, 1, 1, 1)
    assert small.paint.item() == pytest.approx(0.8 * 1.75 / 4)


def test_half_a_pixel_of_a_shrunk_mask_is_in_it():
    mask = torch.tensor([[[[True, True, True, False], [False, False, True, False]]]])
    patch = Patch(mask.float(), mask.float(), mask, torch.tensor([0]), torch.tensor([0]), (4, 4))
    assert patch.shrunk(0.5).mask.tolist() == [[[[True, True]]]]


@given(
    share=st.floats(0.05, 1),
    corner=st.sampled_from(["upper-left", "upper-right", "lower-left", "lower-right"]),
    side=st.integers(32, 64),
)
@settings(max_examples=25)
def test_a_shrunk_watermark_has_its_share_of_pixels_and_nothing_outside(share, corner, side):
    try:
        blend = blend_of(PROBES["watermark"](corner=corner), torch.Size((2, 1, side, side)), generator(), CPU)
    except InputError:
        assume(False)  # doesn't fit
    patch = patch_of(blend)
    small = patch.shrunk(share)
    laid = small.laid()
    height, width = patch.mask.shape[2:]
    assert small.mask.shape[2:] == (max(1, round(height * share)), max(1, round(width * share)))
    assert laid.mask.all(dim=1).flatten(1).sum(dim=1).tolist() == [small.mask[0].numel()] * 2
    assert (laid.paint[~laid.mask] == 0).all()
    assert small.alpha.max() <= patch.alpha.max() + 1e-6


def test_stamps_of_other_boxes_or_none_cannot_be_moved():
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[0, 0, :2, :2] = mask[1, 0, :2, :3] = True
    values = mask.float()
    assert patch_of(Blend(values, values, mask)) is None, "two sizes"
    mask[1] = False
    assert patch_of(Blend(values, values, mask)) is None, "one has none"


def test_what_reaches_all_over_has_no_room(blended):
    patch = patch_of(blended(PROBES["frame"](), 32))
    assert patch.room == (0, 0)
