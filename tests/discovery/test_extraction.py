"""A mark that images share, taken off them as a blend."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.discovery import blending, boxes, extraction
from fcdd_audit.discovery.extraction import Extracted, extract

SIDE = 32
BOX = (19, 3, 9, 12)
FRAME = (SIDE, SIDE)


def backgrounds(count, channels=3, seed=0):
    """Smooth random images, (N, C, 32, 32) in [0, 1], no two alike."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 7, 7, generator=generator)
    fine = torch.rand(count, channels, SIDE, SIDE, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, FRAME, mode="bilinear", align_corners=True)
    return (0.9 * smooth + 0.1 * fine).clamp(0, 1)


def stored(x):
    return (x * 255).round().to(torch.uint8)


def ring(channels=3):
    """Opacity (9, 12) and colour (C, 9, 12) of a frame of 2 px with a bar, half dark and half bright."""
    opacity = torch.zeros(9, 12)
    for part in ((slice(0, 2), slice(None)), (slice(7, 9), slice(None)), (slice(None), slice(5, 7))):
        opacity[part] = 1
    colour = torch.linspace(0.05, 0.35, channels)[:, None, None].expand(channels, 9, 12).clone()
    colour[:, :, 6:] = 1 - colour[:, :, 6:]
    return opacity, colour


def marked(x, opacity, colour, moves=None, box=BOX):
    """Images with it laid at the box, displaced by each move."""
    top, left, height, width = box
    x = x.clone()
    for image, (down, right) in zip(
        x, torch.zeros(len(x), 2).long() if moves is None else moves, strict=True
    ):
        part = image[:, top + down : top + down + height, left + right : left + right + width]
        part.copy_(part * (1 - opacity) + opacity * colour)
    return x


def drawn(seed=0):
    return torch_generator(seed, "test of extraction")


def in_box(values, found, box=BOX):
    """Values of an extracted mark, (..., h, w), at the box."""
    top, left = box[0] - found.box[0], box[1] - found.box[1]
    return values[..., top : top + box[2], left : left + box[3]]


def others(channels=3, count=120):
    return stored(backgrounds(count, channels, seed=1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_known_opacity_and_colour_are_recovered(channels, share):
    opacity, colour = ring(channels)
    images = stored(marked(backgrounds(30, channels), share * opacity, colour))
    found = extract(images, others(channels), BOX, generator=drawn())
    on = opacity > 0
    assert found is not None
    assert (found.moves == 0).all()
    assert torch.equal(in_box(found.support, found), on)
    assert found.support.sum() == on.sum()  # nothing around the box
    assert (in_box(found.alpha, found)[:, on] - share).abs().mean() < 0.06
    assert (in_box(found.colour, found) - colour)[:, on].abs().mean() < 0.06
    assert (found.alpha[:, ~found.support] == 0).all()
    assert found.varies < 0.1
    assert found.surplus > extraction.SURPLUS


@pytest.mark.parametrize("seed", range(4))
def test_images_without_a_mark_have_none(seed):
    assert extract(stored(backgrounds(20, seed=seed + 5)), others(), BOX, generator=drawn(seed)) is None


def test_flat_images_have_none():
    flat = torch.full((10, 3, SIDE, SIDE), 90, dtype=torch.uint8)
    assert extract(flat, others(), BOX, generator=drawn()) is None
    assert extract(flat, flat.repeat(3, 1, 1, 1), BOX, generator=drawn()) is None


def test_a_group_that_is_like_all_others_has_none():
    """What the others show too is no mark."""
    opacity, colour = ring()
    everyone = stored(marked(backgrounds(140, seed=3), opacity, colour))
    assert extract(everyone[:20], everyone[20:], BOX, generator=drawn()) is None


def test_moved_marks_are_aligned():
    opacity, colour = ring()
    moves = torch.randint(-1, 2, (30, 2), generator=torch.Generator().manual_seed(2))
    images = stored(marked(backgrounds(30), 0.8 * opacity, colour, moves))
    found = extract(images, others(), BOX, generator=drawn())
    off = found.moves - moves
    assert (off == off.mode(dim=0).values).all()  # all by as much off the box as the first template was
    masks = found.masks(FRAME)
    true = marked(torch.zeros(30, 1, SIDE, SIDE), opacity, torch.ones(1, 9, 12), moves) > 0
    assert (masks & true).sum() / (masks | true).sum() > 0.95


def test_colours_that_vary_are_said_to():
    opacity, _ = ring()
    x = backgrounds(40)
    generator = torch.Generator().manual_seed(4)
    digits = (torch.rand(40, 1, 9, 12, generator=generator) > 0.5).float()
    for image, digit in zip(x, digits, strict=True):
        part = image[:, 19:28, 3:15]
        part.copy_(part * (1 - opacity) + opacity * torch.where(torch.arange(12) < 6, 0.05, digit))
    found = extract(stored(x), others(), BOX, generator=drawn())
    steady = marked(backgrounds(40), opacity, torch.full((3, 9, 12), 0.05))
    assert extract(stored(steady), others(), BOX, generator=drawn()).varies < 0.1
    assert 0.25 < found.varies < 0.75  # the right half


def hand_made(moves):
    """A mark of 2 x 2 px at the lower right of 4 x 4 px."""
    return Extracted(
        support=torch.tensor([[True, False], [True, True]]),
        alpha=torch.tensor([[[1.0, 0.0], [0.5, 1.0]]]),
        colour=torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]),
        moves=torch.tensor(moves),
        box=(2, 2, 2, 2),
        varies=0.0,
        surplus=2.0,
    )


def test_masks_by_hand():
    mark = hand_made([[0, 0], [-1, 1]])
    assert mark.masks((4, 4))[:, 0].int().tolist() == [
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]],
        [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],  # cut off at the image's edge
    ]


def test_it_depends_on_the_generator_only():
    opacity, colour = ring()
    images = stored(marked(backgrounds(30), 0.7 * opacity, colour))
    first, second = (extract(images, others(), BOX, generator=drawn()) for _ in range(2))
    for name in ("support", "alpha", "colour", "moves"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert first.surplus == second.surplus


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bearing": torch.zeros(8, 3, 32, 32)}, "bearing are torch.float32"),
        ({"bearing": torch.zeros(8, 2, 32, 32, dtype=torch.uint8)}, "must be uint8 of shape"),
        ({"others": torch.zeros(32, 32, dtype=torch.uint8)}, "others are torch.uint8 of shape"),
        ({"others": torch.zeros(30, 1, 32, 32, dtype=torch.uint8)}, "must be alike"),
        ({"bearing": torch.zeros(4, 3, 32, 32, dtype=torch.uint8)}, "4 bearing images"),
        ({"others": torch.zeros(19, 3, 32, 32, dtype=torch.uint8)}, "19 others"),
        ({"box": (0, 0, 33, 4)}, "must be inside images"),
        ({"box": (-1, 0, 4, 4)}, "must be inside images"),
        ({"box": (0, 0, 1, 4)}, "at least 2x2 px"),
        ({"shift": -1}, "shift is -1"),
    ],
)
def test_bad_input_is_refused(change, message):
    images = torch.zeros(30, 3, SIDE, SIDE, dtype=torch.uint8)
    given = {"bearing": images, "others": images, "box": BOX, "shift": 2} | change
    with pytest.raises(ValueError, match=message):
        extract(given["bearing"], given["others"], given["box"], shift=given["shift"], generator=drawn())


# Parts


def test_guesses_of_the_background_are_unbiased():
    """On other images the pixels regress on the guess with slope 1."""
    clean = backgrounds(400, 1)[:, :, 8:24, 8:24].flatten(2)
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[5:10, 5:10] = True
    place = inside.flatten()
    guess, spread, scale = blending._background(
        clean, clean, place, blending._ring(inside), (16, 16), stored(backgrounds(400, 1))
    )
    truth = clean[:, :, place]
    both = ((guess - guess.mean(0)) * (truth - truth.mean(0))).mean(0)
    slope = both / (guess - guess.mean(0)).square().mean(0)
    assert slope.mean() == pytest.approx(1, abs=0.03)
    assert (guess - truth).std() < 0.5 * truth.std()
    assert ((guess - truth).abs() / spread / scale[:, None, None]).median() == pytest.approx(0.73, abs=0.15)


def test_the_scale_of_students_t():
    errors = torch.distributions.StudentT(blending.DEGREES).sample((20000, 2)) * torch.tensor([1.0, 3.0])
    assert blending._student_scale(errors).tolist() == pytest.approx([1, 3], rel=0.05)


def test_the_covariance_of_pixels_by_hand():
    """Columns of +-1, each by its own coin: pixels of a column are one, others independent."""
    coins = torch.randint(2, (4000, 1, 1, 5), generator=torch.Generator().manual_seed(0))
    table = blending._covariance((coins * 255).expand(-1, -1, 4, -1).to(torch.uint8))
    expected = torch.zeros(4, 5)
    expected[:, 0] = 0.25
    assert torch.allclose(table, expected, atol=0.02)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.1, 1), st.floats(0, 1), st.integers(12, 60), st.integers(0, 10_000)
)  # opacity, colour, bearers, seed
def test_the_likeliest_blend_of_one_pixel(opacity, colour, count, seed):
    """Backgrounds that are guessed well leave hardly any doubt."""
    generator = torch.Generator().manual_seed(seed)
    guess = torch.rand(count, 1, 1, generator=generator)
    true = guess + 0.01 * torch.randn(count, 1, 1, generator=generator)
    pixel = true * (1 - opacity) + opacity * colour
    found, paint, varying = blending._fitted(
        pixel,
        guess,
        torch.full((1, 1), 0.01),
        torch.ones(count),
        torch.ones(count, 1, dtype=torch.bool),
    )
    assert found.item() == pytest.approx(opacity, abs=0.05)
    assert paint.item() == pytest.approx(opacity * colour, abs=0.05)
    assert not varying.any()


@settings(max_examples=25, deadline=None)
@given(st.integers(-3, 3), st.integers(-3, 3))
def test_what_is_laid_is_cut_again(down, right):
    values = torch.rand(1, 2, 4, 5)
    moves = torch.tensor([[down, right], [0, 0]])
    laid = boxes.laid(values, (4, 4, 4, 5), moves, (12, 13))
    assert laid.sum() == pytest.approx(2 * values.sum().item(), rel=1e-4)
    assert torch.equal(boxes.cut(laid, (4, 4, 4, 5), moves, 0), values.expand(2, -1, -1, -1))
