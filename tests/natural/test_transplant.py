"""Found artifacts, cut out and put on others: pixels, masks and edges by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.natural.transplant import cut_out, in_place_of, laid, opposite

SIDE = 6


def flat(*values):
    return torch.stack([torch.full((3, SIDE, SIDE), value, dtype=torch.uint8) for value in values])


def square(top, left, size=2):
    mask = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    mask[..., top : top + size, left : left + size] = True
    return mask


def test_an_artifact_keeps_its_place_and_fades_over_two_pixels():
    (pixels,) = laid(flat(0), cut_out(flat(90), square(2, 2)), 0)
    row = [30, 60, 90, 90, 60, 30]
    assert pixels[0].tolist() == [
        [30] * 6,
        [30, 60, 60, 60, 60, 30],
        row,
        row,
        [30, 60, 60, 60, 60, 30],
        [30] * 6,
    ]


def test_its_mask_is_where_anything_is_pasted():
    placed = cut_out(flat(90), square(3, 3))
    assert placed.mask[0, 0].nonzero().amin(dim=0).tolist() == [1, 1]
    assert placed.mask.sum() == 25


def test_at_the_border_nothing_fades():
    (pixels,) = laid(flat(0), cut_out(flat(90), square(0, 0)), 0)
    assert pixels[0, 0, 0] == 90
    assert pixels[0, 0, :5].tolist() == [90, 90, 60, 30, 0]


def test_a_region_pasted_back_leaves_no_seam():
    images = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)
    assert torch.equal(laid(images, cut_out(images, square(1, 3)), 0), images)


def test_a_placebo_has_the_same_place_and_edge():
    artifact = cut_out(flat(90, 200), torch.cat([square(0, 0), square(3, 3)]))
    placebo = in_place_of(artifact, flat(10, 20))
    assert torch.equal(placebo.alpha, artifact.alpha)
    assert laid(flat(0), placebo, 1)[0, 0, 3, 3] == 20


def test_what_is_unseen_is_as_far_from_the_placebo_the_other_way():
    artifact = cut_out(flat(130), square(2, 2))
    unseen = opposite(artifact, in_place_of(artifact, flat(100)))
    assert laid(flat(0), unseen, 0)[0, 0, 2, 2] == 70
    dark = opposite(artifact, in_place_of(artifact, flat(40)))
    assert laid(flat(0), dark, 0)[0, 0, 2, 2] == 0


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="empty mask"):
        cut_out(flat(1), torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool))


@given(st.integers(0, 2**31), st.integers(0, 4), st.integers(0, 4))
@settings(max_examples=30, deadline=None)
def test_nothing_changes_outside_the_mask(seed, top, left):
    generator = torch.Generator().manual_seed(seed)
    donor, onto = torch.randint(0, 256, (2, 1, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    placed = cut_out(donor, square(top, left))
    changed = laid(onto, placed, 0)
    outside = ~placed.mask.expand_as(onto)
    assert torch.equal(changed[outside], onto[outside])
    inside = square(top, left).expand_as(onto)
    assert torch.equal(changed[inside], donor[inside])
