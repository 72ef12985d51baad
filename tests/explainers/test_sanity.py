import torch
from torch import nn

from fcdd_audit.detectors import build
from fcdd_audit.explainers.cost import cost
from fcdd_audit.explainers.sanity import DRAWN, cascade, one_by_one


def weights(detector):
    return [module.weight.clone() for module in detector.modules() if isinstance(module, DRAWN)]


def changed(detector, copy):
    return [not torch.equal(a, b) for a, b in zip(weights(detector), weights(copy), strict=True)]


def test_the_cascade_redraws_from_the_last_layer_on(noise):
    detector = build("fcdd", noise, 0)
    found = [changed(detector, copy) for copy in cascade(detector, torch.Generator())]
    assert found == [[place >= 4 - depth for place in range(4)] for depth in range(1, 5)]


def test_a_cascade_keeps_what_it_has_redrawn(noise):
    first, second, *_ = cascade(build("fcdd", noise, 0), torch.Generator())
    assert torch.equal(first.head.weight, second.head.weight)


def test_one_by_one_redraws_a_single_layer(noise):
    detector = build("hsc", noise, 0)
    found = [changed(detector, copy) for copy in one_by_one(detector, torch.Generator())]
    assert found == [[place == 3 - copy for place in range(4)] for copy in range(4)]


def test_redrawing_keeps_batch_norm_the_detector_and_torchs_own_stream(noise):
    detector = build("fcdd", noise, 0)
    before, state = weights(detector), torch.get_rng_state()
    *_, last = cascade(detector, torch.Generator().manual_seed(3))
    *_, again = cascade(detector, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(weights(last), weights(again), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(weights(detector), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    norms = [[m for m in one.modules() if isinstance(m, nn.BatchNorm2d)] for one in (detector, last)]
    for mine, copied in zip(*norms, strict=True):
        assert torch.equal(mine.running_var, copied.running_var)
        assert torch.equal(mine.weight, copied.weight)


def test_memory_is_of_the_tensors_alive_at_once():
    def call():
        first = torch.ones(512, 512)  # 1 MiB
        second = first + 1
        del first
        return second * 2

    assert cost(call, torch.device("cpu")).megabytes == 2


def test_what_was_there_before_costs_nothing():
    given = torch.ones(512, 512)
    assert cost(lambda: given.view(-1)[:10] + 1, torch.device("cpu")).megabytes < 0.001
