"""Windows of images, and pasting them."""

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.discovery.windows import Window, paste, windows_of


def test_windows_of_a_quarter_are_on_every_second_place_and_those_of_a_half_on_all():
    windows = windows_of(64, 64)
    assert len(windows) == 25 + 9
    assert {one.side for one in windows} == {16, 32}
    assert windows[:3] == (Window(0, 0, 16), Window(0, 16, 16), Window(0, 32, 16))
    assert Window(8, 8, 16) in windows
    assert Window(8, 0, 16) not in windows
    assert Window(16, 32, 32) in windows


def test_windows_stay_inside_and_leave_little_out():
    for height, width in ((32, 32), (28, 28), (48, 64), (37, 51)):
        covered = torch.zeros(height, width, dtype=torch.bool)
        for one in windows_of(height, width):
            covered[one.top : one.top + one.side, one.left : one.left + one.side] = True
            assert one.top + one.side <= height
            assert one.left + one.side <= width
        assert covered.float().mean() > 0.8


def test_a_window_needs_pixels():
    with pytest.raises(InputError, match="a window of 1/20 of images of 32x32 px has under 2 px a side"):
        windows_of(32, 32, (20,))


def test_paste_puts_each_window_at_its_place_on_each_receiver():
    donors, receivers = (
        torch.tensor([1.0, 2.0])[:, None, None, None] * torch.ones(1, 1, 4, 4),
        torch.zeros(3, 1, 4, 4),
    )
    images = paste(donors, receivers, Window(1, 2, 2))
    assert images.shape == (6, 1, 4, 4)
    expected = torch.zeros(4, 4)
    expected[1:3, 2:4] = 1
    assert torch.equal(images[2, 0], expected)
    assert torch.equal(images[3, 0], 2 * expected)
    assert not receivers.any()
