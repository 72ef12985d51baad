"""Candidates that are listed apart, without p."""

import pytest

from fcdd_audit.discovery.apart import SYMMETRIC, without
from fcdd_audit.discovery.candidates import Candidate, Share
from fcdd_audit.discovery.discover import QUICK, Search, discover
from fcdd_audit.images.sets import ImageSet
from tests.discovery.marks import scenes, stamped
from tests.discovery.test_symmetric import with_probe

SEARCH = Search(19, sensitivity=False, colour=False)
SIDE = 32


def named(images, side):
    return ImageSet(images, tuple(f"{side}/{place}.png" for place in range(len(images))))


@pytest.fixture(scope="module")
def sides():
    """A frame on images of both sides, and a mark in a corner of others on one of them."""
    nominal = stamped(scenes(60, SIDE, seed=1), range(30, 44), top=20, left=2, side=8)
    return {
        "nominal": named(with_probe(nominal, "frame", range(14)), "nominal"),
        "anomalous": named(with_probe(scenes(50, SIDE, seed=2), "frame", range(9)), "anomalous"),
    }


@pytest.fixture(scope="module")
def found(sides):
    return discover(sides, SEARCH)


def test_a_frame_is_listed_once_after_what_has_a_p_with_its_share_on_each_side(sides, found):
    (frame,) = [one for one in found.candidates if one.null == SYMMETRIC]
    assert (frame.kind, frame.p, frame.difference, frame.view) == ("repeated", None, None, "image")
    assert {side: (one.bearing, one.images) for side, one in frame.share.items()} == {
        "nominal": (14, 60),
        "anomalous": (9, 50),
    }
    assert set(frame.bearers) == {*sides["nominal"].names[:14], *sides["anomalous"].names[:9]}
    assert frame.box == (0, 0, 1, 1)
    assert frame.found.template is not None
    judged = [one for one in found.candidates if one.p is not None]
    assert found.candidates[len(judged)] is frame
    assert found.sure[0].bearers == sides["nominal"].names[30:44]
    assert frame not in found.sure


def test_nothing_changes_in_what_has_a_p(sides, found):
    """But that what is unsure and part of the frame is left out."""
    before = discover(sides, Search(19, sensitivity=False, colour=False, symmetric=False)).candidates
    kept = [one for one in found.candidates if one.p is not None]
    frames = {*sides["nominal"].names[:14], *sides["anomalous"].names[:9]}

    def plain(one):
        return {key: value for key, value in one.as_json().items() if key != "id"}

    expected = [
        one
        for one in before
        if one.p is not None and (one.p <= 0.05 or 2 * len(frames & {*one.bearers}) < len(one.bearers))
    ]
    assert [plain(one) for one in kept] == [plain(one) for one in expected]


def test_the_notes_say_whether_it_was_searched_for(sides, found):
    assert "its own mirror image (frames, borders, bars, fences) is listed apart" in " ".join(found.notes)
    quick = discover({"images": sides["anomalous"]}, QUICK)
    assert "was not searched for" in " ".join(quick.notes)
    assert all(one.null != SYMMETRIC for one in quick.candidates)


def test_a_part_of_what_is_listed_apart_is_left_out_only_if_it_is_not_beyond_chance():
    def one(p, *bearers):
        share = {"images": Share(len(bearers), 9)}
        return Candidate("", "repeated", bearers, share, "image", None, p, "mirrored")

    apart = [one(None, "a", "b", "c")]
    sure, part, other = one(0.01, "a", "b"), one(0.3, "a", "b", "x"), one(0.3, "x", "y", "a")
    assert without([sure, part, other], apart) == [sure, other]
    assert without([sure, part, other], []) == [sure, part, other]
