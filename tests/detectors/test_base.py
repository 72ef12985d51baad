import pytest
import torch
from torch import nn

from fcdd_audit.detectors import DETECTORS, SIDES, Detector, build
from fcdd_audit.errors import InputError

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
def test_grad_cam_looks_at_the_output_of_the_last_block_which_is_a_matter_of_the_function(name, noise):
    detector = build(name, noise, 0).eval()
    assert detector.cam_layer is detector.features[-1]
    assert isinstance(detector.cam_layer, nn.LeakyReLU)
    assert detector.cam_field.stride == 4


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
        Half((1, 8, 8), torch.zeros(1), torch.ones(1))
