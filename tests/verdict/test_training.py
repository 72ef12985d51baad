"""Whether control twins were trained enough, from losses that are known."""

import dataclasses

import numpy as np
import pytest

from fcdd_audit.verdict.thresholds import Thresholds
from fcdd_audit.verdict.training import advised_steps, judge_training, loss_fall

LIMITS = Thresholds()


def losses(*ends):
    """Trainings whose mean loss is 1 in each of the first eight tenths, and then as given."""
    return np.array([[1.0] * 8 + list(end) for end in ends])


def judged(auroc, tenths=None, steps=1000):
    return judge_training(auroc, steps, tenths, LIMITS)


def test_the_fall_is_that_of_the_mean_over_trainings():
    assert loss_fall(losses((0.5, 0.4))) == pytest.approx(0.2)
    assert loss_fall(losses((0.5, 0.4), (0.3, 0.4))) == pytest.approx(0)
    assert loss_fall(losses((0.5, 0.6))) == pytest.approx(-0.2)


@pytest.mark.parametrize("tenths", [None, np.empty((0, 10)), losses((0.0, 0.0)), losses((-1.0, -2.0))])
def test_without_positive_losses_there_is_no_fall(tenths):
    assert loss_fall(tenths) is None


@pytest.mark.parametrize(
    ("auroc", "end", "short"),
    [
        (0.69, (0.5, 0.5), "detects-little"),
        (0.69, (0.5, 0.4), "detects-little"),
        (0.7, (0.5, 0.5), None),
        (0.7, (0.5, 0.4), "still-falling"),
        (0.89, (0.5, 0.44), "still-falling"),
        (0.89, (0.5, 0.46), None),
        (0.9, (0.5, 0.1), None),
        (0.99, (0.5, 0.6), None),
    ],
)
def test_it_wasnt_enough_if_little_is_detected_or_not_well_while_the_loss_falls(auroc, end, short):
    found = judged(auroc, losses(end))
    assert (found.short, found.steps) == (short, 1000)
    assert (found.said is None) == (found.steps_advised is None) == (short is None)
    assert found.loss_fall == pytest.approx(1 - end[1] / end[0])


def test_one_noisy_training_among_several_says_nothing():
    quiet, noisy = (0.5, 0.5), (0.6, 0.45)
    assert judged(0.8, losses(noisy)).short == "still-falling"
    assert judged(0.8, losses(noisy, quiet, quiet, quiet)).short is None


def test_without_losses_only_the_auroc_tells():
    assert judged(0.8).short is None
    assert judged(0.6).short == "detects-little"


@pytest.mark.parametrize(
    ("made", "advised"), [(10, 1000), (108, 1000), (345, 1100), (1000, 3000), (1234, 3800), (20_000, 60_000)]
)
def test_three_times_the_steps_are_advised_and_at_least_a_thousand(made, advised):
    assert advised_steps(made) == advised


def test_what_is_said():
    assert judged(0.484, losses((0.5, 0.5)), 108).said == (
        "the control twins detect little after 108 training steps (AUROC 0.48); train longer (--steps 1000), "
        "on more images, or at a larger size (--image-size)"
    )
    assert judged(0.62, losses((0.5, 0.4)), 1000).said == (
        "the control twins detect little after 1,000 training steps (AUROC 0.62), and were still learning: "
        "in the last tenth of the steps their loss fell by another 20 %; train longer (--steps 3000)"
    )
    assert judged(0.8, losses((0.5, 0.4)), 1000).said == (
        "the control twins were still learning after 1,000 training steps (AUROC 0.80): in the last tenth of "
        "the steps their loss fell by another 20 %; train longer (--steps 3000)"
    )
    unknown = judge_training(0.5, None, None, LIMITS)
    assert unknown.said == (
        "the control twins detect little (AUROC 0.50); train longer, on more images, or at a larger size "
        "(--image-size)"
    )
    assert unknown.steps_advised is None


def test_the_limits_can_be_changed():
    limits = dataclasses.replace(LIMITS, weak_auroc=0.5, good_auroc=0.6)
    assert judge_training(0.65, 100, losses((0.5, 0.1)), limits).short is None
