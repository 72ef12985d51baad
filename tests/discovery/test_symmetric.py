"""Content that is its own mirror image, and bound to the frame."""

import numpy as np
import pytest
import torch

from fcdd_audit.discovery.symmetric import BLOCK, SEARCHES, corners_of, offsets_of, symmetric
from fcdd_audit.discovery.views import image_view
from fcdd_audit.probes.chain import make_probe
from tests.discovery.marks import scenes, stamped

SIDE = 32
BEARERS = range(5, 19)


def rng(seed=0):
    return np.random.default_rng(seed)


def with_probe(images, name, bearers=BEARERS, **options):
    found = images.clone()
    places = list(bearers)
    marked, _ = make_probe(name, {name: options}).apply(images[places].float() / 255, torch.Generator())
    found[places] = (marked * 255).round().byte()
    return found


def photographs(count=80, seed=1):
    return scenes(count, SIDE, seed=seed)


def test_offsets_are_whole_blocks_and_none_for_images_as_they_are():
    offsets = offsets_of(50, 3, rng())
    assert offsets.shape == (4, 50, 2)
    assert not offsets[0].any()
    assert set(np.unique(offsets[1:])) == {BLOCK, 2 * BLOCK, 3 * BLOCK}


def test_windows_are_displaced_towards_the_middle_and_stay_inside():
    offsets = np.array([[0, 0], [8, 16], [24, 24]])
    assert corners_of((0, 0), (16, 16), (64, 64), offsets).tolist() == [[0, 0], [8, 16], [24, 24]]
    assert corners_of((48, 0), (16, 16), (64, 64), offsets).tolist() == [[48, 0], [40, 16], [24, 24]]
    assert corners_of((0, 20), (8, 8), (32, 32), offsets).tolist() == [[0, 20], [8, 4], [24, 0]]


@pytest.mark.parametrize(
    ("probe", "options", "box"),
    [
        ("frame", {}, (0, 0, 32, 32)),
        ("bars", {}, (0, 0, 32, 32)),
        ("bars", {"count": 1}, (8, 0, 16, 32)),
    ],
)
def test_what_is_its_own_mirror_image_is_found_with_its_bearers_and_place(probe, options, box):
    told = []
    found = symmetric(image_view(with_probe(photographs(), probe, **options)), rng(), told.append)
    assert len(found) == 1
    assert found[0].bears.tolist() == list(BEARERS)
    assert found[0].box == box
    assert found[0].excess > found[0].displaced
    assert sum(told) == 1 + SEARCHES


def test_a_mark_in_one_corner_is_none_of_it():
    """Mirrored searches can judge it."""
    assert symmetric(image_view(stamped(photographs(), BEARERS)), rng()) == []


def test_what_is_not_bound_to_the_frame_is_none_of_it():
    """The same tile all over the images: displaced by whole blocks it looks the same."""
    images = photographs()
    tile = images[0, :, :8, :8]
    images[list(BEARERS)] = torch.maximum(tile, tile.flip(-1)).repeat(1, 4, 4)
    assert symmetric(image_view(images), rng()) == []


def test_images_that_have_nothing_in_common_give_nothing():
    for seed in range(3):
        assert symmetric(image_view(photographs(60, seed)), rng(seed)) == []
    assert symmetric(image_view(torch.zeros(30, 1, SIDE, SIDE, dtype=torch.uint8)), rng()) == []


def test_on_few_images_it_is_not_listed():
    assert symmetric(image_view(with_probe(photographs(), "frame", range(5))), rng()) == []


def test_the_same_generator_gives_the_same():
    images = image_view(with_probe(photographs(), "frame"))
    one, other = (symmetric(images, rng(3))[0] for _ in range(2))
    assert (one.excess, one.displaced, one.box) == (other.excess, other.displaced, other.box)
    assert torch.equal(one.template.vector, other.template.vector)
