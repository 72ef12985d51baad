import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import DETECTORS, build
from fcdd_audit.detectors.receptive import ReceptiveField, upsample
from fcdd_audit.explainers import EXPLAINERS, make_explainer, raising

each_explainer = pytest.mark.parametrize("explainer", list(EXPLAINERS))
each_detector = pytest.mark.parametrize("name", list(DETECTORS))
BLIND = ["random", "edges", "center"]
DRAWN = ["random", "smooth-grad"]  # by the place in the batch


def explain(explainer, detector, x, seed=0):
    return EXPLAINERS[explainer]().explain(detector, x, torch.Generator().manual_seed(seed))


def built(explainer, name, noise, seed=0):
    """A detector that the explainer can work on, and images."""
    detector = build(name, noise, seed).eval()
    detector.start(noise)
    if EXPLAINERS[explainer]().unavailable(detector) is not None:
        pytest.skip(f"{name} has no {explainer} map")
    return detector, noise[:5].float() / 255


class Linear(nn.Module):
    """A user's own: the score is a weighted sum of the pixels of two channels."""

    weights = torch.tensor([[[1.0, -2.0], [0.0, 3.0]], [[-4.0, 0.5], [0.0, 1.0]]])

    def score(self, x):
        return (x * self.weights).sum(dim=(1, 2, 3))


class TwoFilters(nn.Module):
    """A user's own: two 1x1 filters give x and -2x; the score is up * mean(x) + down * mean(-2x)."""

    def __init__(self, up, down):
        super().__init__()
        self.cam_layer = nn.Conv2d(1, 2, 1, bias=False)
        self.cam_layer.weight.data = torch.tensor([1.0, -2.0]).reshape(2, 1, 1, 1)
        self.cam_field = ReceptiveField()
        self.outer = torch.tensor([up, down])

    def score(self, x):
        return self.cam_layer(x).mean(dim=(2, 3)) @ self.outer


class Peak:
    """Not even a module."""

    def score(self, x):
        return x.amax(dim=(1, 2, 3))


class Without(Peak):
    """Says that it has no gradients."""

    no_gradient = "its score has no gradient"


def test_a_model_that_names_why_it_has_no_gradients_is_left_to_what_needs_none():
    found = {name: EXPLAINERS[name]().unavailable(Without()) for name in EXPLAINERS}
    assert [name for name, reason in found.items() if reason == Without.no_gradient] == [
        *("grad-cam", "grad-cam-no-relu", "gradient", "blurred-gradient", "smooth-grad", "guided-backprop"),
        *("input-x-gradient", "integrated-gradients"),
    ]
    assert [name for name, reason in found.items() if reason is None] == ["occlusion", *BLIND]


@each_explainer
@each_detector
def test_a_heatmap_is_finite_of_the_images_size_and_negative_only_where_it_has_a_sign(explainer, name, noise):
    detector, x = built(explainer, name, noise)
    heat = explain(explainer, detector, x)
    assert heat.shape == (5, 1, 16, 16)
    assert heat.dtype == torch.float32
    assert torch.isfinite(heat).all()
    assert EXPLAINERS[explainer].signed or heat.min() >= 0
    assert heat.max() > 0
    assert not heat.requires_grad


@each_explainer
@each_detector
def test_explaining_twice_gives_the_same_map_and_leaves_the_detector_as_it_was(explainer, name, noise):
    detector, x = built(explainer, name, noise)
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    image, drawn = x.clone(), torch.get_rng_state()
    assert torch.equal(explain(explainer, detector, x), explain(explainer, detector, x))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.equal(x, image)
    assert not x.requires_grad
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in detector.parameters())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    assert not any(getattr(module, kind) for module in detector.modules() for kind in hooks)


@pytest.mark.parametrize("explainer", [name for name in EXPLAINERS if name not in DRAWN])
@each_detector
def test_a_map_does_not_depend_on_the_other_images_of_the_batch(explainer, name, noise):
    detector, x = built(explainer, name, noise)
    alone = torch.cat([explain(explainer, detector, one) for one in x.split(1)])
    torch.testing.assert_close(explain(explainer, detector, x), alone, rtol=1e-3, atol=1e-6)


@each_explainer
@each_detector
def test_maps_of_another_detector_differ_unless_the_explainer_knows_nothing_of_it(explainer, name, noise):
    detector, x = built(explainer, name, noise)
    other, _ = built(explainer, name, noise, seed=1)
    same = torch.equal(explain(explainer, detector, x), explain(explainer, other, x))
    assert same == (explainer in BLIND) == EXPLAINERS[explainer].reference


@each_explainer
def test_maps_are_made_in_the_midst_of_no_grad_too(explainer, noise):
    detector, x = built(explainer, "fcdd", noise)
    with torch.no_grad():
        within = explain(explainer, detector, x)
    assert torch.equal(within, explain(explainer, detector, x))


@each_explainer
def test_an_oblong_image_gets_an_oblong_map(explainer):
    images = torch.randint(0, 256, (4, 1, 16, 32), dtype=torch.uint8)
    detector, x = built(explainer, "fcdd", images)
    assert explain(explainer, detector, x).shape == (4, 1, 16, 32)


@each_explainer
@pytest.mark.parametrize(
    ("name", "network", "channels", "side"),
    [("fcdd", "cnn32", 3, 32), ("hsc", "cnn32", 3, 32), ("fcdd", "cnn28", 1, 28), ("hsc", "cnn28", 1, 28)],
)
def test_the_papers_networks_are_explained(explainer, name, network, channels, side):
    images = torch.randint(0, 256, (2, channels, side, side), dtype=torch.uint8)
    detector = build(name, images, 0, network=network).eval()
    if reason := EXPLAINERS[explainer]().unavailable(detector):
        assert explainer in ("native", "blurred-residual"), reason
        return
    heat = explain(explainer, detector, images / 255)
    assert heat.shape == (2, 1, side, side)
    assert torch.isfinite(heat).all()
    assert EXPLAINERS[explainer].signed or heat.min() >= 0
    assert (heat.amax(dim=(1, 2, 3)) > 0).all()


@each_explainer
@pytest.mark.parametrize("detector", [Linear(), Peak(), TwoFilters(1.0, 1.0)], ids=lambda d: type(d).__name__)
def test_a_users_own_model_is_explained_or_the_reason_why_not_is_one_line(explainer, detector):
    reason = EXPLAINERS[explainer]().unavailable(detector)
    if reason is None:
        x = torch.rand(3, 1 if isinstance(detector, TwoFilters) else 2, 2, 2)
        assert explain(explainer, detector, x).shape == (3, 1, 2, 2)
    else:
        assert (explainer, type(detector)) not in [("gradient", Linear), ("grad-cam", TwoFilters)]
        assert reason == reason.strip()
        assert len(reason.splitlines()) == 1


@each_explainer
@each_detector
def test_the_maps_that_a_detector_has_none_of(explainer, name, noise):
    reason = EXPLAINERS[explainer]().unavailable(build(name, noise, 0))
    without = {
        "native": ("hsc", "dsvdd"),
        "blurred-residual": ("fcdd", "hsc", "dsvdd"),
        "lrp": ("ae",),
    }
    assert (reason is not None) == (name in without.get(explainer, ()))
    assert reason is None or len(reason.splitlines()) == 1


@each_explainer
def test_a_map_with_a_sign_says_in_its_sign_what_lowers_the_score(explainer):
    kind = EXPLAINERS[explainer]
    contributions = ("input-x-gradient", "integrated-gradients", "occlusion", "deep-lift", "lrp")
    assert kind.signed == (explainer in contributions)
    assert not (kind.signed and kind.either_way)


def test_the_raising_part_of_a_map_is_what_is_positive():
    signed = torch.tensor([[[[-2.0, 0.0], [0.5, -0.1]]]])
    assert raising(signed).tolist() == [[[[0.0, 0.0], [0.5, 0.0]]]]
    assert torch.equal(raising(signed.abs()), signed.abs())
    assert raising(torch.tensor([torch.nan])).isnan().all(), "isn't hidden"


def test_an_unknown_explainer_is_refused_and_the_likely_one_named():
    with pytest.raises(InputError, match="did you mean 'smooth-grad'"):
        make_explainer("smoothgrad", {})


def test_an_explainer_gets_its_own_options_only():
    options = {"occlusion": {"window": 0.5}, "smooth-grad": {"samples": 3}}
    assert make_explainer("occlusion", options).window == 0.5
    assert make_explainer("smooth-grad", options).samples == 3
    assert make_explainer("gradient", options).either_way


def test_the_reason_names_what_the_detector_lacks(noise):
    assert "anomaly map" in EXPLAINERS["native"]().unavailable(build("hsc", noise, 0))
    assert "cam_layer" in EXPLAINERS["grad-cam"]().unavailable(Linear())
    assert EXPLAINERS["native"]().unavailable(build("ae", noise, 0)) is None


def test_a_convolution_of_unknown_field_is_no_place_for_grad_cam():
    detector = TwoFilters(1.0, 1.0)
    del detector.cam_field
    assert "cam_field" in (EXPLAINERS["grad-cam"]().unavailable(detector) or "")


def test_the_native_map_is_the_detectors_own(noise):
    detector, x = built("native", "fcdd", noise)
    with torch.no_grad():
        assert torch.equal(explain("native", detector, x), detector.anomaly_map(x))


def test_the_gradient_of_a_weighted_sum_is_the_absolute_weights_summed_over_channels():
    heat = explain("gradient", Linear(), torch.rand(2, 2, 2, 2))
    assert heat.tolist() == [[[[1.0 + 4.0, 2.0 + 0.5], [0.0, 3.0 + 1.0]]]] * 2


def test_the_gradient_of_the_peak_is_on_the_peak_of_each_image():
    x = torch.zeros(2, 1, 3, 3)
    x[0, 0, 2, 1] = x[1, 0, 0, 0] = 0.5
    heat = explain("gradient", Peak(), x)
    assert torch.equal(heat, (x > 0).float())


@pytest.mark.parametrize(
    ("up", "down", "factor"),
    # Each filter's mean gradient is its outer weight over 4 pixels: (up * x + down * -2x) / 4, if positive.
    [(3.0, 1.0, (3 - 2) / 4), (1.0, 1.0, 0.0), (1.0, 0.0, 1 / 4), (0.0, -1.0, 2 / 4)],
)
def test_grad_cam_weighs_each_filter_by_its_mean_gradient_and_keeps_what_raises_the_score(up, down, factor):
    x = torch.tensor([[0.2, 0.4], [0.8, 1.0]])[None, None]
    torch.testing.assert_close(explain("grad-cam", TwoFilters(up, down), x), factor * x)


@pytest.mark.parametrize(("up", "down", "factor"), [(3.0, 1.0, 1 / 4), (1.0, 1.0, 1 / 4), (0.0, 1.0, 2 / 4)])
def test_grad_cam_without_its_relu_shows_the_size_of_what_lowers_the_score_too(up, down, factor):
    # |up - 2 * down| over 4 pixels
    x = torch.tensor([[0.2, 0.4], [0.8, 1.0]])[None, None]
    torch.testing.assert_close(explain("grad-cam-no-relu", TwoFilters(up, down), x), factor * x)


@pytest.mark.parametrize("size", [4, 12])
def test_grad_cam_is_brought_to_image_size_by_the_layers_field(size):
    detector = TwoFilters(1.0, 0.0)
    detector.cam_layer.stride, detector.cam_field = (4, 4), ReceptiveField(size, 4, 1.5)
    x = torch.rand(1, 1, 8, 12)
    expected = upsample(x[..., ::4, ::4] / 6, detector.cam_field, (8, 12), 0.4 * 4)
    torch.testing.assert_close(explain("grad-cam", detector, x), expected)
