import pytest
import torch

from fcdd_audit.detectors import build


def rebuilding_nothing(images):
    """The decoder gives zeros, the mean image: the residual is the normalised image itself."""
    detector = build("ae", images, 0).eval()
    for parameter in detector.decoder[-1].parameters():
        torch.nn.init.zeros_(parameter)
    return detector


def test_the_map_is_the_squared_residual_averaged_over_channels():
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    detector = rebuilding_nothing(images)
    detector.mean[:] = 0.5
    detector.std[:] = 0.25
    x = torch.tensor([0.75, 0.25, 0.5]).reshape(1, 3, 1, 1).expand(1, 3, 16, 16).clone()
    x[0, :, 3, 5] = 1.0
    expected = torch.full((1, 1, 16, 16), (1**2 + 1**2 + 0**2) / 3)
    expected[0, 0, 3, 5] = 2**2
    torch.testing.assert_close(detector.anomaly_map(x), expected)
    assert detector.score(x).item() == pytest.approx((255 * 2 / 3 + 4) / 256)


def test_an_unhelpful_autoencoder_scores_nominal_images_one_their_own_variance(noise):
    assert rebuilding_nothing(noise).score(noise / 255).mean().item() == pytest.approx(1, abs=1e-3)


def test_the_loss_takes_every_image_as_nominal(noise):
    detector, x = build("ae", noise, 0).eval(), noise / 255
    assert detector.learns_from == ("nominal",)
    losses = [detector.loss(x, label) for label in (torch.zeros(12), torch.ones(12))]
    assert losses[0] == losses[1]
    torch.testing.assert_close(losses[0], detector.score(x).mean())


@pytest.mark.parametrize("dimensions", [1, 5])
def test_everything_passes_through_a_bottleneck_of_the_dimensions_asked_for(noise, dimensions):
    detector = build("ae", noise, 0, {"dimensions": dimensions}).eval()
    assert detector.embed(detector.features(detector.normalise(noise / 255))).shape == (12, dimensions)


@pytest.mark.parametrize(("network", "dimensions"), [("small", 64), ("cnn28", 48), ("cnn32", 64)])
def test_the_bottleneck_is_the_networks_own_unless_given(noise, network, dimensions):
    detector = build("ae", noise, 0, network=network)
    assert detector.embed[-1].out_features == dimensions
    assert detector.expand[0].in_features == dimensions
