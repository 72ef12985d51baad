"""An artifact is planted on a share of the training images."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.plant import Plant, plant, planted_count
from fcdd_audit.probes import PROBES, mark_all


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def black(count):
    return torch.zeros(count, 1, 4, 50, dtype=torch.uint8)


def bearing(images):
    return set(images.flatten(1).any(dim=1).nonzero().flatten().tolist())


@settings(deadline=None)
@given(st.integers(1, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(0, 99))
def test_exactly_the_asked_share_is_planted(dot, counts, seed):
    planted, total = counts
    result = plant(black(total), dot, planted / total, generator(seed))
    assert len(bearing(result)) == planted
    assert (result.shape, result.dtype) == ((total, 1, 4, 50), torch.uint8)


@settings(deadline=None)
@given(st.integers(1, 60), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_a_higher_prevalence_adds_images_and_moves_none(dot, total, one, other, seed):
    low, high = sorted((one, other))
    assume(all(share == 0 or round(share * total) > 0 for share in (low, high)))
    fewer, more = (plant(black(total), dot, prevalence, generator(seed)) for prevalence in (low, high))
    assert bearing(fewer) <= bearing(more)
    both = sorted(bearing(fewer))
    assert torch.equal(fewer[both], more[both])


def test_prevalence_0_is_a_copy_and_1_marks_all(dot):
    images = black(9)
    copy = plant(images, dot, 0, generator())
    assert torch.equal(copy, images)
    assert copy.data_ptr() != images.data_ptr()
    assert len(bearing(plant(images, dot, 1, generator()))) == 9


def test_the_originals_stay_as_they_were(dot):
    images = black(9)
    plant(images, dot, 1, generator())
    assert not images.any()


def test_which_images_bear_it_depends_on_the_generator_only(dot):
    one = bearing(plant(black(40), dot, 0.5, generator(1)))
    assert bearing(plant(black(40) + 1 - 1, dot, 0.5, generator(1))) == one
    assert bearing(plant(black(40), dot, 0.5, generator(2))) != one
    assert one != set(range(20)), "not simply the first"


@settings(deadline=None)
@given(st.integers(1, 2000))
def test_a_share_that_rounds_to_no_image_is_refused_with_one_that_works(dot, total):
    with pytest.raises(InputError) as error:
        plant(black(total), dot, 0.4 / total, generator())
    message = str(error.value)
    assert f"of {total} images plants the artifact on none" in message
    enough = float(message.rsplit(" ", 1)[1])
    assert len(bearing(plant(black(total), dot, enough, generator()))) == 1


def test_planting_on_no_images_is_refused(dot):
    with pytest.raises(InputError, match="of 0 images"):
        plant(black(0), dot, 1, generator())
    assert len(plant(black(0), dot, 0, generator())) == 0


@pytest.mark.parametrize("count", [0, 1, 300])
def test_what_has_no_place_is_planted_without_a_mask(count):
    images = torch.full((count, 1, 4, 4), 100, dtype=torch.uint8)
    probe = PROBES["brightness"](factor=1.5)
    marked, mask = mark_all(images, probe, generator())
    assert mask is None
    assert (marked == 150).all()
    planted = plant(images, probe, 1 if count else 0, generator())
    assert torch.equal(planted, marked)


def test_planted_images_look_like_marked_ones():
    images = torch.randint(0, 256, (6, 3, 64, 64), generator=generator(5), dtype=torch.uint8)
    probe = PROBES["watermark"](jitter=0)
    everywhere = plant(images, probe, 1, generator())
    assert torch.equal(everywhere, mark_all(images, probe, generator())[0])


@pytest.mark.parametrize(
    ("images", "prevalence", "count"), [(10, 0.5, 5), (10, 0, 0), (10, 1, 10), (20, 0.03, 1), (0, 0, 0)]
)
def test_so_many_images_are_planted_by_hand(images, prevalence, count):
    assert planted_count(images, prevalence) == count


@pytest.mark.parametrize("prevalence", [-0.1, 1.1])
def test_what_is_no_share_is_refused(prevalence):
    with pytest.raises(InputError, match=r"it is a share and must be in \[0, 1\]"):
        planted_count(10, prevalence)


# As an edit of the training set


@pytest.mark.parametrize("side", SIDES)
def test_one_side_is_planted_and_the_other_left_as_it_is(training, dot, side):
    before = training()
    changed = Plant("dot", (side,), 0.5).apply(before, {"dot": dot}, 0)
    (other,) = set(SIDES) - {side}
    assert changed.of(other) is before.of(other)
    different = (changed.of(side).images != before.of(side).images).flatten(1).any(dim=1)
    assert different.sum() == len(before.of(side)) / 2
    assert changed.of(side).names == before.of(side).names
    assert changed.of(side).masks is before.of(side).masks
    assert changed.of(side).digest is None, "no digest of other pixels is kept"


def test_both_sides_get_the_same_share_each_with_draws_of_its_own(training, dot):
    before = training({"nominal": 40, "anomalous": 40})
    changed = Plant("dot", SIDES, 0.5).apply(before, {"dot": dot}, 0)
    different = {
        side: (changed.of(side).images != before.of(side).images).any(dim=1).flatten(1) for side in SIDES
    }
    bearing = {side: pixels.any(dim=1) for side, pixels in different.items()}
    assert [int(one.sum()) for one in bearing.values()] == [20, 20]
    assert not torch.equal(bearing["nominal"], bearing["anomalous"])
    assert all((pixels.sum(dim=1) <= 1).all() for pixels in different.values()), "a dot each"


def test_what_the_first_side_gets_does_not_depend_on_whether_there_is_a_second(training, dot):
    before = training()
    one, both = (Plant("dot", sides, 0.5).apply(before, {"dot": dot}, 7) for sides in (("nominal",), SIDES))
    assert torch.equal(one.nominal.images, both.nominal.images)


def test_the_artifact_is_the_one_of_that_name(training, dot):
    before = training()
    artifacts = {"dot": dot, "frame": PROBES["frame"]()}
    changed = Plant("frame", ("nominal",), 1).apply(before, artifacts, 0)
    assert (changed.nominal.images[..., 0] != before.nominal.images[..., 0]).any(dim=(1, 2)).all()
    with pytest.raises(KeyError, match="bars"):
        Plant("bars", ("nominal",), 1).apply(before, artifacts, 0)


def test_twins_of_a_seed_bear_it_on_the_same_images_at_a_lower_prevalence(training, dot):
    before = training({"nominal": 40, "anomalous": 6})
    fewer, more = (
        (
            Plant("dot", ("nominal",), share).apply(before, {"dot": dot}, 3).nominal.images
            != before.nominal.images
        )
        .flatten(1)
        .any(dim=1)
        for share in (0.25, 0.5)
    )
    assert (int(fewer.sum()), int(more.sum())) == (10, 20)
    assert not (fewer & ~more).any()
