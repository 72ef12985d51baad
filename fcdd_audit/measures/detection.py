"""How well scores separate nominal from anomalous images. Scores: higher is more anomalous."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score


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
    """Chance that a random anomalous image scores higher than a nominal one, in [0, 1]; ties half."""
    ones = np.ones((1, len(nominal))), np.ones((1, len(anomalous)))
    return float(weighted_auroc(nominal, anomalous, *ones)[0])


def average_precision(nominal: np.ndarray, anomalous: np.ndarray) -> float:
    """Average precision with anomalous as the positive class, in [0, 1]; chance: their share."""
    labels = np.concatenate([np.zeros(len(nominal)), np.ones(len(anomalous))])
    return float(average_precision_score(labels, np.concatenate([nominal, anomalous])))


def threshold(validation: np.ndarray, quantile: float = 0.95) -> float:
    """Scores above this are called anomalous: a quantile of *nominal validation* scores, never of test."""
    return float(np.quantile(validation, quantile))


def rate_above(scores: np.ndarray, limit: float) -> float:
    """Share of scores above the threshold: the false positive rate of nominal images, in [0, 1].

    The false negative rate of anomalous images is 1 minus this.
    """
    return float((scores > limit).mean())
