import colorsys
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdd_audit.core.colours import LUMA
from fcdd_audit.core.recipe import Augmentation
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors.training.augment import (
    IN_PHASE,
    QUADRATURE,
    Augmenter,
    colour_maps,
    deviation,
    displaced,
    origins,
    recoloured,
)

CPU = torch.device("cpu")
OFF = {"shift": 0.0, "noise": 0.0}
borders = pytest.mark.parametrize("border", ["mirror", "black"])


def pictures(count=6, channels=3, height=5, width=7, seed=0):
    shape = (count, channels, height, width)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def augmented(changes, images, mask=None, seed=0):
    """The images after one step of one epoch, their masks and what was drawn."""
    augment = Augmenter(changes, tuple(images.shape[1:]), [seed], CPU)
    choices = augment.draw(1, len(images), [torch_generator(seed, "batches")]).at(torch.tensor([0]))
    x, mask = augment(images, choices, mask)
    return x, mask, choices


def by_hand(image, down, right, flip, reach, border):
    """Cut out of the padded image with numpy."""
    frame = np.pad(
        image,
        ((0, 0), (reach, reach), (reach, reach)),
        mode={"mirror": "reflect", "black": "constant"}[border],
    )
    cut = frame[:, down : down + image.shape[1], right : right + image.shape[2]]
    return cut[:, :, ::-1] if flip else cut


# Displacement and flip


@borders
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float64])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_displacing_is_cutting_each_image_out_of_its_frame_and_flipping_it(border, dtype, reach):
    moves = torch.tensor(list(product(range(2 * reach + 1), repeat=2))).repeat(2, 1)
    flips = torch.arange(len(moves)) >= len(moves) // 2
    images = pictures(len(moves)).to(dtype)
    rows, columns = origins(reach, 5, border)[moves[:, 0]], origins(reach, 7, border)[moves[:, 1]]
    columns[flips] = columns[flips].flip(1)
    got = displaced(images, rows, columns)
    assert got.dtype == dtype
    for index, (down, right) in enumerate(moves.tolist()):
        expected = by_hand(images[index].numpy(), down, right, flips[index], reach, border)
        assert np.array_equal(got[index].numpy(), expected)


def test_a_displacement_worked_out_by_hand():
    image = torch.tensor([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], dtype=torch.uint8)
    assert origins(1, 3, "black").tolist() == [[3, 0, 1], [0, 1, 2], [1, 2, 3]]
    assert origins(1, 3, "mirror").tolist() == [[1, 0, 1], [0, 1, 2], [1, 2, 1]]
    black, mirrored = (origins(1, 3, border)[[2]] for border in ("black", "mirror"))  # one down and right
    assert displaced(image, black, black).tolist() == [[[[5, 6, 0], [8, 9, 0], [0, 0, 0]]]]
    assert displaced(image, mirrored, mirrored).tolist() == [[[[5, 6, 5], [8, 9, 8], [5, 6, 5]]]]
    assert displaced(image, black, black.flip(1)).tolist() == [[[[0, 6, 5], [0, 9, 8], [0, 0, 0]]]]


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(2, 12),
    width=st.integers(2, 12),
    shift=st.floats(0, 0.49),
    flip=st.sampled_from([0.0, 0.5, 1.0]),
    border=st.sampled_from(["mirror", "black"]),
    seed=st.integers(0, 1000),
)
def test_masks_follow_their_images(height, width, shift, flip, border, seed):
    images = 255 * (pictures(4, 1, height, width, seed) > 127).to(torch.uint8)
    changes = Augmentation(shift=shift, flip=flip, border=border, noise=0.0)
    x, mask, _ = augmented(changes, images, images > 0, seed)
    assert mask.dtype == torch.bool
    assert torch.equal(mask, x > 0)


def test_without_masks_none_come_back():
    assert augmented(Augmentation(flip=0.5), pictures())[1] is None


def test_images_and_masks_are_left_as_they_were():
    images, mask = pictures(), pictures(channels=1) > 127
    copies = images.clone(), mask.clone()
    for changes in (Augmentation(shift=0.3, flip=0.5, jitter=0.1), Augmentation(**OFF)):
        augmented(changes, images, mask)
        assert torch.equal(images, copies[0])
        assert torch.equal(mask, copies[1])


@pytest.mark.parametrize("flip", [0.0, 0.3, 1.0])
def test_as_many_images_are_flipped_as_asked_for(flip):
    images = pictures(1).expand(2000, -1, -1, -1)
    x, _, _ = augmented(Augmentation(**OFF, flip=flip), images)
    flipped = (x == images.flip(-1) / 255).flatten(1).all(dim=1)
    assert ((x == images / 255).flatten(1).all(dim=1) ^ flipped).all()
    assert flipped.float().mean().item() == pytest.approx(flip, abs=0.04)


# Colours


def recoloured_by(image, brightness=1.0, contrast=1.0, saturation=1.0, turn=0.0):
    factors = (
        torch.tensor([value], dtype=torch.float64) for value in (brightness, contrast, saturation, turn)
    )
    return recoloured(image.double(), *colour_maps(*factors))


def grey_of(x):
    return 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]


def test_each_colour_change_by_hand():
    image = pictures(1) // 2 + 64  # far enough from 0 and 255 for nothing to be cut off
    x = image.double() / 255
    grey = grey_of(x)[:, None]
    for got, expected in (
        (recoloured_by(image), x),
        (recoloured_by(image, brightness=1.1), 1.1 * x),
        (recoloured_by(image, contrast=0.7), 0.7 * x + 0.3 * grey.mean()),
        (recoloured_by(image, saturation=0.6), 0.6 * x + 0.4 * grey),
        (recoloured_by(image, saturation=0.0), grey.expand_as(x)),
        (
            recoloured_by(image, 0.9, 0.7, 0.6),
            0.9 * (0.6 * (0.7 * x + 0.3 * grey.mean()) + 0.4 * (0.7 * grey + 0.3 * grey.mean())),
        ),
        (recoloured_by(image, turn=1.0), x),
    ):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("third", [1, 2])
def test_a_third_of_a_turn_leads_from_red_to_green_and_two_to_blue_and_keeps_the_grey(third):
    red = torch.tensor([130.0, 90.0, 90.0]).reshape(1, 3, 1, 1)
    turned = recoloured_by(red, turn=third / 3)
    hue = colorsys.rgb_to_hsv(*turned.flatten().tolist())[0]
    assert hue == pytest.approx(third / 3, abs=0.1)
    assert grey_of(turned).item() == pytest.approx(grey_of(red / 255).item(), abs=1e-6)


def test_colours_agree_with_torchvision_in_the_same_order():
    functional = pytest.importorskip("torchvision.transforms.functional")
    image = pictures(1, height=16, width=16) // 2 + 64
    x = image.double() / 255
    for factors in ((1.05, 1, 1), (1, 0.95, 1), (1, 1, 1.05), (1.02, 0.97, 1.04)):
        expected = functional.adjust_brightness(x, factors[0])
        expected = functional.adjust_contrast(expected, factors[1])
        expected = functional.adjust_saturation(expected, factors[2])
        torch.testing.assert_close(recoloured_by(image, *factors), expected, rtol=0, atol=2e-4)


def test_what_leaves_the_range_is_cut_off():
    image = torch.tensor([250.0, 0.0, 128.0]).reshape(1, 3, 1, 1)
    bright = recoloured_by(image, brightness=1.5)
    assert bright.flatten().tolist() == pytest.approx([1, 0, 192 / 255])


@pytest.mark.parametrize("channels", [1, 2])
def test_grey_images_change_in_brightness_and_contrast_only(channels):
    images = pictures(500, channels) // 4 + 96
    x, _, choices = augmented(Augmentation(**OFF, jitter=0.2), images)
    assert choices.colours.shape == (500, channels, channels)
    before, after = images.double().flatten(1) / 255, x.double().flatten(1)
    contrast = after.std(dim=1) / before.std(dim=1)
    gain = after.mean(dim=1) / before.mean(dim=1)
    assert 0.8 - 1e-4 <= gain.min() < 0.82
    assert 1.18 < gain.max() <= 1.2 + 1e-4
    assert (contrast + 1e-4 >= 0.64).all()
    assert (contrast <= 1.44 + 1e-4).all()


def test_only_the_share_asked_for_is_jittered():
    images = pictures(1).expand(2000, -1, -1, -1) // 2 + 64
    x, _, _ = augmented(Augmentation(**OFF, jitter=0.1, jitter_share=0.3), images)
    same = torch.isclose(x, images / 255, rtol=0, atol=1e-6).flatten(1).all(dim=1)
    assert same.float().mean().item() == pytest.approx(0.7, abs=0.04)


def test_jitter_is_as_large_as_asked_for():
    flat = torch.full((5000, 3, 2, 2), 128, dtype=torch.uint8)  # a grey: only the brightness shows
    x, _, _ = augmented(Augmentation(**OFF, jitter=0.1), flat)
    gain = x[:, 0, 0, 0] / (128 / 255)
    assert 0.9 <= gain.min() + 1e-5 < 0.901
    assert 1.099 < gain.max() - 1e-5 <= 1.1
    assert gain.mean().item() == pytest.approx(1, abs=0.003)


def factors_of(choices):
    """Brightness, contrast, saturation and turn of each image, (4, N), read off its colour map."""
    yiq = torch.tensor([LUMA, IN_PHASE, QUADRATURE], dtype=torch.float64)
    matrices, offsets = choices.colours.double(), choices.offsets.double()
    gain = (yiq[0] @ matrices).sum(dim=1)  # of grey: brightness times contrast
    brightness = gain + offsets.sum(dim=1)
    chroma = (yiq @ matrices @ torch.linalg.inv(yiq))[:, 1:, 1:] / gain[:, None, None]
    cosine, sine = chroma[:, 0].unbind(dim=1)
    turn = torch.atan2(sine, cosine) / (2 * torch.pi)
    return torch.stack([brightness, gain / brightness, torch.hypot(cosine, sine), turn])


def test_brightness_contrast_saturation_and_hue_are_drawn_apart_each_as_far_as_asked_for():
    _, _, choices = augmented(Augmentation(**OFF, jitter=0.1), pictures(5000, height=2, width=2))
    factors = factors_of(choices)
    for found, middle in zip(factors, (1, 1, 1, 0), strict=True):
        assert middle - 0.1 - 1e-4 <= found.min() < middle - 0.099
        assert middle + 0.099 < found.max() <= middle + 0.1 + 1e-4
        assert found.mean().item() == pytest.approx(middle, abs=0.004)
        assert found.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)
    assert (factors.corrcoef() - torch.eye(4)).abs().max() < 0.06


# Noise


def noise_of(changes, images):
    x, _, _ = augmented(changes, images)
    return x.double() - images.double() / 255


def test_noise_has_its_standard_deviation_and_isnt_cut_off():
    noise = noise_of(Augmentation(shift=0.0, noise=0.05), torch.zeros(50, 3, 20, 20, dtype=torch.uint8))
    assert noise.std().item() == pytest.approx(0.05, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.001)
    assert noise.min() < -0.1


def test_relative_noise_is_cut_off_with_its_image():
    images = pictures(4, 3, 64, 64)
    for noise in (0.0, 0.05):
        changes = Augmentation(shift=0.0, noise=noise, relative_noise=0.5)
        x, _, _ = augmented(changes, images)
        assert (x.min(), x.max()) == (0, 1)
        assert not torch.equal(x, images / 255)


def test_relative_noise_is_a_share_of_each_images_own_deviation():
    images = pictures(4, 3, 64, 64) // 3 + 85  # far enough from black and white for nothing to be cut off
    images[1] = images[1] // 2 + 64
    images[2] = 128
    own = (images.double() / 255).flatten(1).std(dim=1, correction=0)
    torch.testing.assert_close(deviation(images.double() / 255).flatten(), own)
    got = noise_of(Augmentation(shift=0.0, noise=0.0, relative_noise=0.1), images).flatten(1).std(dim=1)
    assert got.tolist() == pytest.approx((0.1 * own).tolist(), rel=0.05, abs=1e-6)
    both = noise_of(Augmentation(shift=0.0, noise=0.03, relative_noise=0.1), images).flatten(1).std(dim=1)
    assert both.tolist() == pytest.approx((0.01 * own.square() + 0.0009).sqrt().tolist(), rel=0.05)


def test_only_the_share_asked_for_is_noisy():
    noise = noise_of(Augmentation(shift=0.0, noise=0.1, noise_share=0.5), pictures(2000, 1))
    noisy = (noise.abs() > 1e-6).flatten(1).any(dim=1)
    assert noisy.float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert noise[noisy].std().item() == pytest.approx(0.1, rel=0.05)


# What is drawn


def test_nothing_is_drawn_for_what_is_off_and_images_are_only_scaled():
    images = pictures()
    x, _, choices = augmented(Augmentation(**OFF), images)
    assert torch.equal(x, images.float() / 255)
    assert (choices.colours, choices.offsets, choices.noisy) == (None,) * 3
    assert not choices.across.any()


def test_switching_one_thing_on_leaves_the_others_draws_alone():
    draws = [
        Augmenter(Augmentation(shift=0.3, **options), (3, 8, 8), [3], CPU).draw(
            2, 5, [torch_generator(3, "batches")]
        )
        for options in ({"flip": 0.5, "jitter": 0.1}, {"flip": 0.5}, {"jitter": 0.1, "noise_share": 0.5})
    ]
    assert all(torch.equal(draw.down, draws[0].down) for draw in draws)
    assert torch.equal(draws[0].across, draws[1].across)
    assert torch.equal(draws[0].across % 5, draws[2].across)  # of a reach of 2
    assert torch.equal(draws[0].colours, draws[2].colours)


def test_the_seed_and_the_step_decide_what_is_drawn():
    changes = Augmentation(shift=0.3, flip=0.5, jitter=0.1, noise_share=0.5)
    images = pictures(16)
    first, again, other = (augmented(changes, images, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    augment = Augmenter(changes, (3, 5, 7), [1], CPU)
    generator = torch_generator(1, "batches")
    epochs = [augment.draw(2, 16, [generator]) for _ in range(2)]
    for name in ("down", "across", "colours", "offsets", "noisy"):
        steps = [getattr(epoch.at(torch.tensor([step])), name) for epoch in epochs for step in range(2)]
        assert not any(torch.equal(a, b) for a, b in pairwise(steps))


def test_a_batch_isnt_changed_by_the_next_one():
    images, changes = pictures(), Augmentation(jitter=0.1)
    augment = Augmenter(changes, (3, 5, 7), [0], CPU)
    choices = augment.draw(1, len(images), [torch_generator(0, "batches")]).at(torch.tensor([0]))
    x, _ = augment(images, choices)
    kept = x.clone()
    augment(images.flip(0), choices)
    assert torch.equal(x, kept)
