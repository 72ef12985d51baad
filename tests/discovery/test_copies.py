"""Near-copies."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fcdd_audit.discovery.copies import Copies, copies, summary


def scenes(count, side=64, seed=0, channels=3):
    """Uint8 images of coarse and of fine structure, all different."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(count, channels, side, side)
    for cells, weight in ((4, 0.5), (8, 0.35), (16, 0.25), (32, 0.15)):
        noise = torch.randn(count, channels, cells, cells, generator=generator)
        x += weight * F.interpolate(noise, (side, side), mode="bicubic")
    return ((x * 0.4 + 0.5).clamp(0, 1) * 255).byte()


def by_picture(change):
    def changed(images):
        pictures = [change(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images]
        return torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in pictures])

    return changed


def saved(picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=30)
    return Image.open(file)


def cut(picture):
    side = picture.size[0]
    return picture.resize((side, side), Image.Resampling.BILINEAR, (0.05 * side, 0.05 * side, side, side))


def marked(images):
    images = images.clone()
    side = images.shape[-1]
    images[..., -side // 6 :, : side // 2] = 255
    images[..., -side // 8 : -side // 12, 2 : side // 2 - 2 : 2] = 0
    return images


MADE = {
    "the same": lambda images: images,
    "JPEG 30": by_picture(saved),
    "cut": by_picture(cut),
    "moved": lambda images: images.roll((2, 2), (2, 3)),
    "brighter": lambda images: (images * 1.2).clamp(0, 255).byte(),
    "darker": lambda images: (images * 0.7).byte(),
    "mirrored": lambda images: images.flip(-1),
    "halved": by_picture(lambda picture: picture.resize((32, 32)).resize(picture.size)),
    "marked": marked,
    "marked, mirrored and cut": lambda images: by_picture(cut)(marked(images).flip(-1)),
}


@pytest.mark.parametrize("made", MADE)
def test_copies_share_a_group_and_scenes_dont(made):
    images = scenes(40)
    groups = copies(torch.cat([images, MADE[made](images)]))
    assert groups.dtype == np.int64
    assert groups.tolist() == [*range(40), *range(40)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [20, 32, 100])
def test_any_size_and_grey_ones(side, channels):
    images = scenes(20, side, channels=channels)
    assert copies(torch.cat([images, images.flip(-1)])).tolist() == [*range(20), *range(20)]


def test_images_need_not_be_square():
    images = scenes(10)[..., :40]
    assert copies(torch.cat([images, images.flip(-1)])).tolist() == [*range(10), *range(10)]


def test_copies_of_copies_share_a_group():
    image = scenes(1, 96)
    moved = [image[..., start : start + 64, start : start + 64] for start in (0, 4, 8, 12, 16)]
    assert copies(torch.cat([moved[0], moved[4]])).tolist() == [0, 1]
    assert copies(torch.cat(moved)).tolist() == [0] * 5


def test_flat_dark_and_empty_images_are_no_copies():
    flat = torch.full((5, 3, 32, 32), 30, dtype=torch.uint8)
    dark = torch.randint(0, 4, (5, 3, 32, 32), dtype=torch.uint8)
    ramps = torch.arange(64).mul(4).byte().expand(5, 3, 64, 64) // torch.arange(1, 6).view(5, 1, 1, 1)
    assert copies(torch.cat([flat, dark])).tolist() == [*range(10)]
    assert copies(ramps.byte()).tolist() == [*range(5)]
    assert copies(flat[:0]).tolist() == []
    assert copies(flat[:1]).tolist() == [0]


def test_equal_images_are_copies_however_dark():
    dark = torch.zeros(3, 1, 32, 32, dtype=torch.uint8)
    dark[:2, :, 5, 5] = 2
    assert copies(dark).tolist() == [0, 0, 1]


@pytest.mark.parametrize("place", ["frame", "bar", "corner", "logo"])
@pytest.mark.parametrize("background", ["scenes", "faint"])
def test_scenes_that_bear_the_same_mark_are_no_copies(place, background):
    images = scenes(40)
    if background == "faint":
        images = (images // 20) + 120
    mark = scenes(1, 64, seed=9)[0]
    rows, columns = {
        "frame": ((0, 64), (0, 64)),
        "bar": ((48, 64), (0, 64)),
        "corner": ((0, 24), (0, 24)),
        "logo": ((24, 40), (24, 40)),
    }[place]
    inner = images[..., 6:-6, 6:-6].clone()
    images[..., slice(*rows), slice(*columns)] = mark[:, slice(*rows), slice(*columns)]
    if place == "frame":
        images[..., 6:-6, 6:-6] = inner
    assert copies(images).tolist() == [*range(40)]


def test_the_same_shape_in_another_colour_is_no_copy():
    image = scenes(1, channels=1).expand(1, 3, -1, -1).float()
    red, blue = (image * torch.tensor(tint).view(1, 3, 1, 1) for tint in ((1, 0.5, 0.2), (0.2, 0.5, 1)))
    assert copies(torch.cat([red, blue]).byte()).tolist() == [0, 1]
    assert copies(torch.cat([red, red.flip(-1)]).byte()).tolist() == [0, 0]


def test_many_copies_of_one_image_share_a_group():
    generator = torch.Generator().manual_seed(1)
    image = scenes(1).float()
    noise = torch.randn(300, 3, 64, 64, generator=generator) * 4
    groups = copies(torch.cat([(image + noise).clamp(0, 255).byte(), scenes(300, seed=2)]))
    assert groups.tolist() == [0] * 300 + [*range(1, 301)]


def test_a_higher_threshold_joins_less():
    images = scenes(30)
    both = torch.cat([images, by_picture(saved)(images)])
    counts = [copies(both, threshold=threshold).max() + 1 for threshold in (0.5, 0.88, 0.99, 1.0)]
    assert counts == sorted(counts)
    assert counts[0] == 30
    assert counts[-1] == 60


@settings(max_examples=15)
@given(order=st.permutations(range(24)), mirrored=st.lists(st.booleans(), min_size=24, max_size=24))
def test_neither_the_order_nor_mirroring_matters(order, mirrored):
    images = scenes(12, 32)
    both = torch.cat([images, images.roll(1, 3)])[list(order)]
    both = torch.where(torch.tensor(mirrored).view(-1, 1, 1, 1), both.flip(-1), both)
    groups = copies(both)
    assert groups.tolist() == copies(both).tolist()
    kinds = [place % 12 for place in order]
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    assert groups.tolist() == [numbers[kind] for kind in kinds]


def test_progress_adds_up():
    told = []
    copies(scenes(300, 32), advance=told.append)
    assert sum(told) == 300


@pytest.mark.parametrize(
    ("images", "threshold", "reason"),
    [
        (torch.zeros(2, 3, 8, 8), 0.8, "images are uint8"),
        (torch.zeros(2, 2, 8, 8, dtype=torch.uint8), 0.8, "images are uint8"),
        (torch.zeros(2, 8, 8, dtype=torch.uint8), 0.8, "images are uint8"),
        (torch.zeros(2, 3, 0, 8, dtype=torch.uint8), 0.8, "no pixels"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), 0, "the threshold"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), 1.1, "the threshold"),
    ],
)
def test_bad_input(images, threshold, reason):
    with pytest.raises(ValueError, match=reason):
        copies(images, threshold=threshold)


def test_summary_by_hand():
    groups = np.array([0, 1, 0, 2, 2, 2, 3, 4, 4])
    parts = ["train", "train", "train", "train", "test", "test", "test", "train", "test"]
    assert summary(groups, parts) == Copies(groups=3, images=7, within=2, between=2, largest=3)
    assert summary(np.arange(3), [0, 1, 1]) == Copies(0, 0, 0, 0, 0)
    assert summary(np.zeros(0, int), []) == Copies(0, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="2 parts of 3 images"):
        summary(np.arange(3), [0, 1])
