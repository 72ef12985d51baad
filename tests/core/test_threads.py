"""How many threads torch uses."""

import time

import pytest
import torch

from fcdd_audit.core.threads import SHORT, one_if_short, single


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("seconds", "within"), [(0, 1), (SHORT + 0.02, 2)])
def test_short_passes_get_one_thread_and_long_ones_keep_theirs(threads, seconds, within):
    with one_if_short(lambda: time.sleep(seconds)):
        assert torch.get_num_threads() == within
    assert torch.get_num_threads() == 2


def test_the_first_pass_only_warms_up(threads):
    waits, used = [SHORT + 0.02, 0], []

    def once():
        used.append(torch.get_num_threads())
        time.sleep(waits[len(used) - 1])

    with one_if_short(once):
        assert torch.get_num_threads() == 1
    assert used == [1, 1]


def test_threads_come_back_after_an_error(threads):
    with pytest.raises(ZeroDivisionError), one_if_short(lambda: None):
        _ = 1 / 0
    assert torch.get_num_threads() == 2


def test_threads_come_back_if_the_pass_itself_fails(threads):
    with pytest.raises(ZeroDivisionError), one_if_short(lambda: 1 / 0):
        raise AssertionError("it isn't entered")
    assert torch.get_num_threads() == 2


def test_one_thread_for_each_operation():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with single() as threads:
            assert (threads, torch.get_num_threads()) == (2, 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
