"""What an artifact does to a finished detector, and beyond placebos: marks of its size, place and contrast,
but of other content."""

from __future__ import annotations

import numpy as np

from fcdd_audit.core.sides import Side
from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.statistics import holm, interquartile_range, share_p_value
from fcdd_audit.measures.table import Measure, register

RANK_SOURCE = "Phipson & Smyth 2010"
EXACT_SOURCE = "Clopper & Pearson 1934"


def newly_wrong(without: np.ndarray, bearing: np.ndarray, limit: float, side: Side) -> np.ndarray:
    """Share of the images of one side whose decision at the frozen threshold is right without the artifact
    and wrong with it: nominal images that raise an alarm, anomalies that hide.

    without, bearing: scores, (..., images), that broadcast. limit: the threshold; a score above it is an
    alarm. Returns (...,), in [0, 1].
    """
    wrong_without, wrong = (values > limit for values in (without, bearing))
    if side == "anomalous":
        wrong_without, wrong = ~wrong_without, ~wrong
    return (wrong & ~wrong_without).mean(axis=-1)


def own_shift(without: np.ndarray, bearing: np.ndarray, unit: np.ndarray) -> float:
    """Median change of the score by the artifact, in inter-quartile ranges of the scores of nominal images
    without it; positive: more anomalous.

    without, bearing: scores of one side, (images,). unit: those of nominal images, (n,). NaN where these have
    no range.
    """
    return float(np.median(bearing - without)) / interquartile_range(unit)


def auroc_lost(clean: float, nominal: np.ndarray, anomalous: np.ndarray) -> float:
    """AUROC on the test images without the artifact, less the AUROC when those of one side bear it.

    clean: the first of them. nominal, anomalous: scores, (images,), those of one side with the mark.
    In [-1, 1]; positive: the mark misleads.
    """
    return clean - auroc(nominal, anomalous)


def beyond_placebos(values: np.ndarray) -> float:
    """The artifact's value, less the mean of the placebos'.

    values: (1 + placebos,), the artifact's first.
    """
    return float(values[0] - values[1:].mean())


def as_strong(values: np.ndarray) -> int:
    """How many placebos do as much as the artifact, or more.

    values: (1 + placebos,), the artifact's first.
    """
    return int((values[1:] >= values[0]).sum())


def rank_p_value(values: np.ndarray) -> float:
    """Chance of a value as high among placebos, were the artifact one of them.

    values: (1 + placebos,), the artifact's first. It is (1 + those as high) / (1 + placebos), in (0, 1]:
    exact, not an estimate.
    """
    return (1 + as_strong(values)) / len(values)


def likeness(correlations: np.ndarray) -> float:
    """Median absolute correlation of the placebos' content with the artifact's.

    correlations: of each placebo's pixels with the artifact's, (placebos,), in [-1, 1].
    """
    return float(np.median(np.abs(correlations)))


for _measure in (
    Measure(
        name="newly_wrong",
        label="new alarms, or newly hidden anomalies",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=newly_wrong,
        source=EXACT_SOURCE,
        family="placebos",
        row=("artifact", "newly_wrong"),
    ),
    Measure(
        name="p_newly_wrong",
        label="p of new alarms or hidden anomalies",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=share_p_value,
        source=EXACT_SOURCE,
        family="placebos",
        row=("artifact", "p_newly_wrong"),
    ),
    Measure(
        name="own_shift",
        label="score shift by the artifact",
        unit="inter-quartile ranges of the nominal scores",
        bounds=(-np.inf, np.inf),
        chance=None,
        function=own_shift,
        source=None,
        family="placebos",
        row=("artifact", "own_shift"),
    ),
    Measure(
        name="auroc_lost",
        label="AUROC lost",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=auroc_lost,
        source=None,
        family="placebos",
        row=("artifact", "auroc_lost"),
    ),
    Measure(
        name="beyond_placebos",
        label="beyond placebos",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=beyond_placebos,
        source=None,
        family="placebos",
        row=("artifact", "beyond_placebos"),
    ),
    Measure(
        name="as_strong",
        label="placebos that do as much",
        unit="placebos",
        bounds=(0, np.inf),
        chance=None,
        function=as_strong,
        source=None,
        family="placebos",
        row=("artifact", "as_strong"),
    ),
    Measure(
        name="p",
        label="p",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=rank_p_value,
        source=RANK_SOURCE,
        family="placebos",
        row=("artifact", "p"),
    ),
    Measure(
        name="p_holm",
        label="p, corrected",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=holm,
        source="Holm 1979",
        family="placebos",
        row=("artifact", "p_holm"),
    ),
    Measure(
        name="likeness",
        label="likeness of the placebos",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=likeness,
        source=None,
        family="placebos",
        row=("placebos", "likeness"),
    ),
):
    register(_measure)
