from math import exp, log, sqrt

import pytest
import torch

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import build, fcdd, receptive
from fcdd_audit.detectors.receptive import reference_gain, upsample


def with_constant_head(noise, value, **options):
    """The head says `value` everywhere, so A is sqrt(value^2 + 1) - 1 in every cell."""
    detector = build("fcdd", noise, 0, options).eval()
    torch.nn.init.zeros_(detector.head.weight)
    torch.nn.init.constant_(detector.head.bias, value)
    return detector


@pytest.mark.parametrize("value", [0.0, 2.0, -3.0])
def test_map_and_score_are_the_pseudo_huber_of_the_head(noise, value):
    detector, x = with_constant_head(noise, value), noise.float() / 255
    expected = sqrt(value**2 + 1) - 1
    torch.testing.assert_close(detector.response(x), torch.full((12, 1, 4, 4), expected))
    torch.testing.assert_close(detector.score(x), torch.full((12,), expected))
    torch.testing.assert_close(detector.anomaly_map(x), torch.full((12, 1, 16, 16), expected))


def test_the_loss_is_the_score_of_nominal_and_the_push_of_anomalous_images(noise):
    detector = with_constant_head(noise, sqrt(1.5**2 - 1))  # A = 0.5
    x = noise.float() / 255
    assert detector.loss(x, torch.zeros(12)).item() == pytest.approx(0.5)
    assert detector.loss(x, torch.ones(12)).item() == pytest.approx(0.932752, abs=1e-5)
    assert detector.loss(x, torch.arange(12) < 3).item() == pytest.approx((9 * 0.5 + 3 * 0.932752) / 12)


def test_the_score_is_the_mean_of_the_response(noise):
    detector, x = build("fcdd", noise, 0).eval(), noise.float() / 255
    torch.testing.assert_close(detector.score(x), detector.response(x).mean(dim=(1, 2, 3)))
    torch.testing.assert_close(
        detector.anomaly_map(x).mean(dim=(1, 2, 3)), detector.score(x), rtol=0.05, atol=0
    )


def test_the_map_is_hot_where_a_patch_was_changed_and_untouched_out_of_its_reach():
    images = torch.full((2, 1, 64, 64), 128, dtype=torch.uint8)
    images[1, :, 40:48, 8:16] = 255
    detector = build("fcdd", images, 0).eval()
    change = (detector.anomaly_map(images.float() / 255).diff(dim=0)).abs()[0, 0]
    row, column = divmod(change.argmax().item(), 64)
    reach = detector.anomaly_field.size  # by upsampling too
    half = reach // 2  # by the network
    assert 40 - half <= row < 48 + half
    assert 8 - half <= column < 16 + half
    assert change[: 40 - reach].max() == 0
    assert change[:, 16 + reach :].max() == 0


def test_sigma_is_two_fifths_of_the_stride_unless_given(noise):
    assert build("fcdd", noise, 0).sigma == pytest.approx(0.4 * 4)
    large = torch.zeros(2, 1, 128, 128, dtype=torch.uint8)
    assert build("fcdd", large, 0).sigma == pytest.approx(0.4 * 8)
    sharp, smooth = (
        build("fcdd", noise, 0, {"sigma": s}).eval().anomaly_map(noise / 255) for s in (0.5, 8.0)
    )
    assert sharp.var(dim=(2, 3)).mean() > 2 * smooth.var(dim=(2, 3)).mean()


@pytest.mark.parametrize("sigma", [0, -1.0])
def test_a_sigma_that_is_not_positive_is_refused(noise, sigma):
    with pytest.raises(InputError, match="sigma"):
        build("fcdd", noise, 0, {"sigma": sigma})


def test_pixel_supervision_pushes_on_the_mask_in_the_reference_codes_scale(noise):
    detector = with_constant_head(noise, 3.0, supervision="pixel", sigma=1.2)
    heat = (sqrt(10) - 1) * reference_gain(detector.anomaly_field, 1.2)
    x, label, mask = noise / 255, torch.zeros(12), torch.zeros(12, 1, 16, 16, dtype=torch.bool)
    label[:3] = 1
    mask[:2, :, :4] = True  # a quarter; the third anomalous image's is out of view
    expected = (10 * heat + 2 * (0.75 * heat - log(1 - exp(-0.25 * heat)))) / 12
    assert detector.loss(x, label, mask).item() == pytest.approx(expected, rel=1e-4)
    assert detector.loss(x, label, mask.float()).item() == pytest.approx(expected, rel=1e-4)
    wholly = (9 * heat - 3 * log(1 - exp(-heat))) / 12
    assert detector.loss(x, label).item() == pytest.approx(wholly, rel=1e-4)


def test_upsampling_matrices_and_gain_are_made_once_and_stay_out_of_the_weights(noise, monkeypatch):
    detector = build("fcdd", noise, 0, {"supervision": "pixel"}).eval()
    assert not {"rows", "columns"} & set(detector.state_dict())
    x, larger = noise / 255, torch.rand(2, 3, 20, 28)
    expected, of_larger = detector.anomaly_map(x), detector.anomaly_map(larger)
    made = upsample(detector.response(x), detector.anomaly_field, (16, 16), detector.sigma)
    assert torch.equal(expected, made)
    assert of_larger.shape == (2, 1, 20, 28)

    def again(*arguments):
        raise AssertionError("made again")

    monkeypatch.setattr(receptive, "upsampling_matrix", again)
    monkeypatch.setattr(fcdd, "upsampling_matrix", again)
    monkeypatch.setattr(fcdd, "reference_gain", again)
    assert torch.equal(detector.anomaly_map(x), expected)
    assert detector.loss(x, torch.ones(12)).isfinite()
    monkeypatch.setattr(torch.Tensor, "item", again)
    detector.loss(x, torch.ones(12), torch.ones(12, 1, 16, 16))


def test_an_oblong_image_is_upsampled_by_its_own_matrices():
    images = torch.randint(0, 256, (2, 1, 16, 40), dtype=torch.uint8)
    detector = build("fcdd", images, 0).eval()
    heat = detector.response(images / 255)
    expected = upsample(heat, detector.anomaly_field, (16, 40), detector.sigma)
    assert torch.equal(detector.anomaly_map(images / 255), expected)


def test_only_pixel_supervision_uses_masks(noise):
    assert not build("fcdd", noise, 0).uses_masks
    assert build("fcdd", noise, 0, {"supervision": "pixel"}).uses_masks


def test_image_supervision_ignores_masks(noise):
    detector, label = build("fcdd", noise, 0).eval(), torch.arange(12) % 2
    with_mask = detector.loss(noise / 255, label, torch.ones(12, 1, 16, 16))
    assert torch.equal(detector.loss(noise / 255, label), with_mask)


def test_supervision_changes_neither_weights_nor_map_nor_score(noise):
    image, pixel = (build("fcdd", noise, 0, {"supervision": s}).eval() for s in ("image", "pixel"))
    assert torch.equal(image.anomaly_map(noise / 255), pixel.anomaly_map(noise / 255))
    assert torch.equal(image.score(noise / 255), pixel.score(noise / 255))


def test_an_unknown_supervision_is_refused(noise):
    with pytest.raises(InputError, match=r"'pixels'; did you mean 'pixel'"):
        build("fcdd", noise, 0, {"supervision": "pixels"})
