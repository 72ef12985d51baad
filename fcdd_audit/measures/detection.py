"""How well scores separate nominal from anomalous images. Scores: higher is more anomalous."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score

from fcdd_audit.measures.table import HALF, Chance, Measure, register


def weighted_auroc(
    nominal: np.ndarray,
    anomalous: np.ndarray,
    nominal_weights: np.ndarray,
    anomalous_weights: np.ndarray,
) -> np.ndarray:
    """AUROC in [0, 1] under many weightings of the images at once; ties count half.

    nominal: (n,) and anomalous: (m,) scores; the weights: (draws, n) and (draws, m), non-negative.
    Returns (draws,). One sort serves all draws. ValueError for a NaN score.
    """
    if np.isnan(nominal).any() or np.isnan(anomalous).any():
        raise ValueError("scores must not be NaN")
    order = np.argsort(nominal)
    cumulated = np.zeros((len(nominal_weights), len(nominal) + 1))
    np.cumsum(nominal_weights[:, order], axis=1, out=cumulated[:, 1:])
    ordered = nominal[order]
    below = cumulated[:, np.searchsorted(ordered, anomalous, side="left")]
    up_to = cumulated[:, np.searchsorted(ordered, anomalous, side="right")]
    won = (anomalous_weights * (below + up_to)).sum(axis=1) / 2
    return won / (nominal_weights.sum(axis=1) * anomalous_weights.sum(axis=1))


def placements(nominal: np.ndarray, anomalous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Placement values of each nominal, (n,), and anomalous image, (m,), all in [0, 1]: the share of images
    of the other side that it is in the right order with; ties count half. The mean of either is the AUROC.

    Source: DeLong, DeLong & Clarke-Pearson 1988. ValueError for a NaN score.
    """
    if np.isnan(nominal).any() or np.isnan(anomalous).any():
        raise ValueError("scores must not be NaN")

    def share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
        ordered = np.sort(others)
        twice = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
        return twice / (2 * len(others))

    return 1 - share_below(nominal, anomalous), share_below(anomalous, nominal)


def auroc(nominal: np.ndarray, anomalous: np.ndarray) -> float:
    """How often a random anomalous image scores higher than a random nominal one; ties count half.

    ValueError for a NaN score.
    """
    ones = np.ones((1, len(nominal))), np.ones((1, len(anomalous)))
    return float(weighted_auroc(nominal, anomalous, *ones)[0])


AUROC = register(
    Measure(
        name="auroc",
        label="AUROC",
        unit=None,
        bounds=(0, 1),
        chance=HALF,
        function=auroc,
        source="Hanley & McNeil 1982",
        family="detection",
        row=None,
    )
)


def average_precision(nominal: np.ndarray, anomalous: np.ndarray) -> float:
    """Precision at each anomalous image's score, averaged over them, with anomalous as the positive class."""
    labels = np.concatenate([np.zeros(len(nominal)), np.ones(len(anomalous))])
    return float(average_precision_score(labels, np.concatenate([nominal, anomalous])))


register(
    Measure(
        name="average_precision",
        label="average precision",
        unit=None,
        bounds=(0, 1),
        chance=Chance("the share of anomalous images", lambda share: share),
        function=average_precision,
        source="scikit-learn, average_precision_score",
        family="detection",
        row=None,
    )
)


def threshold(validation: np.ndarray, quantile: float = 0.95) -> float:
    """Scores above this are called anomalous: a quantile of nominal validation scores, never of test."""
    return float(np.quantile(validation, quantile))


THRESHOLD = register(
    Measure(
        name="threshold",
        label="threshold",
        unit="units of the score",
        bounds=(-np.inf, np.inf),
        chance=None,
        function=threshold,
        source=None,
        family="threshold",
        row=("validation", "threshold"),
    )
)


def rate_above(scores: np.ndarray, limit: float) -> float:
    """Share of scores above the threshold, in [0, 1]."""
    return float((scores > limit).mean())


def false_positive_rate(nominal: np.ndarray, anomalous: np.ndarray, limit: float) -> float:
    """Share of nominal images that are called anomalous."""
    return rate_above(nominal, limit)


register(
    Measure(
        name="fpr",
        label="FPR",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=false_positive_rate,
        source=None,
        family="decision",
        row=None,
    )
)


def false_negative_rate(nominal: np.ndarray, anomalous: np.ndarray, limit: float) -> float:
    """Share of anomalous images that are called nominal."""
    return 1 - rate_above(anomalous, limit)


register(
    Measure(
        name="fnr",
        label="FNR",
        unit=None,
        bounds=(0, 1),
        chance=None,
        function=false_negative_rate,
        source=None,
        family="decision",
        row=None,
    )
)
