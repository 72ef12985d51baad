import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.restoration import inpaint_biharmonic

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.mapped import mapped
from fcdd_audit.natural import removal
from fcdd_audit.natural.removal import elsewhere, inpaint

SEEDS = st.integers(0, 2**31)
some_examples = settings(max_examples=40, deadline=None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(count, channels, height, width, seed=0):
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed))


def boxes(count, height, width, *places):
    """Masks with one box each; places: top, bottom, left, right with exclusive ends, or None."""
    masks = torch.zeros(count, 1, height, width, dtype=torch.bool)
    for mask, place in zip(masks, places, strict=True):
        if place is not None:
            top, bottom, left, right = place
            mask[0, top:bottom, left:right] = True
    return masks


def random_masks(count, height, width, seed, share=None):
    """Scattered pixels inside a random box of each mask; some masks are empty."""
    rng = np.random.default_rng(seed)
    masks = torch.zeros(count, 1, height, width, dtype=torch.bool)
    for mask in masks:
        top, left = rng.integers(height), rng.integers(width)
        bottom, right = rng.integers(top, height + 1), rng.integers(left, width + 1)
        inside = rng.random((bottom - top, right - left)) < (share or rng.choice([0.2, 0.8, 1]))
        mask[0, top:bottom, left:right] = torch.from_numpy(inside)
    return masks


# Filling in


@some_examples
@given(side=st.integers(2, 24), channels=st.sampled_from([1, 3]), seed=SEEDS)
def test_no_pixel_outside_the_mask_changes_and_values_stay_in_the_images_range(side, channels, seed):
    images, masks = random_images(4, channels, side, side + 1, seed), random_masks(4, side, side + 1, seed)
    masks[masks.flatten(1).all(dim=1)] = False
    before = images.clone()
    filled = inpaint(images, masks)
    assert torch.equal(images, before), "the input stays as it was"
    assert (filled.shape, filled.dtype) == (images.shape, torch.uint8)
    assert not ((filled != images) & ~masks).any()
    for image, result, mask in zip(images.flatten(2), filled.flatten(2), masks.flatten(1), strict=True):
        low, high = image[:, ~mask].aminmax(dim=1)
        assert ((result >= low[:, None]) & (result <= high[:, None]))[:, mask].all()


def test_a_slope_goes_on_under_the_mask():
    """A plane solves the biharmonic equation."""
    plane = 20 + 6 * torch.arange(12)[:, None] + 3 * torch.arange(16)
    images, masks = plane.to(torch.uint8)[None, None], boxes(1, 12, 16, (3, 7, 4, 12))
    assert torch.equal(inpaint(images.masked_fill(masks, 255), masks), images)


def test_it_is_scikit_images_own_result_whatever_images_come_along():
    images = random_images(5, 3, 20, 24)
    same, other = (2, 8, 3, 20), (5, 20, 0, 4)
    masks = boxes(5, 20, 24, same, None, same, other, same)
    filled = inpaint(images, masks)
    assert torch.equal(filled[1], images[1])
    for image, mask, result in zip(images, masks, filled, strict=True):
        if mask.any():
            alone = inpaint_biharmonic(image.numpy(), mask[0].numpy(), channel_axis=0)
            assert np.abs(result.numpy() - 255 * alone).max() <= 0.5 + 1e-6


def test_images_with_the_same_mask_are_solved_together(monkeypatch):
    sizes = []

    def solve(image, mask, channel_axis):
        sizes.append(len(image))
        return inpaint_biharmonic(image, mask, channel_axis=channel_axis)

    monkeypatch.setattr(removal, "inpaint_biharmonic", solve)
    monkeypatch.setattr(removal, "STACK", 2)
    same = (1, 4, 1, 4)
    masks = boxes(5, 8, 8, same, (2, 5, 2, 5), same, None, same)
    inpaint(random_images(5, 3, 8, 8), masks)
    assert sizes == [6, 3, 3]


@pytest.mark.parametrize("known", [(0, 0), (7, 7), (3, 4)])
def test_one_known_pixel_is_enough(known):
    masks = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    masks[0, 0, known[0], known[1]] = False
    images = random_images(1, 1, 8, 8)
    assert (inpaint(images, masks) == images[0, 0, known[0], known[1]]).all()


def test_a_mask_of_the_whole_image_is_refused():
    masks = boxes(3, 8, 8, (0, 4, 0, 4), (0, 8, 0, 8), None)
    with pytest.raises(InputError) as error:
        inpaint(random_images(3, 1, 8, 8), masks)
    assert str(error.value) == (
        "the artifact's mask covers all of image 2 of 3, and nothing is left to fill it from; mark a part of "
        "the image"
    )


def test_no_images_and_no_masks():
    assert inpaint(random_images(0, 3, 8, 8), boxes(0, 8, 8)).shape == (0, 3, 8, 8)
    images = random_images(1, 3, 8, 8)
    filled = inpaint(images, boxes(1, 8, 8, None))
    assert torch.equal(filled, images)
    assert filled.data_ptr() != images.data_ptr()


def test_images_in_a_file_are_left_alone(tmp_path):
    images = random_images(2, 1, 8, 8)
    path = tmp_path / "images.u8"
    path.write_bytes(images.numpy().tobytes())
    filled = inpaint(mapped(path, (2, 1, 8, 8)), boxes(2, 8, 8, (1, 5, 1, 5), None))
    assert path.read_bytes() == images.numpy().tobytes()
    assert not torch.equal(filled, images)


def test_the_bar_is_only_shown_on_request(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    images, masks = random_images(1, 1, 8, 8), boxes(1, 8, 8, (1, 5, 1, 5))
    inpaint(images, masks)
    assert capsys.readouterr() == ("", "")
    inpaint(images, masks, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "remove artifacts" in err


# As much elsewhere


def shape_of(mask):
    """The pixels relative to the upper left one, sorted."""
    points = mask[0].nonzero()
    return (points - points.amin(dim=0)).tolist() if len(points) else []


@some_examples
@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=SEEDS, avoiding=st.booleans())
def test_a_mask_is_moved_inside_the_image_to_where_it_overlaps_least(height, width, seed, avoiding):
    masks = random_masks(3, height, width, seed)
    avoid = random_masks(3, height, width, seed + 1) if avoiding else None
    moved = elsewhere(masks, generator(seed), avoid)
    assert (moved.shape, moved.dtype) == (masks.shape, torch.bool)
    assert torch.equal(moved, elsewhere(masks, generator(seed), avoid)), "the generator decides"
    for i, (mask, other) in enumerate(zip(masks, moved, strict=True)):
        assert shape_of(other) == shape_of(mask)
        if not mask.any():
            continue
        taken = mask if avoid is None else mask | avoid[i]
        points = mask[0].nonzero()
        low, high = points.amin(dim=0), points.amax(dim=0)
        overlaps = [
            int(taken[0][tuple((points - low + torch.tensor([y, x])).T)].sum())
            for y in range(height - int(high[0] - low[0]))
            for x in range(width - int(high[1] - low[1]))
            if (y, x) != tuple(low.tolist())
        ]
        assert int((other & taken).sum()) == min(overlaps, default=int(mask.sum()))


def test_all_free_places_are_drawn_alike():
    masks = boxes(1, 4, 6, (0, 2, 0, 3)).expand(600, -1, -1, -1)
    moved = elsewhere(masks, generator())
    free = {tuple(box[0].nonzero()[0].tolist()) for box in moved}
    assert free == {(0, 3), (1, 3), *((2, x) for x in range(4))}
    counts = torch.stack([box.flatten() for box in moved]).unique(dim=0, return_counts=True)[1]
    assert counts.min() > 70  # 100 each are expected


def test_without_a_free_place_the_least_overlapping_one_is_taken():
    moved = elsewhere(boxes(1, 1, 5, (0, 1, 1, 4)), generator())
    assert moved[0, 0, 0].tolist() in ([True, True, True, False, False], [False, False, True, True, True])


def test_a_mask_from_edge_to_edge_stays():
    frame = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    frame[0, 0, 1:5, 1:5] = False
    assert torch.equal(elsewhere(frame, generator()), frame)


def test_it_also_keeps_off_what_is_to_be_avoided():
    masks = boxes(50, 2, 6, *[(0, 2, 0, 2)] * 50)
    avoid = boxes(50, 2, 6, *[(0, 1, 4, 6)] * 50)
    moved = elsewhere(masks, generator(), avoid)
    assert torch.equal(moved, boxes(50, 2, 6, *[(0, 2, 2, 4)] * 50))


def test_where_all_is_to_be_avoided_the_mask_still_moves():
    masks = boxes(20, 4, 4, *[(0, 2, 0, 2)] * 20)
    moved = elsewhere(masks, generator(), torch.ones_like(masks))
    assert not (moved == masks).flatten(1).all(dim=1).any()


def test_an_images_place_does_not_depend_on_the_others_masks():
    one = boxes(3, 9, 9, (0, 2, 0, 2), (3, 5, 3, 6), (0, 1, 0, 1))
    other = boxes(3, 9, 9, None, (3, 5, 3, 6), (2, 9, 1, 8))
    assert torch.equal(elsewhere(one, generator())[1], elsewhere(other, generator())[1])


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    elsewhere(boxes(1, 4, 4, (0, 1, 0, 1)), generator())
    assert torch.equal(torch.rand(2), expected)


def test_no_masks_give_no_masks():
    assert elsewhere(boxes(0, 4, 4), generator()).shape == (0, 1, 4, 4)
