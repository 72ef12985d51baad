import pytest
import torch

from fcdd_audit.probes import PROBES, mark_all
from fcdd_audit.probes.marking import BATCH


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", list(PROBES))
@pytest.mark.parametrize("channels", [1, 3])
def test_stored_images_change_inside_the_mask_only(name, channels):
    images = torch.arange(256, dtype=torch.uint8).repeat(4 * channels * 16).reshape(4, channels, 64, 64)
    marked, mask = mark_all(images, PROBES[name](), generator())
    changed = (marked != images).any(dim=1, keepdim=True)
    assert (marked.dtype, marked.shape) == (torch.uint8, images.shape)
    assert changed.flatten(1).any(dim=1).all()
    assert (mask is not None) == PROBES[name]().placed
    assert mask is None or not (changed & ~mask).any()


def test_stored_values_are_rounded_to_the_nearest():
    class Darker:
        placed = True

        def apply(self, x, generator):
            return x * 0.7, torch.ones(len(x), 1, *x.shape[2:], dtype=torch.bool)

    images = torch.tensor([0, 1, 101, 103, 255], dtype=torch.uint8).reshape(1, 1, 1, 5)
    marked, mask = mark_all(images, Darker(), generator())
    assert marked.flatten()[:4].tolist() == [0, 1, 71, 72]  # of 0, 0.7, 70.7, 72.1
    assert mask.all()


@pytest.mark.parametrize("count", [0, 1, BATCH + 1])
def test_what_has_no_place_is_put_on_every_image_without_a_mask(count):
    images = torch.full((count, 1, 4, 4), 100, dtype=torch.uint8)
    marked, mask = mark_all(images, PROBES["brightness"](factor=1.5), generator())
    assert mask is None
    assert (marked == 150).all()
    assert marked.shape == images.shape


def test_the_originals_stay_as_they_were():
    images = torch.zeros(3, 1, 64, 64, dtype=torch.uint8)
    marked, _ = mark_all(images, PROBES["watermark"](), generator())
    assert marked.any()
    assert not images.any()
