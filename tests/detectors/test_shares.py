"""What a network's outputs contribute to the score: where explanations by rules begin."""

import pytest
import torch

from fcdd_audit.detectors import DETECTORS, Detector, Input, build, normalisation

each_detector = pytest.mark.parametrize("name", list(DETECTORS))


@each_detector
@pytest.mark.parametrize(("network", "side"), [("small", 16), ("cnn28", 28), ("cnn32", 32), ("vgg11", 32)])
def test_shares_of_the_outputs_add_up_to_the_score(name, network, side):
    images = torch.randint(0, 256, (6, 3, side, side), dtype=torch.uint8)
    options = {} if name == "fcdd" else {"dimensions": 8}
    detector = build(name, images, 0, options, network).eval()
    detector.start(images)
    x = images[:3].float() / 255
    with torch.no_grad():
        outputs = detector.outputs(detector.normalise(x))
        shares = detector.shares(outputs)
        assert shares.shape == outputs.shape
        assert shares.min() >= 0
        torch.testing.assert_close(shares.flatten(1).sum(dim=1), detector.score(x), rtol=1e-4, atol=1e-6)


def test_the_soft_boundarys_radius_is_a_constant_beside_the_shares(noise):
    detector = build("dsvdd", noise, 0, {"objective": "soft-boundary"}).eval()
    detector.start(noise)
    detector.squared_radius.fill_(0.7)
    x = noise[:3].float() / 255
    shares = detector.shares(detector.outputs(detector.normalise(x)))
    torch.testing.assert_close(shares.sum(dim=1) - 0.7, detector.score(x))


def test_each_cell_of_fcdd_contributes_its_own_response_over_their_number(noise):
    detector = build("fcdd", noise, 0)
    outputs = torch.tensor([0.0, 3.0, -8.0, 0.0]).sign() * torch.tensor([0.0, 3.0, 8.0, 0.0]).sqrt()
    # sqrt(3 + 1) - 1 = 1 and sqrt(8 + 1) - 1 = 2, over 4 cells
    shares = detector.shares(outputs.reshape(1, 1, 2, 2))
    torch.testing.assert_close(shares, torch.tensor([[[[0.0, 0.25], [0.5, 0.0]]]]))


def test_coordinates_of_hsc_share_the_one_norm_by_their_squares(noise):
    detector = build("hsc", noise, 0)
    # Squares 1, 2, 5: sqrt(8 + 1) - 1 = 2, shared out by eighths; the zero vector has nothing to share out.
    outputs = torch.tensor([[1.0, -(2**0.5), 5**0.5], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(detector.shares(outputs), torch.tensor([[0.25, 0.5, 1.25], [0.0, 0.0, 0.0]]))


def test_shares_of_a_distance_and_of_a_residual_are_squares(noise):
    outputs = torch.tensor([[1.0, -2.0]])
    assert build("dsvdd", noise, 0).shares(outputs).tolist() == [[1.0, 4.0]]
    assert build("ae", noise, 0).shares(outputs).tolist() == [[0.5, 2.0]]  # over 2 values


@each_detector
def test_the_stack_of_layers_makes_the_outputs_with_the_detectors_own_weights(name, noise):
    detector = build(name, noise, 0).eval()
    detector.start(noise)
    layers = detector.layers
    if name == "ae":
        assert layers is None
        return
    x = detector.normalise(noise[:2].float() / 255)
    assert torch.equal(layers(x), detector.outputs(x))
    own = {id(weight) for weight in detector.parameters()}
    assert all(id(weight) in own for weight in layers.parameters() if weight.requires_grad)


@each_detector
def test_outputs_and_layers_leave_the_weights_to_be_saved_as_they_were(name, noise):
    detector = build(name, noise, 0).eval()
    before = list(detector.state_dict())
    detector.outputs(detector.normalise(noise[:2].float() / 255))
    assert list(detector.state_dict()) == before


def test_a_detector_that_doesnt_say_what_its_outputs_contribute_defines_neither(noise):
    class Silent(Detector):
        def __init__(self):
            super().__init__(Input((3, 16, 16), normalisation("imagenet", noise)))

        def score(self, x):
            return x.mean(dim=(1, 2, 3))

        def loss(self, x, label, mask=None):
            return self.score(x).mean()

    detector, x = Silent(), noise[:2].float() / 255
    for method in ("shares", "chords"):
        assert not detector.defines(method)
        assert build("fcdd", noise, 0).defines(method)
    assert detector.layers is None
    for call in (lambda: detector.outputs(x), lambda: detector.shares(x), lambda: detector.chords(x, x)):
        with pytest.raises(NotImplementedError, match="Silent"):
            call()
