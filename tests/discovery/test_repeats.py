"""Windows that are alike: vectors, pairs, limits and counts."""

import numpy as np
import pytest
import torch

from fcdd_audit.discovery.repeats import (
    FIELDS,
    KEPT,
    Pairs,
    Vectors,
    View,
    compare,
    fields_of,
    gradients,
    luminance,
    moves_of,
    opponents,
    shapes_of,
    strengths,
    windows_of,
)
from tests.discovery.marks import scenes, stamped

NOBODY = np.zeros(24, bool)


def view(images):
    return View("image", images, images.flip(-1))


def test_luminance_is_that_of_the_standard():
    red = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    red[0, 0] = 255
    assert luminance(red).item() == pytest.approx(0.299)
    assert luminance(torch.full((1, 1, 1, 1), 51, dtype=torch.uint8)).item() == pytest.approx(0.2)


def test_gradients_are_differences_to_the_right_and_below():
    x = torch.tensor([[[[1.0, 2.0, 4.0], [0.0, 5.0, 5.0]]]])
    assert gradients(x)[0].tolist() == [[[1, 2, 0], [5, 0, 0]], [[-1, 3, 1], [0, 0, 0]]]


def test_colour_is_what_is_left_without_brightness():
    grey = torch.full((1, 3, 2, 2), 90, dtype=torch.uint8)
    assert opponents(grey).abs().max() < 1e-6
    blue = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    blue[0, 2] = 255
    assert opponents(blue).flatten().tolist() == [0, 1]


def test_grey_images_have_no_field_of_colour():
    assert fields_of(scenes(2)) == fields_of(scenes(2).repeat(1, 3, 1, 1)) == ("gradient", "whitened")
    assert fields_of(scenes(2, channels=3)) == tuple(FIELDS)


@pytest.mark.parametrize("side", [32, 64, 96])
def test_windows_fit_the_view_and_moves_are_small(side):
    assert all(max(shape) <= side for shape in shapes_of(side))
    assert moves_of(side) in ((-1, 0, 1), (-2, -1, 0, 1, 2))


def test_vectors_are_units_flat_windows_are_nothing_and_outside_there_is_none():
    images = scenes(4)
    images[3] = 77
    vectors = Vectors(FIELDS["gradient"](images), (8, 8), None)
    assert vectors.at(0, 0).norm(dim=1).tolist() == pytest.approx([1, 1, 1, 0])
    assert vectors.at(25, 0) is vectors.at(0, -1) is None


def test_an_image_is_compared_neither_with_itself_nor_with_its_mirror_image():
    family = compare(view(scenes(24)), "gradient", (8, 8))
    for pairs in family.pairs:
        assert (pairs.one % 24 != pairs.other % 24).all()
        assert (np.diff(pairs.alike) <= 0).all()


def test_limits_keep_their_shares_of_all_pairs():
    family = compare(view(scenes(24)), "gradient", (8, 8))
    together = np.concatenate([pairs.alike for pairs in family.pairs])
    total = 4 * 24 * 24 * len(family.places)
    for share, limit in zip(KEPT, family.limits, strict=True):
        assert (together >= limit).sum() == max(1, round(share * total))


def test_a_mark_is_strongest_where_it_is_and_of_the_images_that_bear_it():
    bearers = range(8)
    family = compare(view(stamped(scenes(24), bearers, top=2, left=22)), "gradient", (8, 8))
    coins = np.random.default_rng(0).random((99, 24)) < 0.5
    signs = np.vstack([np.zeros((1, 24), bool), coins])
    strong, found = strengths(family, signs, NOBODY)
    best = int(strong[:, 0].argmax())
    window = windows_of(family)[best]
    assert window.mirrored, "it lies in the right half"
    assert abs(32 - window.left - window.width - 22) <= 4 >= abs(window.top - 2)
    assert set(found[best].tolist()) <= set(bearers)
    assert len(found[best]) >= 4


def test_searches_of_images_that_are_all_mirrored_are_those_of_the_other_half():
    """Mirroring every image changes which half a window lies in, and nothing else."""
    family = compare(view(stamped(scenes(24), range(8))), "gradient", (8, 8))
    none, every = np.zeros((3, 24), bool), np.ones((3, 24), bool)
    none[1], every[1] = True, False  # so that counts vary
    one, _ = strengths(family, none, NOBODY)
    other, _ = strengths(family, every, NOBODY)
    plain = [place for place, window in enumerate(windows_of(family)) if not window.mirrored]
    mirrored = [place + 1 for place in plain]
    np.testing.assert_allclose(one[plain][:, :2], other[mirrored][:, :2])


def test_images_that_are_gone_have_no_partners():
    bearers = np.zeros(24, bool)
    bearers[:8] = True
    family = compare(view(stamped(scenes(24), range(8))), "gradient", (8, 8))
    _, found = strengths(family, np.zeros((2, 24), bool), bearers)
    assert not np.concatenate(found).size or np.concatenate(found).min() >= 8


def test_pairs_without_some_images():
    pairs = Pairs(np.array([0, 3, 5]), np.array([1, 4, 0]), np.array([0.9, 0.8, 0.7]))
    kept = pairs.without(np.array([False, True, False]), 3)  # 1 and its mirror image 4
    assert (kept.one.tolist(), kept.other.tolist()) == ([5], [0])


@pytest.mark.parametrize("field", FIELDS)
def test_mirroring_some_images_changes_nothing_but_the_signs(field):
    """What makes p exact; two coloured images among grey ones leave hardly any windows with colour."""
    images = scenes(30).repeat(1, 3, 1, 1)
    images[:2, 0] = scenes(2, seed=5)[:, 0]
    rng = np.random.default_rng(0)
    turned = rng.random(30) < 0.5
    signs = np.vstack([np.zeros((1, 30), bool), rng.random((20, 30)) < 0.5])
    mirrored = images.clone()
    mirrored[torch.from_numpy(turned)] = images[torch.from_numpy(turned)].flip(-1)
    nobody = np.zeros(30, bool)
    one, _ = strengths(compare(view(images), field, (8, 8)), signs, nobody)
    other, _ = strengths(compare(view(mirrored), field, (8, 8)), signs ^ turned, nobody)
    np.testing.assert_allclose(one, other, atol=1e-9)
