import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import build
from fcdd_audit.detectors.receptive import upsample
from fcdd_audit.explainers import make_explainer


@pytest.mark.parametrize("name", ["grad-cam", "grad-cam-no-relu"])
def test_another_layer_gives_its_own_map(name, explain, noise):
    detector, x = build("fcdd", noise, 0).eval(), noise[:2].float() / 255
    default, early = explain(name, detector, x), explain(name, detector, x, layer="features.2")
    assert early.shape == default.shape
    assert not torch.equal(early, default)
    assert torch.equal(default, explain(name, detector, x, layer="features.10"))  # the last activation


def test_a_layers_map_is_its_activations_weighted_by_their_mean_gradient(explain, noise):
    detector, x = build("hsc", noise, 0).eval(), noise[:2].float() / 255
    passed, rest = detector.features[:3], detector.features[3:]
    activations = passed(detector.normalise(x)).detach().requires_grad_()
    score = detector.shares(detector.embed(rest(activations))).sum()
    weights = torch.autograd.grad(score, activations)[0].mean(dim=(2, 3), keepdim=True)
    coarse = (weights * activations).sum(dim=1, keepdim=True).detach()
    grain = make_explainer("grad-cam", {"grad-cam": {"layer": "features.2"}}).grain(detector, 16)
    assert (grain.size, grain.stride) == (3, 1)
    for name, signed in (("grad-cam", coarse.clamp_min(0)), ("grad-cam-no-relu", coarse.abs())):
        expected = upsample(signed, grain, (16, 16), 0.4)
        torch.testing.assert_close(
            explain(name, detector, x, layer="features.2"), expected, rtol=1e-3, atol=1e-8
        )


@pytest.mark.parametrize(
    ("name", "layer", "expected"),
    # Units 2a - 1 of the two pixels: -0.5 and 1. The score's gradient there is 0 and 3/2, in the mean 3/4.
    # Behind the rectifier, where units are 0 and 1, it is 3/2 twice.
    [
        ("grad-cam", "features.0", [0.0, 0.75]),
        ("grad-cam-no-relu", "features.0", [0.375, 0.75]),
        ("grad-cam", "features.1", [0.0, 1.5]),
        ("grad-cam-no-relu", "features.1", [0.0, 1.5]),
    ],
)
def test_the_layer_is_the_one_that_is_named(name, layer, expected, explain, tiny):
    features = nn.Sequential(tiny.convolution([[2.0]], [-1.0]), nn.ReLU(), tiny.convolution([[3.0]]))
    detector = tiny.Formula(lambda x: features(x).mean(dim=(1, 2, 3)))
    detector.features = features
    heat = explain(name, detector, torch.tensor([[[[0.25, 1.0]]]]), layer=layer)
    torch.testing.assert_close(heat, torch.tensor([[[expected]]]))


def test_the_layer_behind_one_that_stands_twice_is_the_one_that_is_named(tiny, explain):
    first, second, rectifier = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2), nn.ReLU()

    def detector(one, other):
        features = nn.Sequential(first, one, nn.Sequential(second, other), nn.Sigmoid())
        made = tiny.Formula(lambda x: features(x).square().mean(dim=(1, 2, 3)))
        made.features = features
        return made

    twice, apart = detector(rectifier, rectifier), detector(nn.ReLU(), nn.ReLU())
    x = torch.rand(2, 1, 12, 12)
    for layer, size, stride in (("features.0", 3, 1), ("features.2.0", 5, 2), ("features.3", 5, 2)):
        explainer = make_explainer("grad-cam-no-relu", {"grad-cam-no-relu": {"layer": layer}})
        assert explainer.unavailable(twice) is None
        assert (explainer.grain(twice, 12).size, explainer.grain(twice, 12).stride) == (size, stride)
        maps = [explain("grad-cam-no-relu", one, x, layer=layer) for one in (twice, apart)]
        torch.testing.assert_close(*maps)
    for layer in ("features.1", "features.2.1"):  # one module: its hook can't tell the places apart
        explainer = make_explainer("grad-cam", {"grad-cam": {"layer": layer}})
        assert "more than one place" in explainer.unavailable(twice)
        assert explainer.unavailable(apart) is None


def test_a_layer_that_runs_again_behind_the_features_is_refused(tiny, explain):
    rectifier = nn.ReLU()
    features = nn.Sequential(nn.Conv2d(1, 1, 3), rectifier)
    detector = tiny.Formula(lambda x: rectifier(features(x)[:, :, ::2, ::2] - 0.1).mean(dim=(1, 2, 3)))
    detector.features = features
    x = torch.rand(2, 1, 12, 12)
    with pytest.raises(InputError, match="more than once"):
        explain("grad-cam", detector, x, layer="features.1")
    assert explain("grad-cam", detector, x, layer="features.0").shape == x.shape


def test_a_layer_whose_field_is_not_known_cant_be_looked_at(tiny):
    detector = tiny.Formula(lambda x: x.mean(dim=(1, 2, 3)))
    detector.features = nn.Sequential(nn.Conv2d(1, 1, (3, 1)), nn.ReLU())
    explainer = make_explainer("grad-cam", {"grad-cam": {"layer": "features.1"}})
    assert "isn't square" in explainer.unavailable(detector)


@pytest.mark.parametrize("options", [{"layer": 2}, {"layers": "features.2"}])
def test_a_layer_has_a_name(options):
    with pytest.raises(InputError, match="layer"):
        make_explainer("grad-cam", {"grad-cam": options})


def test_an_unknown_layer_is_answered_with_the_known_ones(noise, tiny):
    explainer = make_explainer("grad-cam", {"grad-cam": {"layer": "features.99"}})
    reason = explainer.unavailable(build("fcdd", noise, 0))
    assert "features.99" in reason
    assert "features.2" in reason
    assert "no features" in explainer.unavailable(tiny.Formula(lambda x: x.sum(dim=(1, 2, 3))))
