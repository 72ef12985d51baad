"""Placebos of an artifact: of its size, places and contrast, but of other content."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes import PROBES
from fcdd_audit.probes.blends import Blend
from fcdd_audit.probes.placebos import PLACEBOS, Content, Placebos, arranged, kinds, permuted

EACH = 8  # placebos: at least one of each kind
FLAT = (1, 2)  # places of the flat ones among them
some_examples = settings(max_examples=20)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def donors(side, channels=1):
    return torch.randint(0, 256, (4, channels, side, side), generator=generator(9), dtype=torch.uint8)


def placebos_of(blend, count=EACH, seed=0):
    side, channels = blend.alpha.shape[-1], blend.alpha.shape[1]
    return list(Placebos(count, seed, donors(side, channels)).of(blend))


class Lines:
    """Opaque lines of several greys, (H, W) where `lines` is over 0, moved by up to 2 px and cut off."""

    def __init__(self, lines):
        self.lines = lines

    def apply(self, x, generator):
        moves = torch.randint(-2, 3, (len(x), 2), generator=generator).tolist()
        moved = torch.stack([self.lines.roll(move, (0, 1)) for move in moves])[:, None]
        return torch.where(moved > 0, moved, x), moved > 0


def frame(side, width, seed=0):
    lines = torch.rand(side, side, generator=generator(seed)).clamp_min(0.01)
    lines[width:-width, width:-width] = 0
    return lines


def grid(side, period, seed=0):
    lines = torch.rand(side, side, generator=generator(seed)).clamp_min(0.01)
    lines[(torch.arange(side) % period > 0)[:, None] & (torch.arange(side) % period > 0)] = 0
    return lines


def contents(blend):
    """Per image: the sorted (alpha, paint) of the pixels in its mask, (C, P, 2) as lists."""
    pairs = torch.stack([blend.alpha, blend.paint], dim=-1).movedim(1, 3)  # (N, H, W, C, 2)
    return [sorted(pairs[i][mask[0]].flatten(1).tolist()) for i, mask in enumerate(blend.mask)]


def boxes(blend, values):
    """The values, (N, C, H, W), in the box of each image's mask."""
    for image, mask in zip(values, blend.mask[:, 0], strict=True):
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        yield image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def level(blend):
    """Root mean square of the shade in the first image's mask."""
    return blend.shade[0][blend.mask[0, 0]].square().mean().sqrt()


def check_placebos(blend, seed=0):
    for place, placebo in enumerate(placebos_of(blend, seed=seed)):
        assert torch.equal(placebo.mask, blend.mask)
        outside = ~blend.mask.expand_as(blend.alpha)
        assert torch.equal(placebo.alpha[outside], blend.alpha[outside])
        assert torch.equal(placebo.paint[outside], blend.paint[outside])
        if place in FLAT:
            torch.testing.assert_close(level(placebo), level(blend))
            assert np.ptp(placebo.shade[0][blend.mask[0, 0]].numpy()) < 1e-5
        else:
            assert contents(placebo) == contents(blend)
        x = torch.rand(blend.alpha.shape, generator=generator(seed))
        assert torch.equal(placebo.on(x)[outside], (x[outside] * 255).round() / 255)


# Kinds


def test_every_kind_but_flat_is_registered_and_flat_ones_come_after_the_first():
    assert list(PLACEBOS) == ["text", "permuted", "grating", "donor"]
    assert kinds(8) == ("text", "flat", "flat", "permuted", "grating", "donor", "text", "permuted")
    assert kinds(3) == ("text", "permuted", "grating"), "with few there are no flat ones"


@pytest.mark.parametrize("count", [1, 4, 6, 7, 39, 59])
def test_kinds_are_as_many_as_asked_for_and_as_many_of_each(count):
    found = kinds(count)
    assert len(found) == count
    assert found.count("flat") == (2 if count > 6 else 0)
    counts = [found.count(kind) for kind in PLACEBOS]
    assert max(counts) - min(counts) <= 1


# Of equal contrast


@some_examples
@given(
    corner=st.sampled_from(["upper-left", "lower-right"]),
    text=st.sampled_from(["© PHOTO", "ACME", "i"]),
    opacity=st.floats(0.1, 1),
    size=st.floats(0.3, 0.9),
    jitter=st.floats(0, 0.1),
    side=st.integers(48, 90),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**63 - 1),
)
def test_placebos_of_watermarks_keep_every_value(blended, side, channels, seed, **options):
    try:
        blend = blended(PROBES["watermark"](**options), side, channels, seed=seed)
    except InputError:
        assume(False)  # doesn't fit
    check_placebos(blend, seed)


@some_examples
@given(side=st.integers(12, 40), width=st.integers(1, 4), seed=st.integers(0, 2**63 - 1))
def test_placebos_of_frames_and_grids_keep_every_value(blended, side, width, seed):
    for lines in (frame(side, width, seed), grid(side, 3 * width, seed)):
        check_placebos(blended(Lines(lines), side, seed=seed), seed)


@some_examples
@given(
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**63 - 1),
)
def test_placebos_of_jittered_stamps_keep_every_value_and_are_one_mark(
    stamp, blended, height, width, channels, seed
):
    probe = stamp(torch.rand(channels, height, width, generator=generator(seed)), at=(8, 8), jitter=5)
    blend = blended(probe, 24, channels, count=6, seed=seed)
    check_placebos(blend, seed)
    for placebo in placebos_of(blend, seed=seed):
        first, *others = boxes(blend, placebo.paint)
        assert all(torch.allclose(first, other, atol=1e-6) for other in others)


def test_pixels_are_arranged_so_that_the_highest_goes_to_the_brightest():
    order = arranged(np.array([0.3, 0.1, 0.2]), np.array([5.0, 9.0, 1.0]))
    assert order.tolist() == [2, 0, 1]


def test_flat_placebos_by_hand(stamp, blended):
    """Of black and white at half opacity: shades of a quarter, up and down."""
    content = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]])
    blend = blended(stamp(content, opacity=0.5), 12, count=2)
    bright, dark = (placebos_of(blend)[place] for place in FLAT)
    x = torch.full((2, 1, 12, 12), 0.4)
    # alpha .5 as the artifact's, paint .25 more or less a quarter: .4 * .5 + .5, or + 0
    assert bright.on(x)[0, 0, 4:7, 4:6].mean() * 255 == pytest.approx(round(0.7 * 255))
    assert dark.on(x)[0, 0, 4:7, 4:6].mean() * 255 == pytest.approx(round(0.2 * 255))


@pytest.mark.parametrize("opacity", [0.3, 1.0])
@pytest.mark.parametrize("grey", [0.0, 0.3, 1.0])
def test_a_flat_artifact_has_placebos_half_brighter_and_half_darker(stamp, blended, grey, opacity):
    blend = blended(stamp(torch.full((1, 6, 6), grey), opacity=opacity), 24)
    shades = [placebo.shade[0][blend.mask[0, 0]] for placebo in placebos_of(blend)]
    for place, shade in enumerate(shades):
        torch.testing.assert_close(shade.abs(), torch.full((36,), opacity * abs(grey - 0.5)))
        if place not in FLAT:
            assert (shade > 0).sum() == 18
    own = blend.shade[0][blend.mask[0, 0]]
    assert not any(torch.allclose(shade, own, atol=1e-4) for shade in shades), "none is the artifact itself"


# One mark, drawn by a seed


def test_placebos_differ_from_the_artifact_and_each_other_and_repeat_with_the_seed(blended):
    blend = blended(PROBES["watermark"](), side=64)
    made = [[placebo.paint for placebo in placebos_of(blend, seed=seed)] for seed in (0, 0, 1)]
    assert all(torch.equal(one, again) for one, again in zip(made[0], made[1], strict=True))
    others = [paint for place, paint in enumerate(made[2]) if place not in FLAT]
    different = [blend.paint, *made[0], *others]
    assert len({tuple(paint.flatten().tolist()) for paint in different}) == len(different)


def test_placebos_are_the_same_in_every_batch(stamp, blended):
    marks, probe = Placebos(EACH, 0, donors(32)), stamp(torch.rand(1, 4, 6), jitter=3)
    one, other = (list(marks.of(blended(probe, count=2, seed=seed))) for seed in (0, 1))
    for before, after in zip(one, other, strict=True):
        first, second = (next(boxes(blend, blend.paint)) for blend in (before, after))
        assert torch.allclose(first, second, atol=1e-6)


def test_a_content_drawn_anew_for_every_image_stays_so(blended):
    blend = blended(PROBES["patch"](pattern="noise"), side=64)
    placebo = placebos_of(blend, count=1)[0]
    first, second, _ = boxes(blend, placebo.paint)
    assert not torch.allclose(first, second)


def test_images_without_a_mask_stay_clean(stamp, blended):
    blend = blended(stamp(torch.rand(1, 4, 4)))
    mask = blend.mask.clone()
    mask[1] = False
    for placebo in placebos_of(Blend(blend.alpha, blend.paint, mask)):
        assert (placebo.paint[1] == 0).all()
        assert (placebo.alpha[1] == 0).all()


# Of other content


def rough(shade, mask):
    """Root mean square difference of neighbours inside the mask."""
    down = (shade[1:] - shade[:-1])[mask[1:] & mask[:-1]]
    right = (shade[:, 1:] - shade[:, :-1])[mask[:, 1:] & mask[:, :-1]]
    return np.sqrt(np.square(np.concatenate([down, right])).mean())


def correlations(blend, placebos):
    mask, shade = blend.mask[0, 0].numpy(), blend.shade[0].numpy()
    return [
        abs(np.corrcoef(shade[mask], placebo.shade[0].numpy()[mask])[0, 1])
        for place, placebo in enumerate(placebos)
        if place not in FLAT
    ]


@pytest.mark.parametrize("name", ["watermark", "logo", "date", "frame", "bars", "grid", "ruler", "line"])
def test_placebos_are_unlike_the_artifact(blended, name):
    blend = blended(PROBES[name](), 64, count=1)
    assert np.median(correlations(blend, placebos_of(blend, 20))) < 0.5


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("name", ["watermark", "logo", "date"])
def test_permuted_ones_are_as_busy_as_the_artifact(blended, name, side):
    blend = blended(PROBES[name](), side, count=1)
    mask, shade = blend.mask[0, 0].numpy(), blend.shade[0].numpy()
    for placebo, kind in zip(placebos_of(blend, 16), kinds(16), strict=True):
        if kind == "permuted":
            assert 0.85 < rough(placebo.shade[0].numpy(), mask) / rough(shade, mask) < 1.2


def content(mask, shade, seed=0):
    images = np.random.default_rng(seed).random((3, *mask.shape))
    return Content(mask, shade, images)


def test_stripes_stay_stripes_of_the_same_direction_where_they_are_permuted():
    shade = np.zeros((32, 32))
    shade[:, ::4] = 1
    picture = permuted(content(np.ones((32, 32), bool), shade), np.random.default_rng(0))
    made = shade.flatten()[arranged(shade.flatten(), picture.flatten())].reshape(32, 32)
    assert np.abs(np.diff(made, axis=0)).mean() < np.abs(np.diff(made, axis=1)).mean() / 2


@pytest.mark.parametrize("kind", PLACEBOS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 40), (30, 3)])
def test_pictures_are_of_the_boxs_shape_and_finite_whatever_it_is(kind, shape):
    rng = np.random.default_rng(0)
    found = PLACEBOS[kind](content(np.ones(shape, bool), rng.random(shape)), rng)
    assert found.shape == shape
    assert np.isfinite(found).all()


def test_a_donor_is_cut_out_of_an_image():
    images = np.arange(2 * 6 * 7.0).reshape(2, 6, 7)
    found = PLACEBOS["donor"](
        Content(np.ones((2, 3), bool), np.zeros((2, 3)), images), np.random.default_rng(1)
    )
    cuts = [
        image[row : row + 2, column : column + 3]
        for image in images
        for row in range(5)
        for column in range(5)
    ]
    assert any(np.array_equal(found, cut) for cut in cuts)


def test_gratings_run_in_other_directions_and_widths():
    rng, box = np.random.default_rng(0), content(np.ones((24, 24), bool), np.zeros((24, 24)))
    made = [PLACEBOS["grating"](box, rng).flatten() for _ in range(6)]
    assert np.abs(np.corrcoef(made) - np.eye(6)).max() < 0.9
    assert np.abs(made).max() <= 1
