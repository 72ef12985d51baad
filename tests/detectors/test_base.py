import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.seeding import derive_seed
from fcdd_audit.core.sides import SIDES
from fcdd_audit.detectors import (
    DETECTORS,
    NETWORKS,
    Detector,
    Input,
    Normalisation,
    OwnNetwork,
    build,
    make_options,
    normalisation,
)
from fcdd_audit.explainers import EXPLAINERS

each_detector = pytest.mark.parametrize("name", list(DETECTORS))


def weights(detector):
    return torch.cat([value.flatten().float() for value in detector.state_dict().values()])


@each_detector
def test_scores_are_one_finite_number_an_image_and_do_not_depend_on_the_others(name, noise):
    detector, x = build(name, noise, 0).eval(), noise / 255
    scores = detector.score(x)
    assert scores.shape == (12,)
    assert torch.isfinite(scores).all()
    torch.testing.assert_close(torch.cat([detector.score(one) for one in x.split(1)]), scores)


@each_detector
def test_loss_is_a_finite_number_with_gradients_for_every_weight_whatever_the_labels(name, noise):
    for labels in (torch.zeros(12), torch.ones(12), torch.arange(12) % 2):
        detector = build(name, noise, 0)
        loss = detector.loss(noise / 255, labels.float())
        loss.backward()
        assert loss.ndim == 0
        for weight_name, weight in detector.named_parameters():
            assert torch.isfinite(weight.grad).all(), weight_name


@each_detector
def test_an_anomaly_map_is_non_negative_of_the_images_size_and_its_mean_is_the_score(name, noise):
    detector, x = build(name, noise, 0).eval(), noise / 255
    if not hasattr(detector, "anomaly_map"):
        pytest.skip(f"{name} has none")
    heat = detector.anomaly_map(x)
    assert heat.shape == (12, 1, 16, 16)
    assert heat.min() >= 0
    torch.testing.assert_close(heat.mean(dim=(1, 2, 3)), detector.score(x), rtol=0.05, atol=0)


@each_detector
def test_initial_weights_depend_on_the_seed_alone(name, noise):
    first, again, other = (weights(build(name, noise, seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    darker = build(name, noise // 2, 1)
    assert all(
        torch.equal(a, b)
        for a, b in zip(build(name, noise, 1).parameters(), darker.parameters(), strict=True)
    )


@each_detector
def test_building_leaves_the_callers_random_numbers_alone(name, noise):
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    torch.manual_seed(0)
    expected = [torch.rand(3, device=device) for device in devices]
    torch.manual_seed(0)
    build(name, noise, 5)
    assert all(torch.equal(torch.rand(3, device=d), e) for d, e in zip(devices, expected, strict=True))


@each_detector
def test_images_are_normalised_to_mean_zero_and_variance_one(name, noise):
    z = build(name, noise, 0).normalise(noise / 255)
    assert z.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert z.std(dim=(0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], rel=1e-5)


@each_detector
def test_training_images_without_any_contrast_still_give_finite_scores(name, noise):
    detector = build(name, torch.zeros_like(noise), 0).eval()
    scores = detector.score(torch.cat([torch.zeros_like(noise), noise]) / 255)
    assert torch.isfinite(scores).all()


@each_detector
def test_a_detector_learns_from_nominal_images_at_least(name):
    assert "nominal" in DETECTORS[name].learns_from
    assert set(DETECTORS[name].learns_from) <= set(SIDES)
    assert DETECTORS.summary(name).endswith(".")


@each_detector
@pytest.mark.parametrize("shape", [(7, 7), (30, 30), (33, 33), (16, 18), (130, 130)])
def test_images_of_any_size_are_scored_or_refused_when_the_detector_is_built(name, shape):
    images = torch.randint(0, 256, (4, 1, *shape), dtype=torch.uint8)
    try:
        detector = build(name, images, 0).eval()
    except InputError:
        return
    assert detector.score(images / 255).shape == (4,)


def test_an_unknown_name_is_refused_with_a_suggestion(noise):
    with pytest.raises(InputError, match=r"'fcd'.*did you mean 'fcdd'.*known: .*hsc"):
        build("fcd", noise, 0)


@each_detector
def test_an_unknown_option_is_refused(name, noise):
    with pytest.raises(InputError, match="wheels"):
        build(name, noise, 0, {"wheels": 4})


def test_a_detector_without_a_score_or_a_loss_cannot_be_made():
    class Half(Detector):
        def score(self, x):
            return x.mean(dim=(1, 2, 3))

    with pytest.raises(TypeError, match="loss"):
        Half(Input((1, 8, 8), Normalisation("nominal", torch.zeros(1), torch.ones(1))))


@each_detector
def test_a_detector_made_by_hand_is_what_build_makes_of_the_same(name, noise):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(3, f"initial weights of {name}"))
        made = DETECTORS[name](Input((3, 16, 16), normalisation("nominal", noise)), DETECTORS[name].Options())
    built = build(name, noise, 3)
    assert torch.equal(weights(made), weights(built))
    assert made.options == built.options == make_options(name, {})


def test_options_are_checked_before_any_network_is_made():
    assert make_options("fcdd", {"sigma": 2}) == DETECTORS["fcdd"].Options(sigma=2)
    assert make_options("fcdd", {"sigma": None}).sigma is None
    with pytest.raises(InputError, match="fcdd supervision is 'pixels'; did you mean 'pixel'"):
        make_options("fcdd", {"supervision": "pixels"})
    with pytest.raises(InputError, match=r"dsvdd nu is 1\.0; it must be in \(0, 1\)"):
        DETECTORS["dsvdd"].Options(nu=1.0)
    with pytest.raises(InputError, match="fcdd has no option 'network'"):
        make_options("fcdd", {"network": "small"})


HERE = [network for network in NETWORKS if network != "vgg11-imagenet"]  # its weights are a download


def seen(detector, x):
    """Scores and Grad-CAM's heat."""
    return detector.score(x).detach(), EXPLAINERS["grad-cam"]().explain(detector, x, torch.Generator())


@pytest.mark.parametrize("network", HERE)
def test_grad_cam_is_a_matter_of_the_function(network):
    """What is added to a convolution and taken away by the next layer changes nothing."""
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    detector = build("fcdd", images, 0, network=network).eval()
    layers = list(detector.features)
    last = max(place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    before = seen(detector, images / 255)
    shift = torch.linspace(2, 4, layers[last].out_channels)
    with torch.no_grad():
        bias = layers[last].bias
        layers[last].bias = nn.Parameter(shift if bias is None else bias + shift)
        norm = layers[last + 1] if last + 1 < len(layers) else None
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean += shift
        else:
            detector.head.bias -= detector.head.weight.flatten(1) @ shift
    after = seen(detector, images / 255)
    assert before[1].abs().sum() > 0
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-5)


@each_detector
@pytest.mark.parametrize(
    ("network", "cam", "whole"),
    [
        ("small", (18, 4), (18, 4)),
        ("cnn28", (5, 1), (16, 4)),
        ("cnn32", (12, 2), (22, 4)),
        ("cnn32-s", (8, 2), (18, 4)),
        ("vgg11", (62, 8), (62, 8)),
    ],
)
def test_grad_cam_looks_at_the_last_activation_and_the_map_at_all_features(name, network, cam, whole):
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    options = {} if name == "fcdd" else {"dimensions": 8}
    detector = build(name, images, 0, options, network)
    assert isinstance(detector.cam_layer, nn.LeakyReLU | nn.ReLU)
    assert (detector.cam_field.size, detector.cam_field.stride) == cam
    assert (detector.map_field.size, detector.map_field.stride) == whole


def test_grad_cam_looks_into_nested_layers_and_at_the_last_one_without_activations(noise):
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ELU(), nn.MaxPool2d(2))
    network = OwnNetwork((3, 16, 16), nn.Sequential(inner, nn.Conv2d(4, 4, 1)))
    detector = build("fcdd", noise, 0, network=network)
    assert detector.cam_layer is detector.features[0][1]
    assert detector.cam_field.size == 3
    linear = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2))
    detector = build("fcdd", noise, 0, network=OwnNetwork((3, 16, 16), linear))
    assert detector.cam_layer is detector.features[-1]
    assert detector.cam_field == detector.map_field


@each_detector
def test_scores_and_losses_are_in_full_precision_under_autocast(name, noise):
    every = {"fcdd": [{}, {"supervision": "pixel"}], "dsvdd": [{}, {"objective": "soft-boundary"}]}
    for options in every.get(name, [{}]):
        detector = build(name, noise, 0, options)
        with torch.autocast("cpu", torch.bfloat16):
            score = detector.score(noise / 255)
            loss = detector.loss(noise / 255, torch.arange(12) % 2)
        assert (score.dtype, loss.dtype) == (torch.float32, torch.float32)
        assert not torch.equal(score, score.bfloat16().float())


@each_detector
@pytest.mark.parametrize("network", HERE)
def test_every_detector_is_trained_and_scores_with_every_network(name, network):
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    options = {} if name == "fcdd" else {"dimensions": 8}
    detector = build(name, images, 0, options, network)
    detector.start(images)
    loss = detector.loss(images / 255, torch.tensor([0.0, 1, 0, 1]), torch.zeros(4, 1, 32, 32))
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in detector.parameters())
    assert detector.eval().score(images / 255).shape == (4,)


@each_detector
@pytest.mark.parametrize("network", HERE)
def test_small_images_are_scored_or_refused_when_the_detector_is_built(name, network):
    images = torch.randint(0, 256, (2, 1, 9, 30), dtype=torch.uint8)
    try:
        detector = build(name, images, 0, {} if name == "fcdd" else {"dimensions": 8}, network).eval()
    except InputError as error:
        assert "too small" in str(error)  # noqa: PT017
        return
    assert detector.score(images / 255).shape == (2,)


@each_detector
def test_a_network_of_your_own_serves_every_detector(name, noise):
    trunk = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, bias=False), nn.ReLU(), nn.MaxPool2d(2))
    detector = build(name, noise, 0, network=OwnNetwork((3, 16, 16), trunk)).eval()
    assert detector.score(noise / 255).shape == (12,)
    assert torch.equal(detector.features[0].weight, trunk[0].weight)
    assert detector.features[0] is not trunk[0]
    assert (detector.map_field.size, detector.map_field.stride) == (3 + 2, 4)


def test_a_network_for_other_images_is_refused(noise):
    network = OwnNetwork((3, 32, 32), nn.Sequential(nn.Conv2d(3, 6, 3)))
    with pytest.raises(InputError, match=r"\(3, 32, 32\).*\(3, 16, 16\)"):
        build("fcdd", noise, 0, network=network)
    with pytest.raises(InputError, match="did you mean 'cnn32'"):
        build("fcdd", noise, 0, network="cnn-32")
