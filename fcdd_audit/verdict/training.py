"""Were the control twins trained enough for a verdict to say something?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from fcdd_audit.core.text import share
from fcdd_audit.verdict.thresholds import Thresholds

Short = Literal["detects-little", "still-falling"]

LEAST_STEPS, TIMES = 1000, 3  # of what is advised: at least so many steps, and so many times those made


@dataclass(frozen=True)
class Training:
    """How long the control twins were trained, and whether that was enough."""

    steps: Annotated[
        int | None,
        Field(description="Training steps of each twin; null where none are recorded, as of your own code."),
    ]
    loss_fall: Annotated[
        float | None,
        Field(
            description="By which share the control twins' mean loss in the last tenth of the steps is below "
            "that in the tenth before; negative where it rose, null where it isn't recorded or there were "
            "fewer than ten steps."
        ),
    ]
    short: Annotated[
        Short | None,
        Field(
            description="Why it wasn't enough: the control `detects-little`, or doesn't detect well and its "
            "loss was `still-falling`; null where it was."
        ),
    ]
    said: Annotated[
        str | None, Field(description="The same in words, and what to do; null where it was enough.")
    ]
    steps_advised: Annotated[
        int | None,
        Field(description="How many steps to try; null where it was enough, or none are recorded."),
    ]


def loss_fall(tenths: np.ndarray | None) -> float | None:
    """By which share the mean loss fell from the ninth to the last tenth of the steps.

    tenths: (trainings, 10), the mean loss of each tenth of each training. The means over trainings are
    compared: one training's tenth is a mean over few batches. None without any, or where the loss wasn't
    positive, so that a share says nothing.
    """
    if tenths is None or len(tenths) == 0:
        return None
    before, last = tenths[:, -2:].mean(axis=0)
    return float(1 - last / before) if before > 0 and last > 0 else None


def advised_steps(steps: int) -> int:
    """Three times as many, at least 1,000, rounded up to two digits."""
    wanted = max(LEAST_STEPS, TIMES * steps)
    unit = 10 ** (len(str(wanted)) - 2)
    return -(-wanted // unit) * unit


def judge_training(
    auroc: float, steps: int | None, tenths: np.ndarray | None, limits: Thresholds
) -> Training:
    """Whether the control twins were trained enough.

    auroc: what their ability to detect is judged by. steps, tenths: of their training, as far as that is
    known (see `loss_fall`).
    """
    fall = loss_fall(tenths)
    falling = fall is not None and fall > limits.loss_fall
    short: Short | None = None
    if auroc < limits.weak_auroc:
        short = "detects-little"
    elif auroc < limits.good_auroc and falling:
        short = "still-falling"
    if short is None:
        return Training(steps, fall, None, None, None)
    more = None if steps is None else advised_steps(steps)
    return Training(steps, fall, short, _said(auroc, steps, fall, falling, short, more), more)


def _said(
    auroc: float, steps: int | None, fall: float | None, falling: bool, short: Short, more: int | None
) -> str:
    after = "" if steps is None else f" after {steps:,} training steps"
    longer = "train longer" + ("" if more is None else f" (--steps {more})")
    fell = "" if fall is None else f"in the last tenth of the steps their loss fell by another {share(fall)}"
    if short == "still-falling":
        return f"the control twins were still learning{after} (AUROC {auroc:.2f}): {fell}; {longer}"
    found = f"the control twins detect little{after} (AUROC {auroc:.2f})"
    if falling:
        return f"{found}, and were still learning: {fell}; {longer}"
    return f"{found}; {longer}, on more images, or at a larger size (--image-size)"
