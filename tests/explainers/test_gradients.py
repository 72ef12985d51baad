import pytest
import torch
from captum.attr import GuidedBackprop
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import build
from fcdd_audit.detectors.receptive import ReceptiveField
from fcdd_audit.explainers import EXPLAINERS, make_explainer

RECTIFIED = [("gradient", 5.0), ("guided-backprop", 3.0)]


def image(*rows):
    return torch.tensor(rows)[None, None]


@pytest.mark.parametrize(("name", "expected"), RECTIFIED)
def test_guiding_stops_what_lowers_the_score(name, expected, explain, tiny):
    # Two units, x and 2x, both on; the score is 3 of the first less 4 of the second: 3 - 8 = -5. Guided: 3.
    detector = tiny.Model(tiny.convolution([[1.0], [2.0]]), nn.ReLU(), tiny.convolution([[3.0, -4.0]]))
    assert explain(name, detector, image([0.5, 1.0])).tolist() == [[[[expected, expected]]]]


def test_a_leaky_rectifier_is_guided_too_and_leaks_only_what_raises_the_score(explain, tiny):
    # Units x (on), -x (off, slope 0.1), both weigh 2; then a third, 2x, weighs -4 and is stopped.
    detector = tiny.Model(
        tiny.convolution([[1.0], [-1.0], [2.0]]), nn.LeakyReLU(0.1), tiny.convolution([[2.0, 2.0, -4.0]])
    )
    heat = explain("guided-backprop", detector, image([1.0]))
    assert heat.item() == pytest.approx(2 * 1 + 2 * 0.1 * -1)


def test_guided_backprop_is_captums_where_there_are_plain_rectifiers_only(explain, tiny):
    torch.manual_seed(0)
    detector = tiny.Model(
        nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 2), nn.ReLU(), nn.Conv2d(4, 1, 1)
    )
    x = torch.rand(3, 2, 8, 8)
    with pytest.warns(UserWarning, match="hooks"):
        theirs = GuidedBackprop(detector).attribute(x.clone().requires_grad_())
    torch.testing.assert_close(explain("guided-backprop", detector, x), theirs.abs().sum(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("layers", "reason"), [([nn.Sigmoid()], "no module"), ([nn.ReLU(inplace=True)], "in place")]
)
def test_what_cant_be_guided_says_why(layers, reason, tiny):
    assert reason in EXPLAINERS["guided-backprop"]().unavailable(tiny.Model(*layers))


def test_smooth_grad_of_a_plane_is_its_slope(explain, tiny):
    slope = image([1.0, -2.0, 3.0])
    detector = tiny.Formula(lambda x: (x * slope).sum(dim=(1, 2, 3)))
    torch.testing.assert_close(
        explain("smooth-grad", detector, torch.rand(2, 1, 1, 3)), slope.abs().expand(2, 1, 1, 3)
    )


def test_smooth_grad_of_a_square_is_the_gradient_at_the_mean_of_the_noisy_copies(explain, tiny):
    detector = tiny.Formula(lambda x: x.square().sum(dim=(1, 2, 3)))
    x = torch.full((1, 1, 100, 100), 0.9)
    # 2 (x + noise): around 2x with a spread of 2 * noise, over the root of the number of copies.
    for samples, noise in ((1, 0.1), (16, 0.1), (4, 0.2)):
        heat = explain("smooth-grad", detector, x, samples=samples, noise=noise)
        assert heat.mean().item() == pytest.approx(1.8, abs=0.02)
        assert heat.std().item() == pytest.approx(2 * noise / samples**0.5, rel=0.05)


def test_smooth_grad_is_the_size_of_the_mean_gradient_and_not_the_mean_size(explain, tiny):
    # The gradient of |x| around 0 is +1 or -1, as the noise falls: of two copies 0 or 1, never always 1.
    detector = tiny.Formula(lambda x: x.abs().sum(dim=(1, 2, 3)))
    heat = explain("smooth-grad", detector, torch.zeros(1, 1, 10, 10), samples=2)
    assert set(heat.unique().tolist()) == {0.0, 1.0}


def test_smooth_grad_draws_from_its_generator_and_leaves_torchs_own(explain, noise):
    detector, x = build("fcdd", noise, 0).eval(), noise[:2].float() / 255
    state = torch.get_rng_state()
    first, again, other = (explain("smooth-grad", detector, x, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_blurred_gradient_spreads_a_pixel_by_the_gaussian(explain, tiny):
    detector = tiny.Formula(lambda x: 3 * x[:, 0, 2, 2])
    detector.map_field = ReceptiveField(size=3, stride=4)
    heat = explain("blurred-gradient", detector, torch.rand(1, 1, 5, 5), sigma=1.0)
    beside = torch.exp(torch.tensor(-0.5)).item()
    share = torch.tensor([0, beside, 1, beside, 0]) / (1 + 2 * beside)  # cut at the field of 3
    torch.testing.assert_close(heat[0, 0], 3 * share[:, None] * share)


def test_the_blur_is_as_wide_as_fccds_map_by_default(explain, tiny):
    detector = tiny.Formula(lambda x: x[:, 0, 8, 8])
    detector.map_field = ReceptiveField(size=15, stride=5)
    x = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(
        explain("blurred-gradient", detector, x), explain("blurred-gradient", detector, x, sigma=2.0)
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("smooth-grad", {"samples": 0}),
        ("smooth-grad", {"noise": 0.0}),
        ("smooth-grad", {"sample": 3}),
        ("blurred-gradient", {"sigma": 0.0}),
        ("blurred-gradient", {"sigma": "wide"}),
        ("gradient", {"sigma": 1.0}),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options):
    with pytest.raises(InputError):
        make_explainer(name, {name: options})
