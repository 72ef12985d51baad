"""What an artifact does beyond placebos: marks of its size, place and contrast, but of other content."""

from __future__ import annotations

import numpy as np

from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.statistics import holm
from fcdd_audit.measures.table import Measure, register

RANK_SOURCE = "Phipson & Smyth 2010"


def auroc_lost(clean: float, nominal: np.ndarray, anomalous: np.ndarray) -> float:
    """AUROC on clean test images, less the AUROC when the images of one side bear a mark.

    clean: the first of them. nominal, anomalous: scores, (images,), those of one side with the mark.
    In [-1, 1]; positive: the mark misleads.
    """
    return clean - auroc(nominal, anomalous)


def beyond_placebos(values: np.ndarray) -> float:
    """The artifact's value, less the median of the placebos'.

    values: (1 + placebos,), the artifact's first.
    """
    return float(values[0] - np.median(values[1:]))


def rank_p_value(observed: float, placebos: np.ndarray) -> float:
    """Chance of a value as high among placebos, were the artifact one of them.

    It is (1 + #{placebo >= observed}) / (placebos + 1), in (0, 1]: exact, not an estimate.
    """
    return float((1 + (placebos >= observed).sum()) / (len(placebos) + 1))


def likeness(correlations: np.ndarray) -> float:
    """Median absolute correlation of the placebos' content with the artifact's.

    correlations: of each placebo's pixels with the artifact's, (placebos,), in [-1, 1].
    """
    return float(np.median(np.abs(correlations)))


for _measure in (
    Measure(
        name="auroc_lost",
        label="AUROC lost",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=auroc_lost,
        source=None,
        family="placebos",
        row=("artifact", "effect"),
    ),
    Measure(
        name="auroc_lost_beyond_placebos",
        label="AUROC lost beyond placebos",
        unit=None,
        bounds=(-2, 2),
        chance=None,
        function=beyond_placebos,
        source=None,
        family="placebos",
        row=("artifact", "reliance"),
    ),
    Measure(
        name="pixel_auroc_beyond_placebos",
        label="pixel AUROC beyond placebos",
        unit=None,
        bounds=(-1, 1),
        chance=None,
        function=beyond_placebos,
        source=None,
        family="placebos",
        row=("artifact", "excess_pixel_auroc"),
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
        name="score_shift_p",
        label="p of the score shift",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=rank_p_value,
        source=RANK_SOURCE,
        family="placebos",
        row=("artifact", "score_shift_p"),
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
