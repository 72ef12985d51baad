import pytest
import torch
from captum.attr import Occlusion

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import DETECTORS, build
from fcdd_audit.explainers import make_explainer
from fcdd_audit.explainers.baselines import baseline

WEIGHTS = torch.tensor([[[1.0, -2.0], [0.0, 3.0]], [[-4.0, 0.5], [0.0, 1.0]]])  # two channels
X = torch.tensor([[[0.5, 0.1], [0.2, 0.4]], [[0.1, 0.8], [0.3, 0.2]]])[None]


def plane(x):
    return (x * WEIGHTS).sum(dim=(1, 2, 3))


def test_input_times_gradient_sums_channels_and_keeps_the_sign(explain, tiny):
    heat = explain("input-x-gradient", tiny.Formula(plane), X)
    # 0.5 - 0.4, -0.2 + 0.4, 0, 1.2 + 0.2
    torch.testing.assert_close(heat[0, 0], torch.tensor([[0.1, 0.2], [0.0, 1.4]]))
    heat = explain("input-x-gradient", tiny.Formula(plane), X.flip(1))
    # 0.1 - 2, -1.6 + 0.05, 0, 0.6 + 0.4
    torch.testing.assert_close(heat[0, 0], torch.tensor([[-1.9, -1.55], [0.0, 1.0]]))


def test_integrated_gradients_of_a_square_from_black_are_the_squares(explain, tiny):
    detector = tiny.Formula(lambda x: (x**2).sum(dim=(1, 2, 3)))
    heat = explain("integrated-gradients", detector, X, baseline="black")
    torch.testing.assert_close(heat, X.square().sum(dim=1, keepdim=True))


@pytest.mark.parametrize(("options", "share"), [({"steps": 1}, 0.5), ({"steps": 2}, 1.0), ({}, 1.0)])
def test_more_steps_make_the_integral_more_exact(options, share, explain, tiny):
    # The fourth power: 4 (t x)^3 x at the middle, t = 1/2, is half of it; two places (Gauss) are exact.
    detector = tiny.Formula(lambda x: (x**4).sum(dim=(1, 2, 3)))
    heat = explain("integrated-gradients", detector, X, baseline="black", **options)
    torch.testing.assert_close(heat, share * X.pow(4).sum(dim=1, keepdim=True))


def test_integrated_gradients_start_from_the_images_own_mean_colour(explain, tiny):
    heat = explain("integrated-gradients", tiny.Formula(plane), X)
    # Means 0.3 and 0.35: away from them [0.2, -0.2, -0.1, 0.1] and [-0.25, 0.45, -0.05, -0.15].
    # 0.2 + 1, 0.4 + 0.225, 0, 0.3 - 0.15
    torch.testing.assert_close(heat[0, 0], torch.tensor([[1.2, 0.625], [0.0, 0.15]]))
    dark = explain("integrated-gradients", tiny.Formula(plane), 0.7 - X)
    torch.testing.assert_close(dark, -heat)


def test_integrated_gradients_of_images_add_up_image_by_image(explain, tiny):
    detector = tiny.Formula(lambda x: (x**2).sum(dim=(1, 2, 3)))
    x = torch.cat([X, 2 * X, 0 * X])
    heat = explain("integrated-gradients", detector, x, baseline="black", steps=4)
    torch.testing.assert_close(heat.sum(dim=(1, 2, 3)), detector.score(x))


def test_occlusion_is_the_mean_fall_over_the_windows_that_cover_a_pixel(explain, tiny):
    # A row of 4 pixels under windows of 2, moved by 1; black is put there: a window's fall is its sum.
    detector = tiny.Formula(lambda x: x.sum(dim=(1, 2, 3)))
    x = torch.tensor([[0.1, 0.2, 0.4, 0.8]]).expand(4, 4)[None, None].contiguous()
    heat = explain("occlusion", detector, x, window=0.5, baseline="black")
    fall = 2 * torch.tensor([0.3, 0.6, 1.2])  # two rows high
    expected = torch.stack([fall[0], (fall[0] + fall[1]) / 2, (fall[1] + fall[2]) / 2, fall[2]])
    torch.testing.assert_close(heat[0, 0], expected.expand(4, 4))


def test_occlusion_is_negative_where_windows_hide_what_lowers_the_score(explain, tiny):
    detector = tiny.Formula(lambda x: x[..., 0].sum(dim=(1, 2)) - x[..., 1].sum(dim=(1, 2)))
    heat = explain("occlusion", detector, torch.ones(1, 1, 2, 2), window=0.5, baseline="black")
    assert heat[0, 0].tolist() == [[1.0, -1.0], [1.0, -1.0]]


def test_occlusion_leaves_no_border_uncovered(explain, tiny):
    detector = tiny.Formula(lambda x: x.sum(dim=(1, 2, 3)))
    heat = explain("occlusion", detector, torch.ones(1, 1, 11, 13), window=0.3, baseline="black")
    assert heat.min() > 0


@pytest.mark.parametrize("detector", list(DETECTORS))
@pytest.mark.parametrize(
    ("side", "options"), [(32, {}), (19, {"window": 0.3}), (16, {"window": 1.0, "baseline": "blur"})]
)
@pytest.mark.parametrize("normalise", ["nominal", "contrast"])
@torch.no_grad()
def test_occlusion_equals_captums(detector, side, options, normalise, explain):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 3, side, side + 4), dtype=torch.uint8, generator=generator)
    model, x = build(detector, images, 0, normalise=normalise).eval(), images.float() / 255
    cell = make_explainer("occlusion", {"occlusion": options}).grain(model, side)
    window, step = (3, cell.size, cell.size), (3, cell.stride, cell.stride)
    empty = baseline(x, options.get("baseline", "mean"))
    expected = Occlusion(model.score).attribute(x, window, step, empty, perturbations_per_eval=4)[:, :1]
    rounding = 1e-5 * float(model.score(x).abs().max())
    torch.testing.assert_close(explain("occlusion", model, x, **options), expected, rtol=0, atol=rounding)


def test_occlusion_says_how_fine_its_windows_are(tiny):
    grain = make_explainer("occlusion", {}).grain(tiny.Formula(plane), 64)
    assert (grain.size, grain.stride) == (16, 8)
    grain = make_explainer("occlusion", {}).grain(tiny.Formula(plane), 11)
    assert (grain.size, grain.stride) == (3, 1)  # a quarter of 11 is 2.75


@pytest.mark.parametrize(
    ("name", "options"),
    [("occlusion", {"window": 0.0}), ("occlusion", {"window": 1.5}), ("integrated-gradients", {"steps": 0})],
)
def test_options_that_make_no_sense_are_refused(name, options):
    with pytest.raises(InputError):
        make_explainer(name, {name: options})
