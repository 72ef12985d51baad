import time

import pytest
import torch
from torch import nn

from fcdd_audit.detectors import build
from fcdd_audit.explainers import make_explainer
from fcdd_audit.explainers.cost import MEGABYTE, cost

CPU = torch.device("cpu")
MATRIX = 4 * 1000 * 1000 / MEGABYTE  # 1000 x 1000 float32


def megabytes(call):
    return pytest.approx(cost(call, CPU).megabytes, abs=0.001)


def test_a_tensor_that_is_freed_makes_room_for_the_next():
    def call():
        first = torch.ones(1000, 1000)
        second = first + 1
        del first
        return second * 2

    assert megabytes(call) == 2 * MATRIX


def test_two_tensors_alive_at_once_count_both():
    def call():
        first = torch.ones(1000, 1000)
        second = torch.zeros(1000, 1000)
        return first, second

    assert megabytes(call) == 2 * MATRIX


def test_tensors_one_after_the_other_count_once():
    def call():
        for _ in range(5):
            one = torch.ones(1000, 1000)
            del one

    assert megabytes(call) == MATRIX


def test_the_place_of_what_was_freed_may_be_taken_by_what_counts():
    def call():
        small = [torch.ones(2) for _ in range(50)]
        del small
        return [torch.ones(200, 100) for _ in range(50)]

    assert megabytes(call) == MATRIX


def test_the_peak_counts_not_the_end():
    def call():
        parts = [torch.ones(1000, 1000) for _ in range(3)]
        del parts
        return torch.ones(1000, 1000)

    assert megabytes(call) == 3 * MATRIX


def test_what_was_made_before_is_not_counted_again_after_it_was_freed():
    kept = [torch.ones(1000, 1000)]

    def call():
        other = torch.ones(1000, 1000)
        kept.clear()
        return other

    assert megabytes(call) == MATRIX


def test_views_and_changes_in_place_need_no_memory():
    def call():
        one = torch.ones(1000, 1000)
        one.add_(1)
        return one.t(), one.view(-1)[::2], one[:10]

    assert megabytes(call) == MATRIX


def test_bytes_follow_the_type():
    assert megabytes(lambda: torch.ones(1000, 1000, dtype=torch.float64)) == 2 * MATRIX
    assert megabytes(lambda: torch.ones(1000, 1000, dtype=torch.uint8)) == MATRIX / 4


def test_weights_and_inputs_are_not_counted():
    layer, x = nn.Linear(1000, 1000), torch.ones(1, 1000)
    with torch.no_grad():
        assert megabytes(lambda: layer(x)) == 1000 * 4 / MEGABYTE  # the output


def test_gradients_are_counted():
    x = torch.ones(1000, 1000, requires_grad=True)

    def call():
        (gradient,) = torch.autograd.grad((x * x).sum(), x)
        return gradient

    assert cost(call, CPU).megabytes >= 2 * MATRIX  # the square, or its factors, and the gradient


def test_memory_after_a_tensor_that_no_operation_made_is_counted():
    def call():
        small = [torch.tensor([1.0, 2.0]) for _ in range(50)]
        del small
        return [torch.ones(200, 100) for _ in range(50)]

    assert megabytes(call) == MATRIX


def test_costs_of_several_calls_do_not_add_up():
    def call():
        return torch.ones(1000, 1000)

    assert [cost(call, CPU).megabytes for _ in range(3)] == pytest.approx([MATRIX] * 3)


def test_an_explainer_costs_at_least_its_map(noise):
    detector, explainer = build("fcdd", noise, 0).eval(), make_explainer("gradient", {})
    x = noise.float() / 255
    spent = cost(lambda: explainer.explain(detector, x, torch.Generator()), CPU)
    assert spent.megabytes > 4 * x.numel() / MEGABYTE
    assert spent.seconds > 0


def test_seconds_are_those_of_one_call():
    naps = iter([0.05, 1.0])  # the second is for the memory
    spent = cost(lambda: time.sleep(next(naps)), CPU)
    assert 0.05 <= spent.seconds < 1
    assert spent.megabytes == 0


def test_it_is_called_twice_and_its_error_goes_through():
    calls = []
    cost(lambda: calls.append(1), CPU)
    assert len(calls) == 2
    with pytest.raises(ZeroDivisionError):
        cost(lambda: 1 / 0, CPU)
    assert torch.ones(2).sum() == 2, "torch works as before"
