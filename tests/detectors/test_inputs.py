"""What detectors get: shapes and normalisations."""

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import NORMALISATIONS, Input, Normalisation, build, inputs, normalisation
from fcdd_audit.detectors.inputs import local_contrast

TWO = torch.tensor([[0, 255], [51, 102]], dtype=torch.uint8).reshape(2, 1, 1, 2)  # 0, 1 and .2, .4


def test_nominal_normalisation_is_by_mean_and_standard_deviation():
    found = normalisation("nominal", TWO)
    assert found.mean.item() == pytest.approx(0.4)
    assert found.std.item() == pytest.approx(((0.16 + 0.36 + 0.04 + 0) / 4) ** 0.5)


def test_local_contrast_is_by_the_mean_absolute_deviation_of_all_channels():
    x = torch.tensor([[0.0, 1.0], [0.5, 0.9]]).reshape(1, 2, 1, 2)
    # mean .6; deviations -.6, .4, -.1, .3; mean absolute deviation .35
    expected = torch.tensor([-0.6, 0.4, -0.1, 0.3]).reshape(1, 2, 1, 2) / 0.35
    torch.testing.assert_close(local_contrast(x), expected)
    flat = torch.full((1, 3, 8, 8), 0.3, requires_grad=True)
    assert local_contrast(flat).abs().max() < 1e-5
    local_contrast(flat).sum().backward()
    assert flat.grad.isfinite().all()


def test_contrast_normalisation_brings_the_nominal_images_to_the_unit_interval_per_channel(noise):
    found = normalisation("contrast", noise)
    changed = local_contrast(noise / 255)
    torch.testing.assert_close(found.mean, changed.amin(dim=(0, 2, 3)))
    torch.testing.assert_close(found.std, changed.amax(dim=(0, 2, 3)) - changed.amin(dim=(0, 2, 3)))
    z = build("fcdd", noise, 0, normalise="contrast").normalise(noise / 255)
    torch.testing.assert_close(z.amin(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.amax(dim=(0, 2, 3)), torch.ones(3))


@pytest.mark.parametrize("level", [0, 77, 255])
def test_flat_images_become_zero_under_contrast_normalisation(level, noise):
    flat = torch.full((4, 3, 16, 16), level, dtype=torch.uint8)
    found = normalisation("contrast", flat)
    assert found.mean.abs().max() < 1e-5
    torch.testing.assert_close(found.std, torch.full((3,), inputs.MIN_STD))
    among_others = build("fcdd", torch.cat([noise, flat]), 0, normalise="contrast").eval()
    torch.testing.assert_close(
        among_others.normalise(flat / 255), (-among_others.mean / among_others.std).expand(4, 3, 16, 16)
    )
    alone = build("fcdd", flat, 0, normalise="contrast").eval()
    assert alone.score(torch.cat([noise, flat]) / 255).isfinite().all()


def test_imagenet_normalisation_does_not_look_at_the_images(noise):
    found = normalisation("imagenet", noise)
    assert found.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert found.std.tolist() == pytest.approx([0.229, 0.224, 0.225])
    grey = normalisation("imagenet", noise[:, :1])
    assert (grey.mean.item(), grey.std.item()) == pytest.approx((0.449, 0.226))
    with pytest.raises(InputError, match="1 or 3 channels"):
        normalisation("imagenet", noise[:, :2])


@pytest.mark.parametrize("mode", NORMALISATIONS)
def test_normalisation_is_differentiable_and_the_same_in_chunks(mode, noise, monkeypatch):
    whole = normalisation(mode, noise)
    monkeypatch.setattr(inputs, "CHUNK", 5 * 3 * 16 * 16)
    chunked = normalisation(mode, noise)
    assert torch.equal(whole.mean, chunked.mean)
    assert torch.equal(whole.std, chunked.std)
    x = (noise / 255).requires_grad_()
    build("fcdd", noise, 0, normalise=mode).eval().score(x).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


def test_an_unknown_normalisation_is_refused_with_a_suggestion(noise):
    with pytest.raises(InputError, match="did you mean 'contrast'"):
        build("fcdd", noise, 0, normalise="contrasts")


@pytest.mark.parametrize("shape", [(3, 7, 8), (3, 8, 7), (1, 0, 9)])
def test_images_under_eight_pixels_are_refused(shape):
    plain = Normalisation("nominal", torch.zeros(1), torch.ones(1))
    with pytest.raises(InputError, match=f"images of {shape[2]}x{shape[1]} px are too small"):
        Input(shape, plain)
    assert Input((1, 8, 8), plain).network == "small"
