"""Hand-drawn: B is black, a dot the image itself."""

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.probes import PROBES, make_probe
from fcdd_audit.probes.discs import Disc

GREY = 0.25


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(probe, height, width=None, seed=0):
    """The first image as text, after a check that the mask is what isn't the image."""
    x = torch.full((1, 1, height, width or height), GREY)
    marked, mask = probe.apply(x, generator(seed))
    assert torch.equal(mask, marked != GREY)
    signs = {0.0: "B", GREY: "."}
    return ["".join(signs[value] for value in row) for row in marked[0, 0].tolist()]


def middles(mask):
    """Rows and columns of the discs' middles, each (N,)."""
    where = mask[:, 0].float()
    return [
        (where.sum(dim=other) * torch.arange(where.shape[axis])).sum(dim=1) / where.sum(dim=(1, 2))
        for axis, other in ((1, 2), (2, 1))
    ]


def test_a_disc_is_round():
    # Diameter 6: pixels whose middle is at most 3 px away.
    assert drawn(Disc(colour="black", size=0.5, jitter=0), 12) == [
        "............",
        "............",
        "............",
        "....BBBB....",
        "...BBBBBB...",
        "...BBBBBB...",
        "...BBBBBB...",
        "...BBBBBB...",
        "....BBBB....",
        "............",
        "............",
        "............",
    ]


def test_the_smallest_disc_has_three_pixels_across():
    assert drawn(Disc(colour="black", size=0.01, jitter=0), 5) == [
        ".....",
        ".BBB.",
        ".BBB.",
        ".BBB.",
        ".....",
    ]


def test_its_size_is_a_share_of_the_shorter_side():
    _, mask = Disc(size=0.25).apply(torch.rand(4, 3, 40, 80, generator=generator()), generator())
    for axis in (2, 3):
        assert (mask.any(dim=axis).sum(dim=(1, 2)) == 10).all()


def test_a_disc_lies_anywhere_on_the_image_and_always_whole():
    _, mask = Disc(size=0.2).apply(torch.zeros(2000, 1, 20, 30), generator())
    assert (mask.sum(dim=(1, 2, 3)) == mask[0].sum()).all(), "whole"
    rows, columns = middles(mask)
    assert sorted(rows.unique().tolist()) == pytest.approx([1.5 + place for place in range(17)])
    assert sorted(columns.unique().tolist()) == pytest.approx([1.5 + place for place in range(27)])
    counts = torch.bincount((rows - 1.5).round().long())
    assert counts.min() > 70, "as often at one place as at another: 2000 / 17 are 118"


def test_jitter_is_the_largest_distance_from_the_middle():
    _, mask = Disc(size=0.2, jitter=0.1).apply(torch.zeros(500, 1, 20, 40), generator())
    rows, columns = middles(mask)
    assert (rows.min(), rows.max()) == (9.5 - 2, 9.5 + 2)
    assert (columns.min(), columns.max()) == (19.5 - 4, 19.5 + 4)


def test_opacity_mixes_the_colour_in():
    x = torch.full((1, 3, 16, 16), 0.5)
    marked, mask = Disc(colour="red", opacity=0.4, jitter=0).apply(x, generator())
    inside = marked.movedim(1, -1)[mask[:, 0]]
    torch.testing.assert_close(inside, torch.tensor([0.7, 0.3, 0.3]).expand_as(inside))


def test_a_whole_disc_fills_the_image_but_for_its_corners():
    _, mask = Disc(size=1.0).apply(torch.zeros(1, 1, 32, 32), generator())
    assert mask.float().mean().item() == pytest.approx(torch.pi / 4, abs=0.01)


def test_it_can_be_named():
    assert make_probe("disc", {"disc": {"colour": "blue", "size": 0.3}}) == Disc(colour="blue", size=0.3)
    assert "disc" in PROBES


@pytest.mark.parametrize("option", ["size", "opacity"])
@pytest.mark.parametrize("value", [0, 1.01])
def test_a_disc_that_is_none_is_refused(option, value):
    with pytest.raises(InputError, match=rf"disc {option} is {value}; it must be in \(0, 1\]"):
        Disc(**{option: value})
