"""Pasted windows: scores made by hand, whose answer is known, and the level where there is nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.discovery.pasted import scored_images, search
from fcdd_audit.discovery.plan import Plan
from fcdd_audit.discovery.standing import APART
from fcdd_audit.discovery.windows import Window

SIDE = 32
SMALL = Plan(chosen_on=2, estimated_on=3, places=6, donors=60, own=40, permutations=199)


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(count, seed=0, channels=3, side=SIDE):
    """Grey noise images, uint8."""
    values = rng(seed).integers(90, 160, (count, 1, side, side)).repeat(channels, axis=1)
    return torch.from_numpy(values.astype(np.uint8))


def with_squares(images, every=5, side=8, seed=9):
    """Red squares on every fifth image, at random places; and where they are, (N, 2), -1 where none is."""
    marked, places = images.clone(), np.full((len(images), 2), -1)
    for index in range(0, len(images), every):
        top, left = rng([seed, index]).integers(0, images.shape[-1] - side + 1, 2)
        marked[index, :, top : top + side, left : left + side] = torch.tensor([255, 0, 0], dtype=torch.uint8)[
            :, None, None
        ]
        places[index] = top, left
    return marked, places


def redness(x):
    """Fires on red: its share of the image, and a little of the image's brightness."""
    red = (x[:, 0] > 0.9) & (x[:, 1] < 0.1)
    return red.float().mean(dim=(1, 2)) + x.mean(dim=(1, 2, 3))


def red_mean(x):
    """Mean of the red channel in the upper left quarter."""
    return x[:, 0, : SIDE // 2, : SIDE // 2].mean(dim=(1, 2))


def nothing(x):
    """A score of noise: a hash of the image's pixels, in [0, 1)."""
    weights = torch.from_numpy(rng(3).normal(size=x[0].numel())).float()
    return (x.flatten(1) @ weights * 1e4) % 1


# What is found


@pytest.fixture(scope="module")
def squares():
    """A search where a fifth of the donors bear a red square, and where they bear it."""
    donors, places = with_squares(noise(60))
    return search(redness, donors, noise(80, seed=1), rng(), SMALL), places


def test_what_raises_the_score_is_found_where_it_is(squares):
    found, places = squares
    assert [one.direction for one in found.candidates()] == ["raises"]
    assert found.raises.p == pytest.approx(2 / 200)
    assert found.raises.apart > APART
    first = found.raises.donors[:12]
    assert {one.image for one in first} == set(range(0, 60, 5))
    for one in first:
        top, left = places[one.image]
        assert one.window.top < top + 8
        assert top < one.window.top + one.window.side
        assert one.window.left < left + 8
        assert left < one.window.left + one.window.side


def test_what_lowers_the_score_is_found_as_such():
    donors, _ = with_squares(noise(60))
    found = search(lambda x: -redness(x), donors, noise(80, seed=1), rng(), SMALL)
    assert [one.direction for one in found.candidates()] == ["lowers"]
    assert found.lowers.donors[0].estimated < -1
    assert found.lowers.donors[0].strength > 0


def test_an_effect_is_in_iqr_less_what_own_windows_do_there():
    """Donors of one level of red, receivers of others: a half window in the corner sets the quarter."""
    levels = torch.linspace(0.2, 0.4, 60)[:, None, None, None]
    receiving = levels.expand(60, 3, SIDE, SIDE).contiguous()
    donors = torch.full((60, 3, SIDE, SIDE), 0.9)
    plan = replace(SMALL, parts=(2,), fewest=5, places=5, chosen_on=5, estimated_on=5)
    found = search(red_mean, donors, receiving, rng(), plan)
    best = found.raises.donors[0]
    assert best.window == Window(0, 0, 16)
    own = 0.3  # the mean of own windows
    assert best.estimated == pytest.approx((0.9 - own) / found.iqr, rel=0.1)
    assert found.iqr == pytest.approx(0.1, abs=0.02)


def test_the_donors_windows_and_effects_are_listed_once_each(squares):
    found, _ = squares
    for one in (found.raises, found.lowers):
        assert sorted(donor.image for donor in one.donors) == list(range(60))
        strengths = [donor.strength for donor in one.donors]
        assert strengths == sorted(strengths, reverse=True)
        assert all(donor.unit == donor.image for donor in one.donors)


def test_the_first_group_is_what_looks_alike():
    """On images of many colours, where a window's other pixels are no likeness."""

    def coloured(count, seed):
        colours = torch.from_numpy(rng(seed).integers(-60, 60, (count, 3, 1, 1)))
        return (noise(count, seed).int() + colours).to(torch.uint8)

    donors, _ = with_squares(coloured(60, 2), side=12)
    found = search(redness, donors, coloured(80, 3), rng(), SMALL)
    groups = found.raises.groups()
    assert sum(map(len, groups)) == SMALL.shown
    red = {donor.image for donor in groups[0]}
    assert red <= set(range(0, 60, 5))
    assert len(red) >= 6, "but for those of which the window has only an edge"
    assert {donor.likeness for donor in groups[0]} == {0}


def test_a_group_of_near_copies_is_one_unit_and_none_is_on_both_sides():
    donors, _ = with_squares(noise(60))
    receiving = noise(80, seed=1)
    groups = np.arange(60) // 2
    found = search(redness, donors, receiving, rng(), SMALL, groups, np.arange(80) + 25)
    assert found.units == 30
    assert sorted(one.unit for one in found.raises.donors) == list(range(30))
    assert all(groups[one.image] == one.unit for one in found.raises.donors)
    assert found.own == min(40, 80 - 5 - SMALL.taken), "five receiving images are copies of donors"


def test_the_same_generator_gives_the_same_search(squares):
    found, _ = squares
    donors, _ = with_squares(noise(60))
    assert search(redness, donors, noise(80, seed=1), rng(), SMALL) == found
    assert search(redness, donors.float() / 255, noise(80, seed=1), rng(), SMALL) == found
    assert search(redness, donors, noise(80, seed=1), rng(1), SMALL) != found


@pytest.mark.parametrize("channels", [1, 3])
def test_the_count_stated_up_front_is_what_is_scored(channels):
    told = []
    found = search(
        lambda x: x.mean(dim=(1, 2, 3)),
        noise(30, channels=channels),
        noise(80, 1, channels),
        rng(),
        SMALL,
        advance=told.append,
    )
    stated = scored_images(30, 80, SIDE, SIDE, SMALL)
    assert found.scored == sum(told) == stated
    assert max(told) <= SMALL.batch


def test_the_default_costs_what_was_planned():
    assert scored_images(200, 200, 64, 64) < 50_000


def test_a_score_of_noise_gives_uniform_p_and_no_candidate():
    plan = replace(SMALL, donors=30, own=30, parts=(2,), permutations=99)
    values, candidates = [], 0
    for seed in range(60):
        images = noise(100, seed=100 + seed)
        found = search(nothing, images[:30], images[30:], rng(seed), plan)
        values += [found.raises.p, found.lowers.p]
        candidates += len(found.candidates())
    values = np.array(values)
    assert candidates <= 2
    assert (values <= 0.05).mean() < 0.1
    # p is twice that of its direction: half of all are 1, the others uniform.
    assert (values == 1).mean() == pytest.approx(0.5, abs=0.15)
    assert np.quantile(values, 0.25) == pytest.approx(0.5, abs=0.2)


def test_what_all_donors_show_is_no_candidate():
    """The sides differ in brightness, and the score is brightness: an honest detector."""
    brighter = (noise(60).int() + torch.from_numpy(rng(5).integers(10, 60, (60, 1, 1, 1)))).to(torch.uint8)
    found = search(lambda x: x.mean(dim=(1, 2, 3)), brighter, noise(80, seed=1), rng(), SMALL)
    assert not found.candidates()
    assert found.raises.donors[0].estimated > 1


# Bad input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"donors": noise(5)}, "there are 5 different donor images, and .* takes 20"),
        ({"receiving": noise(30)}, "there are 30 different receiving images, and .* takes 31"),
        ({"donors": noise(60, side=16)}, "must have one shape"),
        ({"donors": noise(60, channels=2)}, "C 1 or 3"),
        ({"donors": noise(60)[0]}, "must be \\(N, C, H, W\\)"),
        ({"donors": noise(60).int()}, "must be uint8, or float"),
        ({"donors": noise(60).float()}, "outside \\[0, 1\\]"),
        ({"score": lambda x: x.mean(dim=(2, 3))}, "gives values of shape"),
        ({"score": lambda x: torch.zeros(len(x))}, "half of the receiving scores are equal"),
        ({"donor_groups": np.arange(60)}, "for one side only"),
        ({"donor_groups": np.arange(5), "receiving_groups": np.arange(80)}, "must be 60 whole numbers"),
        ({"donor_groups": np.ones(60), "receiving_groups": np.arange(80)}, "must be 60 whole numbers"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(change, words):
    given = {"score": redness, "donors": noise(60), "receiving": noise(80), "rng": rng(), "plan": SMALL}
    with pytest.raises(InputError, match=words) as error:
        search(**{**given, **change})
    assert "\n" not in str(error.value)


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(RunError, match="aren't finite"):
        search(lambda x: x.mean(dim=(1, 2, 3)) / 0, noise(60), noise(80), rng(), SMALL)
