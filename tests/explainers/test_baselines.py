import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.explainers import make_explainer
from fcdd_audit.explainers.baselines import BASELINES, baseline, blurred


def test_the_mean_is_each_images_own_colour_by_colour():
    x = torch.tensor(
        [[[[0.2, 0.4]], [[0.0, 1.0]]], [[[0.6, 0.6]], [[0.1, 0.3]]]]
    )  # 2 images, 2 channels, 1x2
    expected = torch.tensor([[0.3, 0.5], [0.6, 0.2]])[:, :, None, None].expand(2, 2, 1, 2)
    torch.testing.assert_close(baseline(x, "mean"), expected)


def test_black_is_black():
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(baseline(x, "black"), torch.zeros(2, 3, 4, 5))


def test_a_blurred_pixel_is_a_gaussian_cut_at_two_sigma():
    x = torch.zeros(1, 1, 9, 9)
    x[..., 4, 4] = 1.0
    taps = torch.tensor([-4.0, -1.0, 0.0, -1.0, -4.0]).mul(0.5).exp()  # of sigma 1, at -2 to 2 pixels
    line = torch.cat([torch.zeros(2), taps / taps.sum(), torch.zeros(2)])
    torch.testing.assert_close(blurred(x, 1.0)[0, 0], line[:, None] * line)


def test_a_flat_image_stays_as_it_is_when_blurred_and_so_does_a_tiny_one():
    torch.testing.assert_close(blurred(torch.full((1, 1, 6, 8), 0.3), 2.0), torch.full((1, 1, 6, 8), 0.3))
    x = torch.tensor([[[[0.5]]]])
    assert torch.equal(blurred(x, 3.0), x)


def test_the_blur_is_an_eighth_of_the_smaller_side():
    x = torch.rand(1, 3, 16, 40)
    assert torch.equal(baseline(x, "blur"), blurred(x, 2.0))


@pytest.mark.parametrize("kind", BASELINES)
def test_a_baseline_is_a_tensor_of_its_own(kind):
    x = torch.rand(2, 3, 16, 16)
    before = x.clone()
    empty = baseline(x, kind)
    assert (empty.shape, empty.dtype) == (x.shape, x.dtype)
    empty[0, 0, 0, 0] = 7.0
    assert (empty == 7.0).sum() == 1
    assert torch.equal(x, before)


@pytest.mark.parametrize("kind", ["mean", "blur"])
def test_nothing_of_a_marks_size_stays(kind):
    x = torch.rand(2, 3, 16, 16)
    assert baseline(x, kind).std(dim=(2, 3)).max() < 0.3 * x.std(dim=(2, 3)).min()


@pytest.mark.parametrize("name", ["integrated-gradients", "occlusion", "deep-lift"])
def test_an_unknown_baseline_is_refused_and_the_likely_one_named(name):
    with pytest.raises(InputError, match="did you mean 'blur'"):
        make_explainer(name, {name: {"baseline": "blurr"}})
