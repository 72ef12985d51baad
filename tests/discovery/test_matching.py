"""Which images bear it: the template of a few, and all that resemble it."""

import numpy as np
import pytest
import torch

from fcdd_audit import InputError
from fcdd_audit.discovery.matching import bearing, fit, read_template
from fcdd_audit.discovery.repeats import View, Window
from tests.discovery.marks import scenes, stamped

WINDOW = Window(2, 2, 8, 8, False)


@pytest.mark.parametrize("field", ["gradient", "whitened"])
def test_from_a_few_bearers_all_are_found_and_no_other(field):
    images = stamped(scenes(60), range(20))
    template, found = fit(View("image", images, images.flip(-1)), field, WINDOW, np.arange(4))
    assert found.tolist() == list(range(20))
    others = stamped(scenes(30, seed=5), [3, 7])
    assert np.flatnonzero(bearing(others, template)).tolist() == [3, 7]


def test_a_mirrored_window_is_one_of_the_mirrored_images():
    images = stamped(scenes(60), range(20), left=22)
    window = Window(2, 2, 8, 8, True)
    template, found = fit(View("image", images, images.flip(-1)), "gradient", window, np.arange(4))
    assert found.tolist() == list(range(20))
    assert np.flatnonzero(bearing(images, template)).tolist() == list(range(20))
    assert not bearing(images.flip(-1), template).any(), "there the mark lies elsewhere"


@pytest.mark.parametrize("field", ["gradient", "whitened"])
def test_a_template_is_read_as_it_was_written(field, tmp_path):
    images = stamped(scenes(60), range(20))
    template, _ = fit(View("image", images, images.flip(-1)), field, WINDOW, np.arange(4))
    np.savez(tmp_path / "template.npz", **template.arrays())
    again = read_template(tmp_path / "template.npz")
    assert (again.window, again.moves, again.limit, again.side) == (WINDOW, (-1, 0, 1), template.limit, 32)
    assert np.array_equal(bearing(images, again), bearing(images, template))


@pytest.mark.parametrize(
    "change",
    [
        {"field": np.array("other")},
        {"vector": None},
        {"vector": np.zeros(7, np.float32)},
        {"window.top": np.array(30)},
        {"window.height": np.array(0)},
        {"moves": np.array([], int)},
        {"side": np.array(0)},
    ],
)
def test_a_damaged_template_is_named(change, tmp_path):
    images = stamped(scenes(60), range(20))
    template, _ = fit(View("image", images, images.flip(-1)), "gradient", WINDOW, np.arange(4))
    arrays = {name: one for name, one in (template.arrays() | change).items() if one is not None}
    np.savez(tmp_path / "template.npz", **arrays)
    with pytest.raises(InputError, match=r"template\.npz' can't be read"):
        read_template(tmp_path / "template.npz")
    whole = (tmp_path / "template.npz").read_bytes()
    for content in (b"none", b"", whole[: len(whole) // 2]):
        (tmp_path / "template.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"template\.npz' can't be read"):
            read_template(tmp_path / "template.npz")


def test_marks_may_be_moved_by_a_pixel():
    images = scenes(40)
    for place in range(12):
        images = stamped(images, [place], top=2 + place % 3 - 1, left=2 + place // 3 % 3 - 1)
    _, found = fit(View("image", images, images.flip(-1)), "gradient", WINDOW, np.arange(12))
    assert set(range(12)) <= set(found.tolist())


def test_a_window_outside_is_refused():
    images = scenes(4)
    with pytest.raises(ValueError, match="isn't inside the images"):
        fit(View("image", images, images.flip(-1)), "gradient", Window(28, 0, 8, 8, False), np.arange(2))


def test_what_has_nothing_in_common_makes_no_bearers_of_the_others():
    images = scenes(60, seed=8)
    template, _ = fit(View("image", images, images.flip(-1)), "gradient", WINDOW, np.arange(5))
    assert bearing(scenes(200, seed=9), template).mean() < 0.05
    assert torch.isclose(template.vector.norm(), torch.tensor(1.0))
