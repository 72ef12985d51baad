"""What is found out of a model when it is tried on a few images."""

import numpy as np
import pytest
import torch
from torch import nn

from fcdd_audit.core.errors import InputError
from fcdd_audit.detectors import build
from fcdd_audit.models import Model, wrap
from fcdd_audit.models.eager import TRAINING
from fcdd_audit.models.outputs import FROM_MAP
from fcdd_audit.models.pixels import GREYED, REPEATED
from fcdd_audit.models.trying import CLAMPED, COMPANY, CONSTANT

CPU = torch.device("cpu")


def mean(x):
    return x.mean(dim=(1, 2, 3))


def test_a_model_that_needs_nothing_is_left_as_it_is(wrapped, x):
    model = wrapped(mean)
    assert isinstance(model, Model)
    assert (model.name, model.format, model.notes, model.no_gradient) == ("mine", "python", [], None)
    assert (model.shape, model.batch) == ((3, None, None), None)
    assert not hasattr(model, "anomaly_map")
    assert torch.equal(model.score(x), mean(x))


def test_gradients_are_those_of_the_model(wrapped, x):
    model = wrapped(mean)
    image = x.clone().requires_grad_()
    model.score(image).sum().backward()
    torch.testing.assert_close(image.grad, torch.full_like(x, 1 / x[0].numel()))


def test_grey_images_are_repeated_for_a_model_of_colour(wrapped, tiny, grey):
    model = wrapped(tiny.weighted(3).eval(), on=grey)
    assert model.notes == [REPEATED]
    assert model.shape[0] == 3
    torch.testing.assert_close(model.score(grey.float() / 255), 6 * mean(grey.float() / 255))


def test_colour_images_become_grey_for_a_model_of_grey(wrapped, tiny, x):
    model = wrapped(tiny.weighted(1).eval())
    assert model.notes == [GREYED]
    weights = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(model.score(x), x.mean(dim=(2, 3)) @ weights)


def test_the_mean_says_how_many_channels_the_model_takes(wrapped, grey):
    model = wrapped(mean, on=grey, mean=[0, 0.5, 1], std=[1, 1, 1])
    assert model.notes == [REPEATED]
    torch.testing.assert_close(model.score(grey.float() / 255), mean(grey.float() / 255) - 0.5)


def test_images_are_standardised(wrapped, x):
    torch.testing.assert_close(wrapped(mean, mean=[0.5], std=[0.25]).score(x), (mean(x) - 0.5) / 0.25)


def test_a_model_of_other_channels_is_refused_in_one_line(wrapped, tiny):
    with pytest.raises(InputError) as error:
        wrapped(tiny.weighted(4).eval())
    said = str(error.value)
    assert said.startswith("the model mine fails on 5 images of 3x16x16 (RuntimeError: ")
    assert said.endswith(
        "it must take float images (N, C, H, W) in [0, 1]; choose their size with --image-size"
    )
    assert "\n" not in said


def single(x):
    if len(x) > 1:
        raise ValueError("one image, please")
    return float(x.mean())


def test_a_model_that_fails_on_batches_is_called_image_by_image(wrapped, x):
    model = wrapped(single)
    assert model.batch == 1
    assert model.notes == ["The model fails on 5 images at a time: it gets 1."]
    torch.testing.assert_close(model.score(x), mean(x), check_dtype=False)


def test_a_fixed_batch_is_filled_up(wrapped, x):
    def four(x):
        if len(x) != 4:
            raise ValueError("four images, please")
        return mean(x)

    model = wrapped(four)
    assert model.batch == 4
    assert model.notes == ["The model fails on 5 images at a time: it gets 4."]
    image = x.clone().requires_grad_()
    scores = model.score(image)
    torch.testing.assert_close(scores, mean(x))
    scores.sum().backward()
    torch.testing.assert_close(image.grad[:4], torch.full_like(x[:4], 1 / x[0].numel()))


def test_a_batch_as_large_as_the_trial_is_found_to_be_fixed(wrapped, x):
    def five(x):
        if len(x) != 5:
            raise ValueError("five images, please")
        return mean(x)

    model = wrapped(five)
    assert model.batch == 5
    assert model.notes == ["The model fails on one image at a time: it gets 5."]
    torch.testing.assert_close(model.score(x[:2]), mean(x[:2]))


def test_scores_that_depend_on_the_batch_are_taken_one_by_one(wrapped, x):
    model = wrapped(lambda x: mean(x) - mean(x).mean() + x[:, 0, 0, 0])
    assert model.batch == 1
    assert model.notes == [COMPANY]
    torch.testing.assert_close(model.score(x), x[:, 0, 0, 0])


def test_scores_that_change_by_themselves_are_said(wrapped):
    with pytest.raises(InputError, match="other scores when they are scored again"):
        wrapped(lambda x: mean(x) + torch.rand(len(x)))


def rows(x):
    return x.view(len(x), -1).mean(dim=1)


def in_place(x):
    return x.sub_(0.5).mul_(2).mean(dim=(1, 2, 3))


@pytest.mark.parametrize(("score", "expected"), [(rows, mean), (in_place, lambda x: 2 * mean(x) - 1)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_model_may_look_at_its_images_as_rows_or_change_them(wrapped, x, score, expected, order):
    """They are its own: nobody else's are changed."""
    model, given = wrapped(score), x.clone().contiguous(memory_format=order)
    assert (model.notes, model.batch, model.no_gradient) == ([], None, None)
    torch.testing.assert_close(model.score(given), expected(x))
    assert torch.equal(given, x)
    image = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.score(image).sum(), image)
    factor = 2 if score is in_place else 1
    torch.testing.assert_close(gradient, torch.full_like(x, factor / x[0].numel()))
    assert torch.equal(image, x)


def test_scores_that_are_all_the_same_or_clamped_are_said(wrapped):
    assert wrapped(lambda x: 0 * mean(x) + 2).notes == [CONSTANT]
    assert wrapped(lambda x: (mean(x) + 1).clamp(0, 1)).notes == [CONSTANT, CLAMPED]
    assert wrapped(lambda x: (1000 * (mean(x) - 0.5)).clamp(0, 1)).notes == [CLAMPED]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused(wrapped, bad):
    with pytest.raises(InputError) as error:
        wrapped(lambda x: mean(x) * bad)
    assert str(error.value) == (
        "the model mine gives 5 of 5 images scores that aren't finite; check its weights, and that it gets "
        "images as in training (--mean, --std)"
    )


def test_double_weights_get_double_images(wrapped, tiny, x):
    model = wrapped(tiny.weighted(3).double().eval())
    assert model.score(x).dtype == torch.float64
    assert model.no_gradient is None
    image = x.clone().requires_grad_()
    model.score(image).sum().backward()
    assert image.grad.dtype == torch.float32


def test_half_weights_give_single_scores(wrapped, tiny, x):
    assert wrapped(tiny.weighted(3).bfloat16().eval()).score(x).dtype == torch.float32


def test_a_module_in_training_mode_is_put_into_evaluation_mode(wrapped, x):
    module = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(768, 1))
    model = wrapped(module)
    assert TRAINING in model.notes
    assert not any(part.training for part in module.modules())


def test_tensors_on_other_devices_are_named(wrapped):
    def other(x):
        raise RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu!")

    with pytest.raises(
        InputError, match=r"must be on the device of the images, cpu: move them, or set --device"
    ):
        wrapped(other)


def test_another_size_is_found_and_named(wrapped, tiny):
    with pytest.raises(InputError) as error:
        wrapped(tiny.flat(3 * 28 * 28).eval())
    assert str(error.value) == (
        "the model mine can't score images of 16x16 px, but those of 28x28 px; set --image-size 28"
    )


def test_a_model_that_fails_on_everything_says_its_own_error(wrapped):
    def broken(x):
        raise KeyError("no\nsuch layer")

    with pytest.raises(InputError) as error:
        wrapped(broken)
    assert "(KeyError: 'no\\nsuch layer')" in str(error.value)
    assert isinstance(error.value.__cause__, KeyError)


def test_a_foreign_error_has_no_control_characters(wrapped):
    def broken(x):
        raise ValueError("red \x1b[31malert\x07 \ud800 and\r\nmore")

    with pytest.raises(InputError) as error:
        wrapped(broken)
    assert "(ValueError: red [31malert and more)" in str(error.value)
    assert str(error.value).isprintable()


def test_arrays_are_scores_without_gradients(wrapped, x):
    model = wrapped(lambda x: np.asarray(x.detach()).mean(axis=(1, 2, 3)))
    assert (
        model.no_gradient
        == "the model's scores come without a gradient, so gradient methods can't explain it"
    )
    torch.testing.assert_close(model.score(x), mean(x))


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (lambda x: torch.from_numpy(x.numpy().mean(axis=(1, 2, 3))), "can't be computed"),
        (lambda x: (mean(x) * 100).round() / 100, "is zero everywhere"),
        (lambda x: mean(x) + (x - x).sum(dim=(1, 2, 3)).sqrt(), "isn't finite"),
    ],
)
def test_why_there_is_no_gradient(wrapped, score, reason):
    model = wrapped(score)
    assert reason in model.no_gradient
    assert model.no_gradient.endswith("so gradient methods can't explain it")
    assert "\n" not in model.no_gradient


def test_maps_come_at_the_images_size_and_not_negative(wrapped, x):
    def both(x):
        return mean(x), x.mean(dim=1, keepdim=True)[..., ::2, ::2] - 0.5

    model = wrapped(both)
    maps = model.anomaly_map(x)
    assert maps.shape == (5, 1, 16, 16)
    assert maps.min() >= 0
    assert torch.equal(model.score(x), mean(x))


def test_of_maps_alone_the_maximum_is_the_score(wrapped, x):
    model = wrapped(lambda x: 2 * x[:, :1])
    assert model.notes == [FROM_MAP]
    assert torch.equal(model.score(x), 2 * x[:, 0].amax(dim=(1, 2)))
    assert torch.equal(model.anomaly_map(x), 2 * x[:, :1])


class Scorer:
    """Not even a module."""

    def __init__(self, maps):
        self.maps = maps

    def score(self, x):
        return mean(x)

    def anomaly_map(self, x):
        return self.maps(x)


def test_maps_of_a_method_of_their_own(wrapped, x):
    model = wrapped(Scorer(lambda x: x[:, 0]))
    assert torch.equal(model.anomaly_map(x), x[:, :1])


def test_maps_that_cannot_be_used_are_said(wrapped):
    model = wrapped(Scorer(lambda x: x.mean()))
    assert not hasattr(model, "anomaly_map")
    (note,) = model.notes
    assert note.startswith("Its anomaly maps can't be used: the model gives an anomaly_map of shape ()")


def test_a_detector_of_this_package_stays_one(images):
    detector = build("fcdd", images, 0).eval()
    assert wrap(detector, name="mine", device=CPU) is detector
    with pytest.raises(InputError, match="a detector of this package standardises its images itself"):
        wrap(detector, name="mine", device=CPU, mean=[0], std=[1])


@pytest.mark.parametrize(("thing", "said"), [(None, "None is no model"), ("x.onnx", "a str is no model")])
def test_what_is_no_model_is_refused(thing, said):
    with pytest.raises(InputError, match=said):
        wrap(thing, name="mine", device=CPU)


def test_a_model_is_tried_on_at_least_two_pictures(images):
    model = wrap(mean, name="mine", device=CPU)
    for wrong in (images[:1], images.float()):
        with pytest.raises(ValueError, match="at least two images"):
            model.tried(wrong)
