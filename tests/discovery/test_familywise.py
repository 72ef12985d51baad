"""How sure a repeated content is: the level where nothing repeats, and the p of a mark."""

import numpy as np
import pytest

from fcdd_audit.discovery.familywise import coins, strongest
from fcdd_audit.discovery.repeats import View, compare
from tests.discovery.marks import scenes, stamped

SHAPES = ((8, 8), (8, 20))


def searched(images, seed=0, draws=99, gone=()):
    view = View("image", images, images.flip(-1))
    families = [compare(view, "gradient", shape) for shape in SHAPES]
    signs = coins(len(images), draws, np.random.default_rng(seed))
    left_out = np.isin(np.arange(len(images)), list(gone))
    return strongest(families, [signs] * len(families), [left_out] * len(families))


def test_the_first_search_mirrors_nothing_and_the_others_half_of_all():
    signs = coins(200, 50, np.random.default_rng(0))
    assert signs.shape == (51, 200)
    assert not signs[0].any()
    assert signs[1:].mean() == pytest.approx(0.5, abs=0.02)


def test_a_mark_is_sure_and_without_its_bearers_nothing_is():
    images = stamped(scenes(40, seed=3), range(12))
    found = searched(images)
    assert found.p <= 0.05
    assert set(found.bearers.tolist()) <= set(range(12))
    assert searched(images, gone=range(12)).p > 0.05


def test_a_symmetric_mark_is_not_called_sure():
    """Mirrored it is the same, and so are the null searches."""
    images = scenes(40, seed=4)
    images[:20, :, 4:12, 12:20] = 255
    images[:20, :, 6:10, 14:18] = 0
    assert searched(images).p > 0.05


def test_where_nothing_repeats_p_is_no_smaller_than_chance():
    """Of 60 sets of scenes, p <= 0.1 in 6 on average: more than 13 has a chance of 0.2 %."""
    values = [searched(scenes(16, seed=seed), seed, draws=19).p for seed in range(60)]
    assert np.mean(np.array(values) <= 0.1) <= 13 / 60
    assert min(values) >= 1 / 20
