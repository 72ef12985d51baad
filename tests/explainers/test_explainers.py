import pytest
import torch
from torch import nn

from fcdd_audit.detectors import DETECTORS, build
from fcdd_audit.detectors.receptive import ReceptiveField, upsample
from fcdd_audit.explainers import EXPLAINERS

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


@each_explainer
@each_detector
def test_a_heatmap_is_non_negative_finite_and_of_the_images_size(explainer, name, noise):
    detector, x = built(explainer, name, noise)
    heat = explain(explainer, detector, x)
    assert heat.shape == (5, 1, 16, 16)
    assert heat.dtype == torch.float32
    assert torch.isfinite(heat).all()
    assert heat.min() >= 0
    assert heat.max() > 0
    assert not heat.requires_grad


@each_explainer
@each_detector
def test_explaining_twice_gives_the_same_map_and_leaves_the_detector_as_it_was(explainer, name, noise):
    detector, x = built(explainer, name, noise)
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    image = x.clone()
    assert torch.equal(explain(explainer, detector, x), explain(explainer, detector, x))
    assert torch.equal(x, image)
    assert not x.requires_grad
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in detector.parameters())
    assert not any(module._forward_hooks for module in detector.modules())


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


@pytest.mark.parametrize("size", [4, 12])
def test_grad_cam_is_brought_to_image_size_by_the_layers_field(size):
    detector = TwoFilters(1.0, 0.0)
    detector.cam_layer.stride, detector.cam_field = (4, 4), ReceptiveField(size, 4, 1.5)
    x = torch.rand(1, 1, 8, 12)
    expected = upsample(x[..., ::4, ::4] / 6, detector.cam_field, (8, 12), 0.4 * 4)
    torch.testing.assert_close(explain("grad-cam", detector, x), expected)


def test_random_maps_depend_on_the_generator_alone_and_are_smooth():
    x = torch.rand(3, 1, 64, 64)
    first = explain("random", Peak(), x, seed=1)
    assert torch.equal(first, explain("random", Linear(), 1 - x, seed=1))
    assert not torch.equal(first, explain("random", Peak(), x, seed=2))
    assert not torch.equal(first[0], first[1])
    assert (first.amin(dim=(2, 3)) == 0).all()
    assert first.diff(dim=3).std() < 0.3 * first.std()


def test_edges_are_where_the_picture_changes():
    x = torch.zeros(1, 3, 16, 16)
    x[..., 8:] = 1
    heat = explain("edges", Peak(), x)[0, 0]
    assert heat[:, 7:9].min() > 0.3
    assert heat[:, :6].max() == heat[:, 10:].max() == 0
