"""What a finished detector makes of its test images."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.designs.finished.measuring import measure, score_all
from fcdd_audit.designs.finished.tested import found_sides, planted_sides
from fcdd_audit.experiment.explaining import scored_at_once
from fcdd_audit.images.pairs import Pairs
from fcdd_audit.natural.removal import inpaint
from fcdd_audit.probes import PROBES

CPU = torch.device("cpu")
IMAGES, PLACEBOS = 6, 8
BAR = SimpleNamespace(update=lambda marks: None)
BOX = (..., slice(1, 9), slice(1, 9))  # where the artifact is


def brightness(x):
    return x.mean(dim=(1, 2, 3))


def in_box(x):
    """Heat on the artifact's place alone, more where it is brighter than grey."""
    heat = torch.zeros_like(x[:, :1])
    heat[BOX] = 1 + x[BOX].mean(dim=1, keepdim=True)
    return heat


@pytest.fixture(scope="module")
def tested(image_set):
    sides = {"nominal": image_set(IMAGES), "anomalous": image_set(IMAGES, seed=1)}
    return planted_sides(PROBES["patch"](size=0.5, jitter=0.0, margin=0.05), sides, PLACEBOS)["nominal"]


@pytest.fixture(scope="module")
def found(image_set):
    """An artifact that came with the images."""
    images, mask = image_set(IMAGES).images.clone(), torch.zeros(IMAGES, 1, 16, 16, dtype=torch.bool)
    mask[BOX] = True
    images[BOX] = 250
    names = tuple(map(str, range(IMAGES)))
    pairs = Pairs("nominal", names, {"clean": inpaint(images, mask), "marked": images}, mask)
    return found_sides({"nominal": pairs}, PLACEBOS)["nominal"]


# Scores


def test_scores_are_of_images_in_0_to_1_whatever_they_are_stored_as(image_set):
    images = image_set(40).images
    assert scored_at_once(CPU) < 40, "more than one batch"
    expected = images.double().mean(dim=(1, 2, 3)) / 255
    for x in (images, images.float() / 255):
        scores = score_all(brightness, x, CPU)
        assert (scores.dtype, scores.shape) == (np.float64, (40,))
        np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_scores_are_asked_for_in_batches_without_gradients(image_set):
    seen = []

    def score(x):
        seen.append((len(x), x.dtype, torch.is_grad_enabled()))
        return brightness(x)

    score_all(score, image_set(scored_at_once(CPU) + 3).images, CPU)
    assert seen == [(scored_at_once(CPU), torch.float32, False), (3, torch.float32, False)]


@pytest.mark.parametrize(
    ("score", "error", "said"),
    [
        (lambda x: x[:, 0, 0], InputError, r"shape \(6, 16\) for 6 images; it must give one number an image"),
        (lambda x: brightness(x)[:, None], InputError, r"shape \(6, 1\)"),
        (lambda x: brightness(x).mean(), InputError, r"shape \(\)"),
        (lambda x: brightness(x) / 0, RunError, "scores that aren't finite"),
        (lambda x: brightness(x) * float("nan"), RunError, "scores that aren't finite"),
    ],
)
def test_scores_that_cannot_be_used_are_refused(image_set, score, error, said):
    with pytest.raises(error, match=said) as caught:
        score_all(score, image_set(6).images, CPU)
    assert "\n" not in str(caught.value)


# All that is measured


def test_scores_are_of_each_mark_in_its_turn(tested):
    numbers = measure(brightness, tested, CPU, {}, 30, PLACEBOS, BAR)
    assert numbers.overlaps == {}
    places = tested.tried.numpy()
    np.testing.assert_allclose(numbers.clean[places], brightness(tested.images("clean")), atol=1e-6)
    np.testing.assert_allclose(numbers.marked[places], brightness(tested.images("marked")), atol=1e-6)
    expected = [brightness(mark.images).numpy() for mark in tested.marks()]
    np.testing.assert_allclose(numbers.tried, expected, atol=1e-6)
    assert numbers.tried.shape == (1 + PLACEBOS, IMAGES)


@pytest.mark.parametrize("compared", [1, 5])
def test_only_so_many_placebos_are_scored_as_are_compared(tested, compared):
    whole = measure(brightness, tested, CPU, {}, 30, PLACEBOS, BAR)
    some = measure(brightness, tested, CPU, {"box": in_box}, 30, compared, BAR)
    np.testing.assert_array_equal(some.tried, whole.tried[: compared + 1])
    assert len(some.overlaps["box"]) == 1 + PLACEBOS, "all are explained"


def test_marks_that_are_neither_scored_nor_explained_are_not_made(tested):
    steps = []
    measure(
        brightness, tested, CPU, {}, 30, 3, SimpleNamespace(update=lambda marks: steps.extend([1] * marks))
    )
    assert len(steps) == 1 + 3


def test_overlaps_are_of_the_first_tried_images_and_by_explainer(tested):
    asked = {"box": in_box, "away": lambda x: 1 / in_box(x).clamp_min(0.01), "even": lambda x: x[:, :1] * 0}
    numbers = measure(brightness, tested, CPU, asked, 4, PLACEBOS, BAR)
    assert list(numbers.overlaps) == list(asked)
    for name, expected in (("box", 1), ("away", 0), ("even", 0.5)):
        assert numbers.overlaps[name].shape == (1 + PLACEBOS, 4)
        np.testing.assert_allclose(numbers.overlaps[name], expected)


def test_explainers_alone_score_nothing(tested):
    numbers = measure(None, tested, CPU, {"box": in_box}, 4, PLACEBOS, BAR)
    assert (len(numbers.clean), len(numbers.marked), numbers.tried.size) == (0, 0, 0)
    assert (numbers.overlaps["box"] == 1).all()


def test_explanations_may_use_gradients(tested):
    def gradient(x):
        x = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(((1 + x[BOX]) ** 2).sum(), x)
        return slope

    numbers = measure(None, tested, CPU, {"gradient": gradient}, 3, PLACEBOS, BAR)
    assert (numbers.overlaps["gradient"] > 0.8).all()


def test_heat_that_is_not_finite_is_refused(tested):
    with pytest.raises(RunError, match="the explanation 'bad' gives heatmaps that aren't finite"):
        measure(None, tested, CPU, {"bad": lambda x: x[:, :1] / 0}, 3, PLACEBOS, BAR)


def test_without_placebos_there_are_scores_and_no_overlaps(image_set):
    sides = {"nominal": image_set(IMAGES), "anomalous": image_set(IMAGES)}
    tested = planted_sides(PROBES["jpeg"](), sides, PLACEBOS)["nominal"]
    numbers = measure(brightness, tested, CPU, {"box": in_box}, 4, PLACEBOS, BAR)
    assert len(numbers.clean) == len(numbers.marked) == IMAGES
    assert (numbers.tried.size, numbers.overlaps) == (0, {})


# A found artifact


def test_images_as_they_were_found_are_explained_once(found):
    seen = []

    def explain(x):
        seen.append(x)
        return in_box(x)

    numbers = measure(brightness, found, CPU, {"box": explain}, 4, PLACEBOS, BAR)
    (x,) = seen
    torch.testing.assert_close(x, found.images("marked")[:4])
    overlaps = numbers.overlaps["box"]
    assert overlaps.shape == (1 + PLACEBOS, 4)
    assert (overlaps[0] == 1).all()
    assert (overlaps[1:] < 0.7).all(), "the heat isn't elsewhere"


def test_scores_are_of_what_is_left_after_each_removal(found):
    numbers = measure(brightness, found, CPU, {}, 4, PLACEBOS, BAR)
    places = found.tried.numpy()
    clean, marked = numbers.clean[places], numbers.marked[places]
    np.testing.assert_allclose(marked, brightness(found.images("marked")), atol=1e-6)
    np.testing.assert_array_equal(numbers.tried[0], clean)
    assert (numbers.tried[0] < marked - 0.1).all()
    assert (numbers.tried[1:] > clean).all()


@pytest.mark.parametrize(("hands", "together"), [(1, 1), (2, 1), (2, 3), (3, 4)])
def test_however_many_work_at_the_same_time_the_numbers_are_the_same(tested, hands, together):
    explainers = {"own": lambda x: x.mean(dim=1, keepdim=True)}
    alone = measure(brightness, tested, CPU, explainers, 3, 4, BAR)
    others = [(brightness, explainers)] * (hands - 1)
    found = measure(brightness, tested, CPU, explainers, 3, 4, BAR, others, together)
    np.testing.assert_array_equal(found.tried, alone.tried)
    np.testing.assert_array_equal(found.overlaps["own"], alone.overlaps["own"])
