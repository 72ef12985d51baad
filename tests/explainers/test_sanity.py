import pytest
import torch
from torch import nn

from fcdd_audit.detectors import build
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


def layers(model):
    return [module for module in model.modules() if isinstance(module, DRAWN)]


@pytest.mark.parametrize("name", ["fcdd", "hsc", "dsvdd", "ae"])
def test_both_end_at_the_first_layer_and_have_a_copy_a_layer(noise, name):
    detector = build(name, noise, 0)
    count = len(layers(detector))
    *_, last = whole = list(cascade(detector, torch.Generator()))
    *_, first = single = list(one_by_one(detector, torch.Generator()))
    assert len(whole) == len(single) == count
    assert changed(detector, last) == [True] * count
    assert changed(detector, first) == [True] + [False] * (count - 1)


def test_the_first_copies_of_both_are_the_same(noise):
    detector = build("fcdd", noise, 0)
    first, other = (
        next(copies(detector, torch.Generator().manual_seed(1))) for copies in (cascade, one_by_one)
    )
    for name, value in first.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_other_generators_draw_other_weights_and_torchs_seed_does_not_matter(noise):
    detector = build("fcdd", noise, 0)

    def drawn(seed):
        *_, last = cascade(detector, torch.Generator().manual_seed(seed))
        return weights(last)

    torch.manual_seed(1)
    first = drawn(3)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(3), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, drawn(4), strict=True))


def test_copies_share_no_weights_with_each_other_or_the_detector(noise):
    detector = build("fcdd", noise, 0)
    for copies in (cascade, one_by_one):
        models = [detector, *copies(detector, torch.Generator())]
        places = [weight.data_ptr() for model in models for weight in model.state_dict().values()]
        assert len(set(places)) == len(places)


def test_biases_are_redrawn_too_and_by_the_layers_own_rule():
    torch.manual_seed(0)
    layer = nn.Linear(400, 100)
    nn.init.constant_(layer.weight, 9)
    nn.init.constant_(layer.bias, 9)
    (copy,) = one_by_one(nn.Sequential(layer), torch.Generator())
    for values in copy.state_dict().values():
        assert values.abs().max() <= 1 / 20  # 1 / sqrt(400)
        assert float(values.std()) == pytest.approx(1 / 20 / 3**0.5, rel=0.2)


def test_training_mode_and_gradients_of_the_copies_are_as_before(noise):
    detector = build("fcdd", noise, 0).eval()
    for parameter in detector.parameters():
        parameter.requires_grad_(False)
    for copy in (*cascade(detector, torch.Generator()), *one_by_one(detector, torch.Generator())):
        assert not copy.training
        assert not any(parameter.requires_grad for parameter in copy.parameters())
