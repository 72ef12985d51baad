"""Discoveries from images to candidates."""

import numpy as np
import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.discover import FEWEST, QUICK, Search, discover
from fcdd_audit.discovery.sensitivity import BEARERS
from fcdd_audit.images.sets import ImageSet
from tests.discovery.marks import scenes, stamped

DRAWS = 99


def named(images, side):
    return ImageSet(images, tuple(f"{side}/{place}.png" for place in range(len(images))))


@pytest.fixture(scope="module")
def sides():
    nominal = stamped(scenes(50, seed=1), range(14), top=20, left=20)
    return {"nominal": named(nominal, "nominal"), "anomalous": named(scenes(40, seed=2), "anomalous")}


@pytest.fixture(scope="module")
def found(sides):
    return discover(sides, Search(DRAWS, sensitivity=False))


def test_a_mark_is_found_with_its_bearers_place_and_pixels(sides, found):
    best = found.candidates[0]
    assert (best.id, best.kind, best.null) == ("#1", "repeated", "mirrored")
    assert best.p <= 0.05
    assert found.sure == (best,)
    assert best.bearers == sides["nominal"].names[:14]
    assert {side: one.bearing for side, one in best.share.items()} == {"nominal": 14, "anomalous": 0}
    assert best.difference < 0.001
    np.testing.assert_allclose(np.array(best.box) * 32, (20, 20, 8, 8), atol=1.5)
    mark = best.found.mark
    true = sides["nominal"].images[0, 0, 20:28, 20:28].float() / 255
    top, left = 20 - mark.box[0], 20 - mark.box[1]
    drawn = (mark.colour * mark.alpha)[0, top : top + 8, left : left + 8]
    assert (drawn - true)[1:-1, 1:-1].abs().mean() < 0.1


def test_the_same_seed_gives_the_same_result(sides, found):
    again = discover(sides, Search(DRAWS, sensitivity=False))
    assert [one.as_json() for one in again.candidates] == [one.as_json() for one in found.candidates]


def test_progress_comes_to_its_end(sides):
    told = []
    discover({"images": sides["anomalous"]}, Search(19), advance=lambda done, of: told.append((done, of)))
    done, of = zip(*told, strict=True)
    assert list(done) == sorted(done)
    assert len(set(of)) == 1
    assert done[-1] == of[-1]


def test_marks_that_were_put_on_are_searched_for(sides):
    spiked = discover({"images": sides["anomalous"]}, Search(19)).spiked
    assert {one.bearers for one in spiked} <= {BEARERS}
    assert len({(one.mark, one.opacity) for one in spiked}) == len(spiked) > 0
    assert all(one.found == (one.p is not None and one.p <= 0.05) for one in spiked)


def test_near_copies_are_one_unit_and_a_candidate_of_their_own():
    images = scenes(40, seed=5)
    images[10:16] = images[10]
    found = discover({"images": named(images, "images")}, Search(19, sensitivity=False))
    (near,) = [one for one in found.candidates if one.kind == "near-copies"]
    assert near.bearers == tuple(f"images/{place}.png" for place in range(10, 16))
    assert near.p is None
    assert found.searched == {"images": 35}


def test_sides_that_were_made_differently_are_a_candidate_without_a_place(sides):
    dark = named((sides["anomalous"].images.float() * 0.5).byte(), "anomalous")
    found = discover({"nominal": sides["nominal"], "anomalous": dark}, Search(19, sensitivity=False))
    kinds = {one.kind: one for one in found.candidates}
    assert kinds["placeless"].box is None
    assert found.origin.status in ("warning", "note")


def test_too_few_images_are_refused():
    few = named(scenes(FEWEST - 1), "nominal")
    with pytest.raises(InputError, match=f"{FEWEST - 1} nominal images are too few"):
        discover({"nominal": few})


def test_of_many_images_some_are_searched_and_all_are_matched():
    images = stamped(scenes(90, seed=6), range(40))
    found = discover({"images": named(images, "images")}, Search(DRAWS, sample=48, sensitivity=False))
    assert found.searched == {"images": 48}
    assert len(set(found.candidates[0].bearers) & {f"images/{place}.png" for place in range(40)}) >= 38
    assert torch.equal(found.candidates[0].found.bearing[0], images[0])


def test_equal_images_are_near_copies_and_are_not_searched():
    found = discover({"images": named(scenes(1).repeat(30, 1, 1, 1), "images")}, Search(19))
    assert [one.kind for one in found.candidates] == ["near-copies"]
    assert (found.searched, found.spiked) == ({}, ())
    assert "Not searched for marks: images images" in " ".join(found.notes)


def test_a_mark_on_both_sides_is_one_candidate_without_a_difference():
    sides = {
        side: named(stamped(scenes(50, seed=seed), range(14)), side)
        for side, seed in (("nominal", 1), ("anomalous", 2))
    }
    found = discover(sides, Search(DRAWS, sensitivity=False))
    (mark,) = found.sure
    assert {side: one.bearing for side, one in mark.share.items()} == {"nominal": 14, "anomalous": 14}
    assert mark.difference == pytest.approx(1)


def test_large_images_are_reduced():
    found = discover(
        {"images": named(stamped(scenes(40, 128), range(12), side=32), "images")},
        Search(19, sensitivity=False),
    )
    assert "reduced to 96 px" in " ".join(found.notes)
    assert found.candidates[0].found.bearing.shape[2:] == (96, 96)


def test_a_quick_search_reduces_images_compares_brightness_and_says_so():
    images = {"images": named(stamped(scenes(60, 64), range(16), top=8, left=8, side=16), "images")}
    found = discover(images, QUICK)
    assert found.candidates[0].found.bearing.shape[2:] == (48, 48)
    assert set(found.candidates[0].bearers) == {f"images/{place}.png" for place in range(16)}
    said = " ".join(found.notes)
    assert "reduced to 48 px" in said
    assert "Brightness alone was compared" in said
    assert found.spiked == ()


def test_no_null_judges_what_repeats_in_crops_of_few_photographs():
    images = stamped(scenes(40, seed=5), range(14))
    images[20:26] = images[20]
    found = discover({"images": named(images, "images")}, Search(19, sensitivity=False, few_photographs=True))
    assert {one.kind for one in found.candidates} == {"repeated"}
    assert {one.p for one in found.candidates} == {None}
    assert found.candidates[0].null == "none: crops of few photographs repeat by nature"
    assert set(found.candidates[0].bearers) == {f"images/{place}.png" for place in range(14)}
    assert found.searched == {"images": 35}  # copies are one unit all the same
    assert "cut from few photographs" in " ".join(found.notes)


@pytest.mark.parametrize("given", [{"draws": 0}, {"sample": 5}, {"largest": 8}, {"draws": 1.5}])
def test_numbers_that_make_no_search_are_refused(given):
    with pytest.raises(InputError, match="it must be a whole number"):
        Search(**given)


def test_one_mark_at_two_places_is_one_candidate():
    """Every bearer has it at one of two places, three pixels apart."""
    images = stamped(scenes(120, seed=7), range(20), top=20, left=20)
    images = stamped(images, range(20, 40), top=20, left=17)
    found = discover({"images": named(images, "images")}, Search(DRAWS, sensitivity=False))
    (mark,) = found.sure
    bearers = {f"images/{place}.png" for place in range(40)}
    assert len(bearers & set(mark.bearers)) >= 38
    assert len(set(mark.bearers) - bearers) <= 1
    moves = mark.found.mark.moves[:, 1]
    assert int(moves.max() - moves.min()) == 3
