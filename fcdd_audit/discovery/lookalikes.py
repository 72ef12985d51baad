"""Which windows look alike, wherever in them lies what they show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import AgglomerativeClustering
from torch import Tensor

from fcdd_audit.discovery.windows import floats

LEVELS = {1: 17, 3: 5}  # of a channel in a histogram, by the number of channels
LOOKALIKES = 5  # other donors that count together with one
UNALIKE = 0.3  # distance of histograms, in [0, 1], from which groups of windows aren't joined


def alike(windows: Sequence[Tensor]) -> np.ndarray:
    """Which windows look alike: group labels, int (N,), numbered by first appearance.

    windows: (C, h, w) each, in [0, 1] or uint8, of any size. Colour histograms are compared by the
    Bhattacharyya coefficient, so that a disc is alike wherever it lies in its window; groups are joined while
    the mean of 1 - coefficient between them is under 0.3.
    """
    return _grouped(roots_of(windows))


def roots_of(windows: Sequence[Tensor]) -> np.ndarray:
    """Roots of colour histograms, (N, bins): their products sum up to the Bhattacharyya coefficient."""
    return np.sqrt(np.stack([_histogram(floats(one)) for one in windows])) if windows else np.empty((0, 1))


def with_lookalikes(values: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Each donor's value, (D,), averaged with the mean of the donors that look most alike."""
    likeness = roots @ roots.T
    np.fill_diagonal(likeness, -1)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :LOOKALIKES]
    together: np.ndarray = (values + values[nearest].mean(axis=1)) / 2
    return together


def weightiest(roots: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Groups as in `alike`, numbered by their weight: mean strength times the root of how many they are."""
    labels = _grouped(roots)
    sizes = np.bincount(labels)
    weight = np.bincount(labels, strength) / np.sqrt(sizes)
    place: np.ndarray = np.argsort(np.argsort(-weight, kind="stable"))[labels]
    return place


def _grouped(roots: np.ndarray) -> np.ndarray:
    if len(roots) < 2:
        return np.zeros(len(roots), int)
    clustering = AgglomerativeClustering(
        None, metric="precomputed", linkage="average", distance_threshold=UNALIKE
    )
    raw = clustering.fit_predict((1 - roots @ roots.T).clip(0, 1))
    _, firsts, inverse = np.unique(raw, return_index=True, return_inverse=True)
    labels: np.ndarray = np.argsort(np.argsort(firsts))[inverse]
    return labels


def _histogram(window: Tensor) -> np.ndarray:
    """Shares of colours, (bins,). A pixel is shared out to the levels on both sides of its value, so that a
    small difference makes no other colour."""
    channels, levels = len(window), LEVELS[len(window)]
    values = window.reshape(channels, -1).double().numpy() * (levels - 1)
    below = np.floor(values).clip(0, levels - 2).astype(int)
    above = values - below
    counts = np.zeros(levels**channels)
    for corner in np.ndindex(*(2,) * channels):
        index = np.zeros(values.shape[1], int)
        weight = np.ones(values.shape[1])
        for channel, up in enumerate(corner):
            index = index * levels + below[channel] + up
            weight = weight * (above[channel] if up else 1 - above[channel])
        counts += np.bincount(index, weight, len(counts))
    shares: np.ndarray = counts / values.shape[1]
    return shares
