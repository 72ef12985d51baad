"""An artifact as it was found on some images, put on others."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit import InputError
from fcdd_audit.probes.blends import blend_of
from fcdd_audit.probes.placed import Placed


def layers(count=2, channels=1, side=4):
    """Layer k paints grey 0.25 half through on pixel (k, k)."""
    alpha, paint = torch.zeros(count, 1, side, side), torch.zeros(count, channels, side, side)
    for place in range(count):
        alpha[place, :, place, place] = 0.5
        paint[place, :, place, place] = 0.125
    return Placed(alpha, paint, alpha > 0)


def test_a_layer_is_blended_by_hand():
    x = torch.full((6, 1, 4, 4), 0.75)
    marked, mask = layers().apply(x, torch.Generator().manual_seed(0))
    for image, where in zip(marked, mask, strict=True):
        (row, column) = where[0].nonzero()[0].tolist()
        assert row == column < 2
        assert where.sum() == 1
        assert image[0, row, column] == 0.75 * 0.5 + 0.125
        assert (image[~where] == 0.75).all()
    assert {int(one.nonzero()[0, 1]) for one in mask} == {0, 1}


@given(seed=st.integers(0, 2**16), channels=st.sampled_from([1, 3]))
def test_nothing_changes_outside_the_mask_and_it_is_a_blend(seed, channels):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(3, 1, 5, 5, generator=generator) > 0.5
    alpha = torch.rand(3, 1, 5, 5, generator=generator) * mask
    probe = Placed(alpha, alpha * torch.rand(3, channels, 5, 5, generator=generator), mask)
    x = torch.rand(4, channels, 5, 5, generator=generator)
    marked, where = probe.apply(x, torch.Generator().manual_seed(seed))
    assert (marked == x)[~where.expand_as(x)].all()
    assert marked.min() >= 0
    assert marked.max() <= 1
    if where.any():
        blend = blend_of(probe, x.shape, torch.Generator().manual_seed(seed), torch.device("cpu"))
        assert torch.equal(blend.mask, where)


def test_it_goes_on_larger_images_without_leaving_its_mask():
    probe = layers(side=8).sized((16, 16))
    x = torch.full((4, 1, 16, 16), 0.5)
    marked, mask = probe.apply(x, torch.Generator().manual_seed(1))
    assert (marked == x)[~mask].all()
    assert (marked != x).any()
    same = layers()
    assert same.sized((4, 4)) is same


def test_it_is_known_by_what_it_looks_like():
    assert repr(layers()) == repr(layers())
    other = layers()
    other.paint[0, 0, 0, 0] = 0.25
    assert repr(other) != repr(layers())


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"1x4x4 .* can't be put on images of 3x4x4"):
        layers().apply(torch.zeros(1, 3, 4, 4), torch.Generator())
    with pytest.raises(InputError, match="images of 1x8x4"):
        layers().apply(torch.zeros(1, 1, 8, 4), torch.Generator())
    with pytest.raises(ValueError, match="don't fit"):
        Placed(torch.zeros(1, 1, 4, 4), torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4).bool())
    with pytest.raises(ValueError, match="don't fit"):
        Placed(torch.zeros(0, 1, 4, 4), torch.zeros(0, 1, 4, 4), torch.zeros(0, 1, 4, 4).bool())
