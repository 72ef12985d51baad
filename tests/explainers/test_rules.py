import pytest
import torch
from torch import nn

from fcdd_audit.detectors import DETECTORS, Detector, build
from fcdd_audit.explainers import EXPLAINERS
from fcdd_audit.explainers.baselines import baseline
from fcdd_audit.explainers.rules import DeepLiftMap, LRPMap


class Stack(Detector):
    """A detector of two pixels that is a stack of layers; every output is its own share of the score."""

    def __init__(self, *layers):
        nn.Module.__init__(self)
        self.stack = nn.Sequential(*layers)

    @property
    def layers(self):
        return self.stack

    def shares(self, outputs):
        return outputs

    def normalise(self, x):
        return x

    def score(self, x):
        return self.shares(self.outputs(x)).flatten(1).sum(dim=1)

    def loss(self, x, label, mask=None):
        raise NotImplementedError

    def chords(self, after, before):
        return torch.ones_like(after)


class Squares(Stack):
    def shares(self, outputs):
        return outputs.square()

    def chords(self, after, before):
        return after + before


X = torch.tensor([[[[0.5, 1.0]]]])


def test_relevance_is_shared_out_by_what_each_pixel_put_in(tiny):
    # Units 2*0.5 - 1 = 0 and 0.5 + 1 = 1.5; the score is 3 of the first and 2 of the second: 0 and 3.
    detector = Stack(
        nn.Flatten(), tiny.linear([[2.0, -1.0], [1.0, 1.0]]), nn.ReLU(), tiny.linear([[3.0, 2.0]])
    )
    found = LRPMap().contributions(detector, X)
    torch.testing.assert_close(found, torch.tensor([[[[3 * 0.5 / 1.5, 3 * 1 / 1.5]]]]))


def test_negative_relevance_stays_negative_in_the_map(tiny, explain):
    detector = Stack(nn.Flatten(), tiny.linear([[4.0, -1.0]]))  # 2 - 1 = 1, of which 2 and -1
    torch.testing.assert_close(LRPMap().contributions(detector, X), torch.tensor([[[[2.0, -1.0]]]]))
    torch.testing.assert_close(explain("lrp", detector, X), torch.tensor([[[[2.0, -1.0]]]]))


def test_a_bias_keeps_its_part_of_the_relevance(tiny):
    detector = Stack(nn.Flatten(), tiny.linear([[4.0, 1.0]], [5.0]))  # 2 + 1 + 5
    torch.testing.assert_close(LRPMap().contributions(detector, X), torch.tensor([[[[2.0, 1.0]]]]))


def test_relevance_starts_with_the_outputs_shares_and_not_with_the_outputs(tiny):
    # Outputs 1 and -1.5, shares 1 and 2.25: each goes to its pixel.
    detector = Squares(nn.Flatten(), tiny.linear([[2.0, 0.0], [0.0, -1.5]]))
    torch.testing.assert_close(LRPMap().contributions(detector, X), torch.tensor([[[[1.0, 2.25]]]]))


@pytest.mark.parametrize("name", ["fcdd", "hsc"])
def test_relevance_of_a_network_without_biases_adds_up_to_the_score(name, noise):
    detector = build(name, noise, 0).eval()
    for key, weight in detector.named_parameters():
        if key.endswith("bias"):
            weight.data.zero_()
    x = noise[:3].float() / 255
    torch.testing.assert_close(
        LRPMap().contributions(detector, x).sum(dim=(1, 2, 3)), detector.score(x), rtol=1e-3, atol=1e-6
    )


def test_the_centre_of_deep_svdd_keeps_its_part_like_a_bias(tiny):
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    detector = build("dsvdd", images, 0, {"dimensions": 1}).eval()
    weights = torch.zeros(1, 64)
    weights[0, 18:20] = torch.tensor([2.0, 1.0])
    detector.features = nn.Sequential(nn.Identity())
    detector.embed = nn.Sequential(nn.Flatten(), tiny.linear(weights.tolist()))
    detector.mean.fill_(0)
    detector.std.fill_(1)
    detector.centre.fill_(0.5)
    x = torch.zeros(1, 1, 8, 8)
    x[..., 2, 2:4] = X
    # 2 * 0.5 + 1 - 0.5 = 1.5 from the centre, squared 2.25: each of the pixels put in 1 of the 1.5.
    expected = torch.zeros(1, 1, 8, 8)
    expected[..., 2, 2:4] = 2.25 / 1.5
    torch.testing.assert_close(LRPMap().contributions(detector, x), expected)


def test_the_centre_of_deep_svdd_counts_as_a_bias(noise):
    detector = build("dsvdd", noise, 0).eval()
    detector.start(noise)
    x = detector.normalise(noise[:3].float() / 255)
    torch.testing.assert_close(detector.outputs(x), detector.embed(detector.features(x)) - detector.centre)


def test_captum_leaves_neither_rules_nor_hooks(noise):
    for name in ("deep-lift", "lrp"):
        detector = build("hsc", noise, 0).eval()
        EXPLAINERS[name]().explain(detector, noise[:2].float() / 255, torch.Generator())
        for module in detector.modules():
            assert not hasattr(module, "rule")
            assert not module._forward_hooks
            assert not module._backward_hooks
            assert not module._forward_pre_hooks


def test_deep_lift_crosses_a_rectifier_by_its_difference_and_not_by_its_slope(tiny, explain):
    # Unit 4 (a - 0.7) goes from 0.2 to 0 as a falls from the mean, 0.75, to 0.5, where its slope is 0.
    detector = Stack(nn.Flatten(), tiny.linear([[4.0, 0.0]], [-2.8]), nn.ReLU(), tiny.linear([[-1.0]]))
    torch.testing.assert_close(DeepLiftMap().contributions(detector, X), torch.tensor([[[[0.2, 0.0]]]]))
    torch.testing.assert_close(explain("deep-lift", detector, X), torch.tensor([[[[0.2, 0.0]]]]))


def test_deep_lift_of_what_lowers_the_score_is_negative(tiny, explain):
    # 4a - b against black: 2 and -1.
    detector = Stack(nn.Flatten(), tiny.linear([[4.0, -1.0]]))
    found = explain("deep-lift", detector, X, baseline="black")
    torch.testing.assert_close(found, torch.tensor([[[[2.0, -1.0]]]]))


def test_maps_by_rules_are_contributions_summed_over_channels(tiny, explain):
    # Channels a, b of one pixel: 3a - 2b; 1.5 - 2 at (0.5, 1).
    detector = Stack(nn.Flatten(), tiny.linear([[3.0, -2.0]]))
    pixel = X.reshape(1, 2, 1, 1)
    for name, options in (("lrp", {}), ("deep-lift", {"baseline": "black"})):
        torch.testing.assert_close(explain(name, detector, pixel, **options), torch.tensor([[[[-0.5]]]]))


def test_deep_lift_follows_a_rectifier_with_a_pooling_through_both(tiny):
    # Units 6a and 2 - b: 3 and 1 of the image, 0 and 2 of black. The maximum rises from 2 to 3, by the first
    # unit, which rises by 3: a third of its rise counts. (By the bare gradient of the maximum all would.)
    detector = Stack(
        nn.Flatten(),
        tiny.linear([[6.0, 0.0], [0.0, -1.0]], [0.0, 2.0]),
        nn.ReLU(),
        nn.Unflatten(1, (1, 1, 2)),
        nn.LeakyReLU(),
        nn.MaxPool2d((1, 2)),
    )
    found = DeepLiftMap(baseline="black").contributions(detector, X)
    torch.testing.assert_close(found, torch.tensor([[[[1.0, 0.0]]]]))


def test_deep_lift_goes_through_the_last_norm_by_its_difference_too(tiny):
    # Outputs a and 2b against 0: shares a^2 and 4 b^2.
    detector = Squares(nn.Flatten(), tiny.linear([[1.0, 0.0], [0.0, 2.0]]))
    found = DeepLiftMap(baseline="black").contributions(detector, X)
    torch.testing.assert_close(found, torch.tensor([[[[0.25, 4.0]]]]))


@pytest.mark.parametrize("name", list(DETECTORS))
def test_contributions_add_up_to_the_difference_from_the_empty_image(name, noise):
    detector = build(name, noise, 0).eval()
    detector.start(noise)
    x = noise[:4].float() / 255
    difference = detector.score(x) - detector.score(baseline(x, "mean"))
    found = DeepLiftMap().contributions(detector, x).sum(dim=(1, 2, 3))
    torch.testing.assert_close(found, difference.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", list(DETECTORS))
def test_shares_add_up_to_the_score(name, noise):
    detector = build(name, noise, 0).eval()
    detector.start(noise)
    x = noise[:5].float() / 255
    shares = detector.shares(detector.outputs(detector.normalise(x)))
    torch.testing.assert_close(shares.flatten(1).sum(dim=1), detector.score(x))


@pytest.mark.parametrize("name", list(DETECTORS))
def test_chords_make_changes_of_the_outputs_add_up_to_that_of_the_score(name, noise):
    detector = build(name, noise, 0).eval()
    detector.start(noise)
    x = noise[:10].float() / 255
    after, before = detector.outputs(detector.normalise(x)).split(5)
    change = (detector.chords(after, before) * (after - before)).flatten(1).sum(dim=1)
    score = detector.score(x)
    torch.testing.assert_close(change, score[:5] - score[5:], rtol=1e-3, atol=1e-6)


def test_what_rules_dont_cover_says_why(noise, tiny):
    assert "one stack" in LRPMap().unavailable(build("ae", noise, 0))
    assert "no rule for its GELU" in LRPMap().unavailable(Stack(nn.Conv2d(1, 1, 1), nn.GELU()))
    assert "no rule for its GELU" in DeepLiftMap().unavailable(Stack(nn.Conv2d(1, 1, 1), nn.GELU()))
    for explainer in (LRPMap(), DeepLiftMap()):
        assert "outputs contribute" in explainer.unavailable(tiny.Model(nn.Conv2d(1, 1, 1)))
        with pytest.raises(ValueError, match="outputs contribute"):
            explainer.contributions(tiny.Model(nn.Conv2d(1, 1, 1)), X)


def test_shares_and_chords_of_outputs_that_nobody_knows_arent_enough():
    class Mute(Stack):
        layers = None

    detector = Mute(nn.Flatten())
    for explainer in (LRPMap(), DeepLiftMap()):
        assert "outputs contribute" in explainer.unavailable(detector)
        with pytest.raises(ValueError, match="outputs contribute"):
            explainer.explain(detector, X, torch.Generator())
