"""What every registered probe promises, whatever it draws."""

import dataclasses
import inspect
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes import PROBES

SIDES = st.integers(28, 512)
CHANNELS = st.sampled_from([1, 3])
SEEDS = st.integers(0, 2**63 - 1)
PLACED = [name for name in PROBES if PROBES[name]().placed]
TONES = [name for name in PROBES if name not in PLACED]
OPAQUE = ("logo", "patch", "frame", "bars", "grid", "ruler", "disc")  # their masks are exact
FREE_TEXT = ("text", "file")  # options that take any words, or are looked at when used

every_probe = pytest.mark.parametrize("name", list(PROBES))
every_placed_probe = pytest.mark.parametrize("name", PLACED)
every_tone = pytest.mark.parametrize("name", TONES)
some_examples = settings(max_examples=15, deadline=None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(side, channels=1, count=2, seed=0):
    return torch.rand(count, channels, side, side, generator=generator(seed))


def options(name, kind):
    """A probe's options whose default is of that kind."""
    return [field.name for field in dataclasses.fields(PROBES[name]) if type(field.default) is kind]


def test_there_are_probes_with_a_place_and_without():
    assert PLACED == ["watermark", "date", "logo", "patch", "frame", "bars", "grid", "ruler", "line", "disc"]
    assert TONES == ["tint", "brightness", "blur", "jpeg", "noise", "resize"]


@every_probe
@some_examples
@given(side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_every_image_changes_and_the_input_stays_as_it_was(name, side, channels, seed):
    x = images(side, channels)
    before = x.clone()
    marked, _ = PROBES[name]().apply(x, generator(seed))
    assert torch.equal(x, before)
    assert (marked.shape, marked.dtype) == (x.shape, x.dtype)
    assert (marked != x).flatten(1).any(dim=1).all()


@every_placed_probe
@some_examples
@given(side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_only_pixels_inside_the_mask_change(name, side, channels, seed):
    x = images(side, channels)
    marked, mask = PROBES[name]().apply(x, generator(seed))
    assert (mask.shape, mask.dtype) == ((2, 1, side, side), torch.bool)
    changed = (marked != x).any(dim=1, keepdim=True)
    assert not (changed & ~mask).any()
    assert not mask.flatten(1).all(dim=1).any(), "an artifact is a part of the image"


@every_tone
@some_examples
@given(side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_what_is_everywhere_has_no_mask(name, side, channels, seed):
    assert PROBES[name]().apply(images(side, channels), generator(seed))[1] is None


@pytest.mark.parametrize("name", OPAQUE)
@some_examples
@given(side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_the_mask_of_what_is_opaque_is_exactly_what_can_change(name, side, channels, seed):
    changed = torch.zeros(2, 1, side, side, dtype=torch.bool)
    for level in (0.0, 1.0):
        x = torch.full((2, channels, side, side), level)
        marked, mask = PROBES[name]().apply(x, generator(seed))
        changed |= (marked != level).any(dim=1, keepdim=True)
    assert torch.equal(changed, mask)


@every_probe
@some_examples
@given(side=SIDES, channels=CHANNELS, seed=SEEDS, level=st.sampled_from([0.0, 0.5, 1.0]))
def test_values_stay_in_range_even_on_black_and_white(name, side, channels, seed, level):
    marked, _ = PROBES[name]().apply(torch.full((2, channels, side, side), level), generator(seed))
    assert marked.min() >= 0
    assert marked.max() <= 1
    if name in PLACED:  # tones may leave it: blurred white is white
        assert ((marked - level).abs() > 0.1).flatten(1).any(dim=1).all(), "seen on any background"


@every_probe
@some_examples
@given(side=SIDES, seed=SEEDS)
def test_the_same_generator_gives_the_same_artifact_whatever_the_image(name, side, seed):
    one, other = (PROBES[name]().apply(images(side, 3, seed=k), generator(seed)) for k in (1, 2))
    again = PROBES[name]().apply(images(side, 3, seed=1), generator(seed))
    assert torch.equal(one[0], again[0])
    if name in PLACED:
        assert torch.equal(one[1], other[1])


@every_placed_probe
def test_with_jitter_other_generators_and_other_images_get_other_places(name):
    x = images(128, count=16)
    probe = PROBES[name](jitter=0.1)
    masks = probe.apply(x, generator(0))[1]
    assert len(masks.flatten(1).unique(dim=0)) > 1
    assert any(not torch.equal(masks, probe.apply(x, generator(seed))[1]) for seed in range(1, 4))


@every_placed_probe
@pytest.mark.parametrize("side", [28, 32, 40])
def test_with_jitter_small_images_get_other_places_too(name, side):
    masks = PROBES[name](jitter=0.02).apply(images(side, count=64), generator(0))[1]
    assert len(masks.flatten(1).unique(dim=0)) > 1


@every_placed_probe
def test_without_jitter_the_place_is_fixed(name):
    probe = PROBES[name](jitter=0)
    masks = [probe.apply(images(64, count=8), generator(seed))[1] for seed in (0, 1)]
    assert len(torch.cat(masks).flatten(1).unique(dim=0)) == 1


@every_placed_probe
@some_examples
@given(side=st.integers(28, 128), seed=SEEDS)
def test_the_largest_jitter_keeps_the_artifact_in_the_image(name, side, seed):
    x = torch.full((4, 1, side, side), 0.5)
    marked, mask = PROBES[name](jitter=0.49).apply(x, generator(seed))
    assert not ((marked != x) & ~mask).any()
    assert mask.flatten(1).any(dim=1).all()


@every_placed_probe
@pytest.mark.parametrize("side", [200, 300, 500])
def test_the_artifact_scales_with_the_image(name, side):
    """At sides where no length is rounded; smooth edges cover a bit more of small images."""
    probe = PROBES[name](jitter=0)
    large, small = (
        probe.apply(images(s, count=1), generator())[1].float().mean().item() for s in (side, 100)
    )
    assert large == pytest.approx(small, rel=0.2 if name == "line" else 0.1)


@every_probe
@pytest.mark.parametrize(("height", "width"), [(48, 96), (96, 48), (97, 131)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_need_not_be_square(name, height, width, channels):
    x = torch.rand(3, channels, height, width, generator=generator())
    marked, mask = PROBES[name]().apply(x, generator())
    assert marked.shape == x.shape
    assert (marked != x).flatten(1).any(dim=1).all()
    assert (mask is not None) == (name in PLACED)
    if mask is not None:
        assert mask.shape == (3, 1, height, width)
        assert not ((marked != x) & ~mask).any()


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
    marked, mask = PROBES[name]().apply(x, generator())
    single, _ = PROBES[name]().apply(x.float(), generator())
    assert marked.dtype == dtype
    torch.testing.assert_close(marked.float(), single, atol=2e-3, rtol=0)
    if mask is not None:
        assert not ((marked != x) & ~mask).any()


@every_probe
def test_no_images_give_no_images(name):
    marked, mask = PROBES[name]().apply(torch.zeros(0, 3, 64, 64), generator())
    assert marked.shape == (0, 3, 64, 64)
    assert mask is None or mask.shape == (0, 1, 64, 64)


@every_placed_probe
def test_a_colour_on_grey_images_is_its_luminance(name):
    """As Pillow makes grey pictures of coloured ones."""
    grey = torch.full((2, 1, 64, 64), 0.25)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    coloured = PROBES[name]().apply(grey.expand(2, 3, 64, 64), generator())[0]
    expected = (coloured * weights).sum(dim=1, keepdim=True)
    torch.testing.assert_close(PROBES[name]().apply(grey, generator())[0], expected)


# Options


@every_probe
def test_a_probe_is_an_immutable_value(name):
    assert PROBES[name]() == PROBES[name]()
    field = dataclasses.fields(PROBES[name])[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(PROBES[name](), field, 0)


@every_probe
def test_the_first_line_is_one_whole_sentence(name):
    summary = PROBES.summary(name)
    assert re.fullmatch(r"[A-Z][^.]+\.", summary)
    assert len(summary) <= 100


@every_probe
def test_every_option_is_documented(name):
    text = inspect.getdoc(PROBES[name])
    for field in dataclasses.fields(PROBES[name]):
        assert f"\n{field.name}: " in text, field.name


@every_probe
def test_numbers_outside_their_interval_are_told_it(name):
    for option in options(name, float):
        about = re.search(rf"\n({option}:.*(\n .*)*)", inspect.getdoc(PROBES[name]))[1]
        documented = re.findall(r"in\s+([\[(]\S+, \S+[\])])", about)[-1]
        for value in (float("nan"), -1000.0, float("inf")):
            with pytest.raises(InputError) as error:
                PROBES[name](**{option: value})
            assert str(error.value) == f"{name} {option} is {value}; it must be in {documented}"


@every_probe
def test_words_that_mean_nothing_are_told_the_option(name):
    for option in set(options(name, str)) - set(FREE_TEXT):
        with pytest.raises(InputError, match=rf"{name} {option}.*'octarine'") as error:
            PROBES[name](**{option: "octarine"})
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["#ff880080", "rgba(1, 2, 3, 4)", "#ff88", "", "1"])
def test_a_colour_is_opaque(text):
    with pytest.raises(InputError) as error:
        PROBES["frame"](colour=text)
    assert str(error.value) == (
        f"frame colour is '{text}'; it must be an opaque colour such as white, orange or #ff8800"
    )
