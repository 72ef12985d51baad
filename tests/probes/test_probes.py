"""What every registered probe promises, whatever it draws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.probes import PROBES

SIDES = st.integers(32, 512)
CHANNELS = st.sampled_from([1, 3])
SEEDS = st.integers(0, 2**63 - 1)

every_probe = pytest.mark.parametrize("name", list(PROBES))
some_examples = settings(max_examples=25, deadline=None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(side, channels=1, count=2, seed=0):
    return torch.rand(count, channels, side, side, generator=generator(seed))


def shares(name, side):
    """The masks' share of the area, over several draws."""
    return PROBES[name]().apply(images(side, count=8), generator())[1].float().mean(dim=(1, 2, 3))


@every_probe
@some_examples
@given(side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_only_pixels_inside_the_mask_change(name, side, channels, seed):
    x = images(side, channels)
    before = x.clone()
    stamped, mask = PROBES[name]().apply(x, generator(seed))
    assert torch.equal(x, before), "the input stays as it was"
    assert (stamped.shape, stamped.dtype) == (x.shape, x.dtype)
    assert (mask.shape, mask.dtype) == ((2, 1, side, side), torch.bool)
    changed = (stamped != x).any(dim=1, keepdim=True)
    assert not (changed & ~mask).any()
    assert changed.flatten(1).any(dim=1).all(), "every image"
    assert not mask.flatten(1).all(dim=1).any(), "an artifact is a part of the image"


@every_probe
@some_examples
@given(side=SIDES, channels=CHANNELS, seed=SEEDS, level=st.sampled_from([0.0, 0.5, 1.0]))
def test_values_stay_in_range_even_on_black_and_white(name, side, channels, seed, level):
    stamped, _ = PROBES[name]().apply(torch.full((2, channels, side, side), level), generator(seed))
    assert stamped.min() >= 0
    assert stamped.max() <= 1
    assert (stamped != level).flatten(1).any(dim=1).all(), "seen on any background"


@every_probe
@some_examples
@given(side=SIDES, seed=SEEDS)
def test_the_same_generator_gives_the_same_artifact_whatever_the_image(name, side, seed):
    one, other = (PROBES[name]().apply(images(side, 3, seed=k), generator(seed)) for k in (1, 2))
    again = PROBES[name]().apply(images(side, 3, seed=1), generator(seed))
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], other[1])


@every_probe
def test_other_generators_and_other_images_get_other_places(name):
    x = images(128, count=16)
    probe = PROBES[name]()
    masks = probe.apply(x, generator(0))[1]
    assert len(masks.flatten(1).unique(dim=0)) > 1
    assert any(not torch.equal(masks, probe.apply(x, generator(seed))[1]) for seed in range(1, 4))


@every_probe
@pytest.mark.parametrize("side", [32, 40])
def test_small_images_get_other_places_too(name, side):
    masks = PROBES[name]().apply(images(side, count=64), generator(0))[1]
    assert len(masks.flatten(1).unique(dim=0)) > 1


@every_probe
@some_examples
@given(side=SIDES)
def test_the_artifact_scales_with_the_image(name, side):
    assert abs(shares(name, side).mean() / shares(name, 256).mean() - 1) < 0.1


@every_probe
def test_the_global_generator_is_left_alone(name):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    PROBES[name]().apply(images(64), generator())
    assert torch.equal(torch.rand(2), expected)


@every_probe
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_images_of_another_precision_keep_it(name, dtype):
    x = images(64).to(dtype)
    stamped, mask = PROBES[name]().apply(x, generator())
    assert stamped.dtype == dtype
    assert not ((stamped != x) & ~mask).any()


@every_probe
def test_no_images_give_no_images(name):
    stamped, mask = PROBES[name]().apply(torch.zeros(0, 3, 64, 64), generator())
    assert stamped.shape == (0, 3, 64, 64)
    assert mask.shape == (0, 1, 64, 64)
