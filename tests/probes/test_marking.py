import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes import PROBES, mark_all, plant


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Dot:
    """One white pixel in the first row, in a random column."""

    placed = True

    def apply(self, x, generator):
        columns = torch.randint(0, x.shape[3], (len(x),), generator=generator)
        mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
        mask[torch.arange(len(x)), 0, 0, columns] = True
        return torch.where(mask, torch.ones_like(x), x), mask


def black(count):
    return torch.zeros(count, 1, 4, 50, dtype=torch.uint8)


def bearing(images):
    return set(images.flatten(1).any(dim=1).nonzero().flatten().tolist())


@settings(deadline=None)
@given(st.integers(1, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(0, 99))
def test_exactly_the_asked_share_is_planted(counts, seed):
    planted, total = counts
    result = plant(black(total), Dot(), planted / total, generator(seed))
    assert len(bearing(result)) == planted
    assert (result.shape, result.dtype) == ((total, 1, 4, 50), torch.uint8)


@settings(deadline=None)
@given(st.integers(1, 60), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_a_higher_prevalence_adds_images_and_moves_none(total, one, other, seed):
    low, high = sorted((one, other))
    assume(all(share == 0 or round(share * total) > 0 for share in (low, high)))
    fewer, more = (plant(black(total), Dot(), prevalence, generator(seed)) for prevalence in (low, high))
    assert bearing(fewer) <= bearing(more)
    both = sorted(bearing(fewer))
    assert torch.equal(fewer[both], more[both])


def test_prevalence_0_is_a_copy_and_1_marks_all():
    images = black(9)
    copy = plant(images, Dot(), 0, generator())
    assert torch.equal(copy, images)
    assert copy.data_ptr() != images.data_ptr()
    assert len(bearing(plant(images, Dot(), 1, generator()))) == 9


def test_the_originals_stay_as_they_were():
    images = black(9)
    plant(images, Dot(), 1, generator())
    mark_all(images, Dot(), generator())
    assert not images.any()


def test_which_images_bear_it_depends_on_the_generator_only():
    one = bearing(plant(black(40), Dot(), 0.5, generator(1)))
    assert bearing(plant(black(40) + 1 - 1, Dot(), 0.5, generator(1))) == one
    assert bearing(plant(black(40), Dot(), 0.5, generator(2))) != one
    assert one != set(range(20)), "not simply the first"


@settings(deadline=None)
@given(st.integers(1, 2000))
def test_a_share_that_rounds_to_no_image_is_refused_with_one_that_works(total):
    with pytest.raises(InputError) as error:
        plant(black(total), Dot(), 0.4 / total, generator())
    message = str(error.value)
    assert f"of {total} images plants the artifact on none" in message
    enough = float(message.rsplit(" ", 1)[1])
    assert len(bearing(plant(black(total), Dot(), enough, generator()))) == 1


def test_planting_on_no_images_is_refused():
    with pytest.raises(InputError, match="of 0 images"):
        plant(black(0), Dot(), 1, generator())
    assert len(plant(black(0), Dot(), 0, generator())) == 0


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


@pytest.mark.parametrize("count", [0, 1, 300])
def test_what_has_no_place_is_planted_without_a_mask(count):
    images = torch.full((count, 1, 4, 4), 100, dtype=torch.uint8)
    probe = PROBES["brightness"](factor=1.5)
    marked, mask = mark_all(images, probe, generator())
    assert mask is None
    assert (marked == 150).all()
    planted = plant(images, probe, 1 if count else 0, generator())
    assert torch.equal(planted, marked)


def test_stored_values_are_rounded_to_the_nearest():
    class Darker:
        placed = True

        def apply(self, x, generator):
            return x * 0.7, torch.ones(len(x), 1, *x.shape[2:], dtype=torch.bool)

    images = torch.tensor([0, 1, 101, 103, 255], dtype=torch.uint8).reshape(1, 1, 1, 5)
    marked, mask = mark_all(images, Darker(), generator())
    assert marked.flatten()[:4].tolist() == [0, 1, 71, 72]  # of 0, 0.7, 70.7, 72.1
    assert mask.all()


def test_planted_images_look_like_marked_ones():
    images = torch.randint(0, 256, (6, 3, 64, 64), generator=generator(5), dtype=torch.uint8)
    probe = PROBES["watermark"](jitter=0)
    everywhere = plant(images, probe, 1, generator())
    assert torch.equal(everywhere, mark_all(images, probe, generator())[0])
