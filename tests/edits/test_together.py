"""Several artifacts are planted at once, each independently of the others."""

import pytest
import torch

from fcdd_audit.core.sides import SIDES
from fcdd_audit.edits.base import in_words
from fcdd_audit.edits.together import Together

COUNTS = {"nominal": 40, "anomalous": 40}


class Row:
    """Fills a row of pixels with one value; what it draws moves its generator on."""

    placed = True

    def __init__(self, row, value, draws):
        self.row, self.value, self.draws = row, value, draws

    def apply(self, x, generator):
        torch.rand(self.draws, generator=generator)
        mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
        mask[:, :, self.row] = True
        return torch.where(mask, torch.full_like(x, self.value), x), mask


ROWS = {"top": Row(0, 1.0, 3), "low": Row(11, 1.0, 50), "over": Row(0, 0.0, 1)}  # 255, 255 and 0 of 255


def bearing(part, row, value=255):
    return (part.images[:, :, row] == value).flatten(1).all(dim=1)


def planted(training, *plants, seed=0):
    return Together(plants).apply(training(COUNTS), ROWS, seed)


def test_which_images_bear_one_does_not_depend_on_what_else_is_planted(training):
    top, low = ("top", ("anomalous",), 0.5), ("low", ("anomalous",), 0.25)
    both, turned, alone = (planted(training, *plants) for plants in ((top, low), (low, top), (top,)))
    first = bearing(both.anomalous, 0)
    assert first.sum() == 20
    for other in (turned, alone):
        assert torch.equal(bearing(other.anomalous, 0), first)
    assert torch.equal(
        planted(training, top, ("low", SIDES, 1.0)).anomalous.images[:, :, 0], both.anomalous.images[:, :, 0]
    )
    assert not bearing(alone.anomalous, 11).any()
    assert torch.equal(both.nominal.images, training(COUNTS).nominal.images), "the other side is left alone"


def test_each_is_drawn_by_itself(training):
    both = planted(training, *((name, SIDES, 0.5) for name in ("top", "low")))
    for side in SIDES:
        top, low = bearing(both.of(side), 0), bearing(both.of(side), 11)
        assert (int(top.sum()), int(low.sum())) == (20, 20)
        assert 0 < int((top & low).sum()) < 20, "some bear both, some one, some none"


def test_a_higher_share_of_one_adds_images_and_another_seed_takes_others(training):
    fewer, more, other = (
        bearing(planted(training, ("top", ("nominal",), share), ("low", SIDES, 0.5), seed=seed).nominal, 0)
        for share, seed in ((0.25, 3), (0.5, 3), (0.25, 4))
    )
    assert (int(fewer.sum()), int(more.sum())) == (10, 20)
    assert not (fewer & ~more).any()
    assert not torch.equal(fewer, other)


@pytest.mark.parametrize(("names", "value"), [(("top", "over"), 0), (("over", "top"), 255)])
def test_a_later_one_covers_an_earlier_one(training, names, value):
    both = planted(training, *((name, ("nominal",), 1.0) for name in names))
    assert bearing(both.nominal, 0, value).all()


def test_the_control_of_one_has_the_others_on_the_same_images(training):
    edit = Together((("top", ("nominal",), 0.5), ("low", ("nominal",), 0.5)))
    assert edit.artifacts == ("top", "low")
    assert edit.without("top") == Together((("low", ("nominal",), 0.5),))
    before = training(COUNTS)
    both, control = (one.apply(before, ROWS, 2).nominal.images for one in (edit, edit.without("top")))
    assert torch.equal(both[:, :, 1:], control[:, :, 1:])
    assert torch.equal(control[:, :, 0], before.nominal.images[:, :, 0])
    assert edit.without("top").without("low").apply(before, ROWS, 2) is before


def test_it_is_named_with_all_that_is_planted():
    edit = Together((("top", ("anomalous",), 0.2), ("low", SIDES, 1.0)))
    assert in_words(edit) == "together top anomalous 0.2, low nominal+anomalous 1"
