"""How much of an artifact it takes, of detectors whose limits are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fcdd_audit.designs.finished.dose import GRID, OPACITIES, SIZES, STEPS, dose_of
from fcdd_audit.designs.finished.tested import planted_sides
from fcdd_audit.probes import PROBES
from fcdd_audit.probes.blends import Blend
from fcdd_audit.verdict.thresholds import Thresholds

CPU, LIMITS = torch.device("cpu"), Thresholds()
SIDE, IMAGES = 20, 5
WHITE = PROBES["patch"](pattern="plain", size=0.2, jitter=0.0, margin=0.05)  # 4 x 4 at row and column 1


class Bar:
    """Counts steps."""

    steps = 0

    def update(self):
        self.steps += 1


@pytest.fixture(scope="module")
def tested(image_set):
    """Black images, by default with the white patch on them."""

    def make(probe=WHITE, side="nominal"):
        black = image_set(IMAGES, SIDE, value=0)
        return planted_sides(probe, {"nominal": black, "anomalous": black}, 1)[side]

    return make


def dosed(score, tested, threshold):
    bar = Bar()
    dose = dose_of(score, tested, np.asarray(score(tested.images("clean"))), threshold, CPU, LIMITS, bar)
    return dose, bar.steps


def brightest(x):
    return x.amax(dim=(1, 2, 3))


def ink(x):
    """How many white pixels there are."""
    return x.sum(dim=(1, 2, 3))


def right_half(x):
    return x[..., SIDE // 2 :].sum(dim=(1, 2, 3))


def rates(steps):
    return {step.share: step.newly_wrong for step in steps}


def test_the_least_opacity_is_where_the_score_passes_the_threshold(tested):
    dose, _ = dosed(brightest, tested(), 0.3)
    assert rates(dose.opacity) == {0.05: 0, 0.1: 0, 0.2: 0, 0.35: 1, 0.5: 1, 0.7: 1, 1.0: 1}
    assert dose.least_opacity == 0.35
    assert dose.images == IMAGES


def test_the_least_size_is_where_enough_of_it_is_left(tested):
    """Of 4 x 4: at .25 and .35 one pixel is left, at .5 four, at .7 and .85 nine."""
    dose, _ = dosed(ink, tested(), 6)
    assert rates(dose.size) == {0.25: 0, 0.35: 0, 0.5: 0, 0.7: 1, 0.85: 1, 1.0: 1}
    assert dose.least_size == 0.7
    assert dose.least_opacity == 0.5, "16 at .35 are 5.6"


def test_places_are_a_map_of_where_it_is_harmful(tested):
    dose, _ = dosed(right_half, tested(), 6)
    assert dose.rows == dose.columns == (0, 3, 5, 8, 11, 13, 16)
    # From column 8 on two of its four columns are in the right half: 8 pixels.
    assert dose.places == ((0, 0, 0, 1, 1, 1, 1),) * GRID
    assert (dose.least_opacity, dose.least_size) == (None, None), "where it lies it does nothing"


def test_on_anomalous_images_it_hides(tested):
    dose, _ = dosed(lambda x: 1 - brightest(x), tested(side="anomalous"), 0.7)
    assert dose.least_opacity == 0.35
    assert rates(dose.opacity)[0.2] == 0


def test_each_step_has_its_exact_p(tested):
    dose, _ = dosed(brightest, tested(), 0.3)
    found = {step.share: step.p for step in dose.opacity}
    assert found[0.2] == 1
    assert found[1.0] == pytest.approx(0.05**IMAGES)


def test_a_detector_that_only_fears_weak_marks_has_no_dose(tested):
    """Steps are tested from the strongest down."""

    def weak(x):
        peak = brightest(x)
        return ((peak > 0.1) & (peak < 0.6)).float()

    dose, _ = dosed(weak, tested(), 0.5)
    assert rates(dose.opacity)[0.35] == 1
    assert dose.least_opacity is None


def test_as_many_steps_are_said_as_are_taken(tested):
    _, steps = dosed(brightest, tested(), 0.3)
    assert steps == len(OPACITIES) + len(SIZES) + GRID**2 == STEPS


def test_with_little_room_there_are_fewer_places(tested):
    dose, _ = dosed(brightest, tested(PROBES["patch"](pattern="plain", size=0.9, jitter=0.0)), 0.3)
    assert dose.rows == dose.columns == (0, 1, 2)
    assert np.shape(dose.places) == (3, 3)


def test_one_direction_may_have_no_room(tested):
    bar = PROBES["patch"](pattern="plain", size=0.2, aspect=5.0, jitter=0.0, margin=0.0)  # 20 x 4
    dose, _ = dosed(right_half, tested(bar), 6)
    assert dose.rows == (0,)
    assert dose.places == ((0, 0, 0, 1, 1, 1, 1),)


def test_what_is_all_over_the_image_can_only_be_weakened(tested):
    dose, steps = dosed(brightest, tested(PROBES["frame"]()), 0.3)
    assert steps == len(OPACITIES)
    assert (dose.size, dose.least_size, dose.places) == ((), None, ())
    assert dose.why_no_size == dose.why_no_places == "the artifact reaches over the whole image"


def test_what_has_another_size_on_each_image_can_only_be_weakened(tested):
    one = tested()
    mask = one.blend.mask.clone()
    mask[0, 0, 1] = False
    dose, _ = dosed(brightest, replace(one, blend=Blend(one.blend.alpha, one.blend.paint, mask)), 0.3)
    assert dose.why_no_size == dose.why_no_places == "the artifact's box isn't of one size on all images"
    assert dose.least_opacity is not None


def test_what_cannot_be_weakened_has_no_dose(tested):
    assert dosed(brightest, tested(PROBES["jpeg"]()), 0.3) == (None, 0)


def test_opacities_and_sizes_end_with_the_artifact_itself():
    for steps in (OPACITIES, SIZES):
        assert list(steps) == sorted(steps)
        assert steps[-1] == 1
