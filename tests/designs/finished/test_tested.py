"""The test images of a finished detector: with the artifact, and with placebos in its place."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fcdd_audit.core.errors import InputError
from fcdd_audit.designs.finished.tested import (
    ARTIFACT,
    ELSEWHERE,
    TRIED,
    found_sides,
    planted_sides,
    spread,
)
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.natural.removal import inpaint
from fcdd_audit.probes import PROBES
from fcdd_audit.probes.placebos import kinds

PLACEBOS = 8
CHECKER = PROBES["patch"](size=0.5, jitter=0.0)


@pytest.fixture(scope="module")
def sides(image_set):
    return {"nominal": image_set(6), "anomalous": image_set(5, seed=1)}


@pytest.fixture(scope="module")
def planted(sides):
    return planted_sides(CHECKER, sides, PLACEBOS)


# Which images


@pytest.mark.parametrize(
    ("images", "most", "places"),
    [(1, 100, [0]), (4, 100, [0, 2, 1, 3]), (4, 4, [0, 2, 1, 3]), (9, 3, [0, 8, 4]), (10, 2, [0, 9])],
)
def test_images_are_evenly_spread(images, most, places):
    assert spread(images, most).tolist() == places


@given(st.integers(2, 2000), st.integers(2, 300))
def test_spread_images_differ_and_reach_from_the_first_to_the_last(images, most):
    places = sorted(spread(images, most).tolist())
    assert len(set(places)) == len(places) == min(images, most)
    assert (places[0], places[-1]) == (0, images - 1)
    gaps = np.diff(places)
    assert gaps.max() - gaps.min() <= 1


@given(st.integers(2, 2000), st.integers(2, 300), st.floats(0, 1))
def test_the_first_of_the_spread_images_are_spread_over_all(images, most, part):
    """Of them so many as are explained: in each quarter there are about as many as in any other."""
    places = spread(images, most).numpy()
    first = places[: max(1, round(part * len(places)))]
    counts = np.histogram(first, 4, (0, images))[0]
    even = np.histogram(places, 4, (0, images))[0] * len(first) / len(places)
    assert abs(counts - even).max() <= 3


def test_placebos_are_tried_on_some_of_many_images(image_set):
    many = planted_sides(CHECKER, {"nominal": image_set(250), "anomalous": image_set(5)}, PLACEBOS)
    assert len(many["nominal"].tried) == TRIED
    assert len(many["nominal"].pairs) == 250
    first = next(many["nominal"].marks())
    assert len(first.images) == len(first.mask) == TRIED


# What is planted


def test_all_test_images_are_marked_and_paired(planted, sides):
    assert list(planted) == ["nominal", "anomalous"]
    for side, one in planted.items():
        assert (one.side, one.found, one.why_none) == (side, False, None)
        assert one.pairs.names == sides[side].names
        clean, marked, mask = one.pairs.variants["clean"], one.pairs.variants["marked"], one.pairs.mask
        assert torch.equal(clean, sides[side].images)
        assert mask.flatten(1).sum(dim=1).tolist() == [64] * len(clean)
        assert torch.equal(clean[~mask.expand_as(clean)], marked[~mask.expand_as(marked)])
        assert sorted(one.tried.tolist()) == list(range(len(clean))), "so few are all tried"
        assert torch.equal(one.images("clean"), clean[one.tried].float() / 255)


def test_the_artifact_comes_first_and_then_each_kind_of_placebo(planted):
    for one in planted.values():
        assert one.kinds == kinds(PLACEBOS)
        artifact, *others = one.marks()
        assert [mark.kind for mark in (artifact, *others)] == [ARTIFACT, *one.kinds]
        # Nothing is jittered, so that it lies where it lies on the marked images.
        torch.testing.assert_close(artifact.images, one.images("marked"))
        for mark in others:
            assert torch.equal(mark.mask, artifact.mask)
            outside = ~mark.mask
            assert torch.equal(mark.images[outside], artifact.images[outside])
            assert not torch.equal(mark.images, artifact.images)


def test_marks_are_the_same_each_time_and_like_stored_pixels(planted, sides):
    again = planted_sides(CHECKER, sides, PLACEBOS)
    for side, one in planted.items():
        for mark, other in zip(one.marks(), again[side].marks(), strict=True):
            assert torch.equal(mark.images, other.images)
            assert torch.equal((mark.images * 255).round() / 255, mark.images)


def test_a_placebo_is_the_same_mark_on_both_sides(planted):
    nominal, anomalous = (list(one.marks()) for one in planted.values())
    for one, other, kind in zip(nominal, anomalous, (ARTIFACT, *kinds(PLACEBOS)), strict=True):
        if kind != "donor":
            inside = [mark.images[0][mark.mask[0]] for mark in (one, other)]
            torch.testing.assert_close(*inside)


def test_true_masks_go_along(image_set):
    truth = torch.zeros(5, 1, 16, 16, dtype=torch.bool)
    truth[:, :, 12:] = True
    one = planted_sides(CHECKER, {"nominal": image_set(4), "anomalous": image_set(5, masks=truth)}, 4)
    assert torch.equal(one["anomalous"].pairs.mask_of("clean"), truth)


def test_its_likeness_to_placebos_is_told(planted):
    for one in planted.values():
        assert 0 <= one.likeness <= 0.5
        assert one.blend is not None


class TwoPixels:
    """A black and a white pixel, which can only be swapped."""

    def apply(self, x, generator):
        marked, mask = x.clone(), torch.zeros_like(x[:, :1], dtype=torch.bool)
        marked[..., 3, 3:5] = torch.tensor([0.0, 1.0])
        mask[..., 3, 3:5] = True
        return marked, mask


@pytest.mark.parametrize(
    ("probe", "said", "weakened"),
    [
        (PROBES["jpeg"](), "Jpeg has no mask, so there is no place", False),
        (PROBES["blur"](), "has no mask", False),
        (TwoPixels(), "placebos come out like the artifact itself (correlation 1.00)", True),
        (PROBES["patch"](pattern="plain", colour="#808080"), "has hardly another form", True),
    ],
)
def test_where_none_can_be_made_it_is_said_why(sides, probe, said, weakened):
    for one in planted_sides(probe, sides, PLACEBOS).values():
        assert said in one.why_none
        assert "\n" not in one.why_none
        assert (one.kinds, list(one.marks())) == ((), [])
        assert (one.blend is not None) == weakened, "whether it has a dose"
        assert len(one.pairs) > 0, "it is tested all the same"


def test_a_plain_patch_has_placebos(sides):
    for one in planted_sides(PROBES["patch"](pattern="plain"), sides, PLACEBOS).values():
        assert (one.why_none, one.likeness, len(one.kinds)) == (None, 0, PLACEBOS)


def test_an_artifact_that_does_not_fit_is_refused(sides):
    with pytest.raises(InputError, match="doesn't fit on images of 16x16"):
        planted_sides(PROBES["watermark"](size=0.1), sides, PLACEBOS)


# What was found


@pytest.fixture(scope="module")
def found(image_set):
    """A bright square on three of six nominal images, and on no anomalous one."""
    pairs = {}
    for side, count in (("nominal", 6), ("anomalous", 4)):
        images, mask = image_set(count).images.clone(), torch.zeros(count, 1, 16, 16, dtype=torch.bool)
        if side == "nominal":
            mask[1:4, :, 2:5, 2:5] = True
            images[mask] = 250
        variants = {"clean": inpaint(images, mask), "marked": images}
        pairs[side] = Pairs(side, tuple(map(str, range(count))), variants, mask)
    return pairs


def test_only_images_that_bear_it_are_tested_and_only_sides_with_some(found):
    sides = found_sides(found, 5)
    assert list(sides) == ["nominal"]
    one = sides["nominal"]
    assert one.pairs.names == ("1", "2", "3")
    assert (one.found, one.kinds, one.blend, one.why_none) == (True, (ELSEWHERE,) * 5, None, None)
    assert np.isnan(one.likeness)


def test_the_artifact_is_taken_off_and_placebos_are_as_much_taken_off_elsewhere(found):
    one = found_sides(found, 5)["nominal"]
    artifact, *others = one.marks()
    assert torch.equal(artifact.images, one.images("clean"))
    assert torch.equal(artifact.mask, one.pairs.mask)
    places = set()
    for mark in others:
        assert mark.mask.sum() == artifact.mask.sum()
        assert not (mark.mask & artifact.mask).any()
        assert torch.equal(mark.images[~mark.mask], one.images("marked")[~mark.mask])
        assert (mark.images[mark.mask] != one.images("marked")[mark.mask]).any()
        places.add(mark.mask.numpy().tobytes())
    assert len(places) == 5
    again = [mark.mask for mark in found_sides(found, 5)["nominal"].marks()]
    assert all(torch.equal(mark.mask, other) for mark, other in zip([artifact, *others], again, strict=True))


def test_elsewhere_is_not_on_a_true_anomaly(found):
    truth = torch.zeros(6, 1, 16, 16, dtype=torch.bool)
    truth[:, :, 8:] = True
    one = found_sides({"nominal": replace(found["nominal"], masks={"clean": truth})}, 8)["nominal"]
    for mark in list(one.marks())[1:]:
        assert not (mark.mask & truth[:3]).any()
