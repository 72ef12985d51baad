"""Candidates from pasted windows, in a discovery with a detector's scores."""

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.discover import Search, discover
from fcdd_audit.images.sets import ImageSet
from tests.discovery.marks import scenes

BRIGHT = 250


def dotted(images, bearers, seed=0):
    """White squares at places of their own."""
    generator = torch.Generator().manual_seed(seed)
    found = (images.float() * 0.7).byte()
    for place in bearers:
        top, left = torch.randint(0, 24, (2,), generator=generator).tolist()
        found[place, :, top : top + 8, left : left + 8] = 255
    return found


def named(images, side):
    return ImageSet(images, tuple(f"{side}/{place}.png" for place in range(len(images))))


@pytest.fixture(scope="module")
def sides():
    return {
        "nominal": named(dotted(scenes(90, seed=1), []), "nominal"),
        "anomalous": named(dotted(scenes(90, seed=2), range(30)), "anomalous"),
    }


def white(x):
    """A score of how much is white."""
    return (x > BRIGHT / 255).float().mean(dim=(1, 2, 3)) + 0.001 * x.mean(dim=(1, 2, 3))


def test_what_raises_a_score_is_a_candidate_with_the_images_that_have_it(sides):
    told = []
    found = discover(
        sides, Search(19, sensitivity=False), score=white, advance=lambda done, of: told.append((done, of))
    )
    (best,) = [one for one in found.candidates if one.kind == "pasted"]
    assert best.null == "exchanged"
    assert best.p <= 0.05
    assert (best.evidence["direction"], best.evidence["side"]) == ("raises", "anomalous")
    assert best.evidence["effect"] > 0
    bearers = set(sides["anomalous"].names[:30])
    assert len(set(best.bearers) & bearers) >= 0.8 * len(best.bearers) > 0
    assert told[-1][0] == told[-1][1]


def test_a_score_that_squares_do_not_move_has_no_candidate(sides):
    found = discover(sides, Search(19, sensitivity=False), score=lambda x: x.clamp(0, 0.3).std(dim=(1, 2, 3)))
    assert not [one for one in found.candidates if one.kind == "pasted" and one.p <= 0.05]


def test_pasting_takes_two_sides(sides):
    with pytest.raises(InputError, match="there is no other than 'images'; give at least 24 images of both"):
        discover({"images": sides["nominal"]}, score=white)
