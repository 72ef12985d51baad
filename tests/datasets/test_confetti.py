import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.datasets.confetti import confetti

PARTS = {
    "channels": st.sampled_from([1, 3]),
    "height": st.integers(16, 96),
    "width": st.integers(16, 96),
    "seed": st.integers(0, 2**32),
}


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, channels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=stream(seed))


@given(count=st.integers(0, 3), **PARTS)
@settings(deadline=None)
def test_the_mask_is_where_any_channel_changed_and_no_image_stays(count, channels, height, width, seed):
    images = noise(count, channels, height, width, seed)
    kept = images.clone()
    malformed, masks = confetti(images, stream(seed))
    assert torch.equal(images, kept)
    assert malformed.shape == images.shape
    assert malformed.dtype == torch.uint8
    assert masks.shape == (count, 1, height, width)
    assert masks.dtype == torch.bool
    assert torch.equal(masks, (malformed != images).any(dim=1, keepdim=True))
    assert masks.flatten(1).any(dim=1).all()
    assert (
        (malformed <= images).flatten(1).all(dim=1).logical_or((malformed >= images).flatten(1).all(1)).all()
    )


@given(first=st.integers(1, 3), **PARTS)
@settings(deadline=None, max_examples=30)
def test_the_first_images_of_a_longer_batch_are_those_of_a_short_one(first, channels, height, width, seed):
    images = noise(4, channels, height, width, seed)
    for long, short in zip(
        confetti(images, stream(seed)), confetti(images[:first], stream(seed)), strict=True
    ):
        assert torch.equal(long[:first], short)


@pytest.mark.parametrize("side", [16, 17, 28, 32, 64, 224, 256])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_flat_images_always_change_and_only_dark_ones_are_brightened(side, channels, level):
    images = torch.full((8, channels, side, side), level, dtype=torch.uint8)
    malformed, masks = confetti(images, stream(side))
    assert masks.flatten(1).any(dim=1).all()
    if level == 0:
        assert malformed.flatten(1).amax(dim=1).gt(20).all()
    elif level > 1:
        assert (malformed <= images).all()


def test_a_dark_corner_is_not_brightened_where_darkening_shows():
    images = torch.full((64, 1, 64, 64), 200, dtype=torch.uint8)
    images[:, :, :, :32] = 0
    malformed, _ = confetti(images, stream(0))
    up, down = (malformed > images).flatten(1).any(1), (malformed < images).flatten(1).any(1)
    assert not (up & down).any()
    assert up.any()  # all its squares lay in the black half
    assert down.sum() > up.sum()


@pytest.mark.parametrize("side", [32, 64, 128])
def test_number_and_relative_size_of_squares_do_not_depend_on_the_side(side):
    malformed, masks = confetti(torch.full((1500, 1, side, side), 255, dtype=torch.uint8), stream(0))
    # Expected squares: the binomial mean plus one where there was none. A square's mean area:
    # (54^3 - 8^3) / (3 * 46) of 224^2, less what lies beyond the edge; its mean value 128, or 255.
    coloured, black = (p * 224**2 + math.exp(-p * 224**2) for p in (1.8e-5, 1.2e-5))
    area = (54**3 - 8**3) / (3 * 46) / 224**2
    expected = (coloured * 128 + black * 255) * area
    darkened = 255 - malformed.double().mean().item()
    assert 0.75 * expected < darkened < 1.05 * expected
    assert 0.08 < masks.double().mean().item() < 0.16


def test_grey_squares_are_soft_and_colour_squares_are_coloured():
    grey, _ = confetti(torch.full((20, 1, 224, 224), 255, dtype=torch.uint8), stream(3))
    steps = grey[:, 0].float().diff(dim=2).abs().amax()
    assert 5 < steps < 255 / (5 * math.sqrt(2 * math.pi)) * 2.2  # an edge's slope after the Gaussian
    colour, _ = confetti(torch.full((20, 3, 64, 64), 255, dtype=torch.uint8), stream(3))
    spread = colour.amax(dim=1).int() - colour.amin(dim=1).int()
    assert (spread.flatten(1).amax(dim=1) > 20).sum() >= 15


def test_seeds_differ():
    images = noise(2, 3, 32, 32)
    assert not torch.equal(confetti(images, stream(0))[0], confetti(images, stream(1))[0])


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 1, 32, 32),
        torch.zeros(2, 2, 32, 32, dtype=torch.uint8),
        torch.zeros(1, 32, 32, dtype=torch.uint8),
        torch.zeros(2, 1, 15, 32, dtype=torch.uint8),
    ],
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match="images"):
        confetti(images, stream(0))
