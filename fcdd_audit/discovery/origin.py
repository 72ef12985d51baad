"""Whether the training images of the two sides differ in how they were made rather than in what they show.

A detector that learns from both sides can learn such a difference instead of the anomaly. The check needs no
detector: it compares simple features of the files and of the pixels before anything is trained.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from fcdd_audit.core.text import plain
from fcdd_audit.discovery.features import CATEGORIES, CONTENT_FREE, GROUPS, MEASURED, Feature, Group, features
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.measures.detection import placements
from fcdd_audit.measures.statistics import Interval

Status = Literal["warning", "note", "none", "unchecked"]

BINS = 8  # of a feature, for each side


@dataclass(frozen=True)
class Limits:
    """Every constant that the check depends on.

    fewest: images a side; with fewer there is no check. most: images a side that are looked at. folds: of the
    cross-validation. separates: an AUROC tells the sides apart if its interval lies above this; far enough
    above 0.5 that the small differences between any two collections don't count. confidence: of the
    intervals. named: features that the summary names, at most.
    """

    fewest: int = 20
    most: int = 2000
    folds: int = 5
    separates: float = 0.6
    confidence: float = 0.95
    named: int = 3


@dataclass(frozen=True)
class Contrast:
    """How well one feature alone tells the sides apart.

    nominal, anomalous: its typical value on each side. auroc: two-sided, value in [0.5, 1].
    """

    feature: str
    about: Feature
    nominal: float
    anomalous: float
    auroc: Interval

    def words(self) -> str:
        """Such as `original width (32 px against 64 px)`."""
        unit = f" {self.about.unit}" if self.about.unit else ""
        return f"{self.about.label} ({plain(self.nominal)}{unit} against {plain(self.anomalous)}{unit})"

    def as_json(self) -> dict[str, Any]:
        """Its entry in findings.json."""
        return {
            "feature": self.feature,
            "group": self.about.group,
            "label": self.about.label,
            "unit": self.about.unit,
            "typical": self.about.typical,
            "nominal": self.nominal,
            "anomalous": self.anomalous,
            "auroc": asdict(self.auroc),
        }


@dataclass(frozen=True)
class OriginCheck:
    """What the check found.

    status: `warning` if features that have nothing to do with what is shown tell the sides apart; `note` if
    only features do that can be due to it; `none`; `unchecked`, with the `reason`. images: looked at, nominal
    and anomalous. files_compared: whether facts about the files were. groups: out-of-fold AUROC of a
    classifier, in [0, 1], by group of features; groups that are constant are left out. contrasts: single
    features that aren't constant, the best first.
    """

    status: Status
    images: tuple[int, int]
    reason: str | None = None
    files_compared: bool = False
    groups: tuple[tuple[Group, Interval], ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    limits: Limits = Limits()

    def separating(self) -> tuple[Group, ...]:
        """The groups that the status is about and that tell the sides apart."""
        found = [group for group, auroc in self.groups if auroc.low > self.limits.separates]
        return tuple(group for group in found if self.status == "note" or group in CONTENT_FREE)

    def summary(self, learners: Sequence[str]) -> str:
        """In a sentence or two. learners: the audited detectors that learn from anomalous images."""
        sides = "Nominal and anomalous training images"
        if self.status == "unchecked":
            return f"{sides} are not compared: {self.reason}."
        if self.status == "none":
            return f"{sides} were not found to differ in how they were made."
        groups = self.separating()
        best = max(auroc.value for group, auroc in self.groups if group in groups)
        by = f"{self._named(groups)}; AUROC {best:.2f}"
        effect = f"{', '.join(learners)} can learn it instead of the anomaly."
        if not learners:
            effect = "no audited detector learns from anomalous images, so none can learn it."
        if self.status == "note":
            return f"{sides} differ in {by}. That can be due to what they show; if it isn't, {effect}"
        return f"{sides} can be told apart without looking at what they show, by {by}: {effect}"

    def _named(self, groups: Sequence[Group]) -> str:
        """The best single features, one a category, or the groups if only their features together tell."""
        named: dict[str, str] = {}
        for contrast in self.contrasts:
            if contrast.about.group in groups and contrast.auroc.low > self.limits.separates:
                named.setdefault(contrast.feature.split("=")[0], contrast.words())
        if not named:
            return f"{' and '.join(GROUPS[group] for group in groups)} taken together"
        return ", ".join(list(named.values())[: self.limits.named])

    def as_json(self) -> dict[str, Any]:
        """Its part of findings.json."""
        nominal, anomalous = self.images
        return {
            "status": self.status,
            "reason": self.reason,
            "images": {"nominal": nominal, "anomalous": anomalous},
            "files_compared": self.files_compared,
            "groups": [
                {"group": group, "content_free": group in CONTENT_FREE, "auroc": asdict(auroc)}
                for group, auroc in self.groups
            ],
            "features": [contrast.as_json() for contrast in self.contrasts],
            "limits": asdict(self.limits),
        }


def check_origin(nominal: ImageSet, anomalous: ImageSet, limits: Limits | None = None) -> OriginCheck:
    """Tell the two sides' images apart by how they were made, if that can be done.

    Which images are looked at depends on their names only; neither their order nor which side is which
    changes an AUROC. Copies of an image count once. The images need the same channels and size.
    """
    limits = limits or Limits()
    both = (nominal, anomalous)
    counts = (len(nominal), len(anomalous))
    if min(counts) < limits.fewest:
        return _unchecked(counts, "", limits)
    tables = [_distinct(table) for table in _comparable(*(features(_sample(s, limits.most)) for s in both))]
    counts = (len(tables[0]), len(tables[1]))
    if min(counts) < limits.fewest:
        return _unchecked(counts, "different ", limits)
    varying = pd.concat(tables).nunique(dropna=False) > 1
    sides = [table.loc[:, varying].to_numpy() for table in tables]
    about = {str(name): _about(str(name)) for name in varying.index[varying]}
    folds = _folds(sides, limits.folds)
    first, second = sorted((0, 1), key=lambda side: sides[side].tobytes())  # the same whichever is nominal
    groups = []
    for group in GROUPS:
        members = [index for index, feature in enumerate(about.values()) if feature.group == group]
        if members:
            rows = [sides[side][:, members] for side in (first, second)]
            binned = [feature.binned for feature in about.values() if feature.group == group]
            groups.append((group, _told_apart(rows, [folds[first], folds[second]], binned, limits)))
    contrasts = [
        contrast
        for (name, feature), one, other in zip(about.items(), sides[0].T, sides[1].T, strict=True)
        if (contrast := _contrast(name, feature, one, other, limits))
    ]
    contrasts.sort(key=lambda contrast: (-contrast.auroc.value, list(GROUPS).index(contrast.about.group)))
    found = [group for group, auroc in groups if auroc.low > limits.separates]
    return OriginCheck(
        "warning" if set(found) & set(CONTENT_FREE) else "note" if found else "none",
        counts,
        files_compared=all(side.origins is not None for side in both),
        groups=tuple(groups),
        contrasts=tuple(contrasts),
        limits=limits,
    )


def _unchecked(counts: tuple[int, int], kind: str, limits: Limits) -> OriginCheck:
    side = "nominal" if counts[0] < limits.fewest else "anomalous"
    reason = f"there are {min(counts)} {kind}{side} ones, and it takes {limits.fewest}"
    return OriginCheck("unchecked", counts, reason, limits=limits)


def _sample(images: ImageSet, most: int) -> ImageSet:
    """At most so many images, as if drawn at random, whatever their order."""
    if len(images) <= most:
        return images
    keys = [hashlib.sha256(name.encode()).digest() for name in images.names]
    order = sorted(range(len(images)), key=lambda index: keys[index])
    return images.take(order[:most])


def _comparable(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both with the same columns, all numbers: a category becomes one column a value, 100 where it is that.

    Columns that one side lacks are dropped.
    """
    both = pd.concat([one, other], keys=["one", "other"], join="inner")
    for name in CATEGORIES:
        for value in sorted(set(both.get(name, ()))):
            both[f"{name}={value}"] = 100.0 * (both[name] == value)
    both = both.drop(columns=list(CATEGORIES), errors="ignore").astype(float)
    return both.loc["one"], both.loc["other"]


def _about(column: str) -> Feature:
    name, _, value = column.partition("=")
    if name not in CATEGORIES:
        return MEASURED[name]
    pattern = CATEGORIES[name]
    return Feature(pattern.group, pattern.label.format(value), pattern.unit, pattern.typical)


def _key(row: np.ndarray) -> bytes:
    return hashlib.sha256(row.tobytes()).digest()


def _distinct(table: pd.DataFrame) -> pd.DataFrame:
    """Its rows, each once, in an order that is as good as random but depends on the rows only."""
    rows = table.drop_duplicates()
    keys = [_key(row) for row in rows.to_numpy()]
    return rows.iloc[sorted(range(len(rows)), key=lambda index: keys[index])]


def _folds(sides: list[np.ndarray], count: int) -> list[np.ndarray]:
    """The fold of each row of each side, (rows,): of equal size, and the same for a row that both sides have.

    Otherwise a classifier learns that such a row belongs to the side that it isn't held out from.
    """
    keys = [[_key(row) for row in rows] for rows in sides]
    shared = set(keys[0]) & set(keys[1])
    folds = []
    for own in keys:
        order = sorted(range(len(own)), key=lambda index: (own[index] not in shared, own[index]))
        fold = np.empty(len(own), int)
        fold[order] = np.arange(len(own)) % count
        folds.append(fold)
    return folds


def _told_apart(
    sides: list[np.ndarray], folds: list[np.ndarray], binned: list[bool], limits: Limits
) -> Interval:
    """Out-of-fold AUROC of a classifier of both sides' rows, each (images, features).

    Logistic regression on binned features: a size or a JPEG quality often gives a side away by being *one*
    value, not by being larger, and quality is missing where there is no JPEG; both are bins. (Boosted trees
    separate about as well, and take far longer.) Scores are compared within a fold only, since each
    fold has a model of its own. The folds share training images, which makes their mean vary more (Nadeau &
    Bengio 2003): its variance is (1 / folds + share held out / share learnt) instead of 1 / folds.
    """
    placed = []
    for fold in range(limits.folds):
        learnt, held = (
            [rows[(where == fold) == out] for rows, where in zip(sides, folds, strict=True)]
            for out in (False, True)
        )
        encoders = _encoders(learnt, binned)
        model = LogisticRegression(class_weight="balanced", solver="newton-cholesky")
        labels = np.repeat([0, 1], [len(rows) for rows in learnt])
        with warnings.catch_warnings():  # where nothing tells the sides apart, it starts at the best fit
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(_encoded(np.concatenate(learnt), encoders), labels)
        placed.append(placements(*(model.decision_function(_encoded(rows, encoders)) for rows in held)))
    one, other = (np.concatenate(values) for values in zip(*placed, strict=True))
    return _delong(one, other, limits.confidence, 1 + limits.folds / (limits.folds - 1))


Encoder = Callable[[np.ndarray], sparse.csr_matrix]  # a feature's values, (images,), to (images, columns)


def _encoders(sides: list[np.ndarray], binned: list[bool]) -> list[Encoder]:
    """What turns each feature into columns for the classifier, from the rows that it learns from."""
    encoders: list[Encoder] = []
    for values, by_bins in zip(zip(*(rows.T for rows in sides), strict=True), binned, strict=True):
        known = [column[~np.isnan(column)] for column in values]
        if by_bins:  # at quantiles of each side, so that the smaller one counts
            shares = np.linspace(0, 1, BINS + 1)[1:-1]
            edges = [np.quantile(c, shares, method="lower") if len(c) else c for c in known]
            encoders.append(partial(_bins, np.unique(np.concatenate(edges))))
        else:
            pooled = np.concatenate(known)
            encoders.append(partial(_standardised, pooled.mean(), pooled.std() or 1.0))
    return encoders


def _bins(edges: np.ndarray, values: np.ndarray) -> sparse.csr_matrix:
    """One column, 0 or 1, for each bin, and the last one for missing values."""
    places = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))
    rows = np.arange(len(values))
    return sparse.csr_matrix((np.ones(len(values)), (rows, places)), (len(values), len(edges) + 2))


def _standardised(centre: float, scale: float, values: np.ndarray) -> sparse.csr_matrix:
    return sparse.csr_matrix((values[:, None] - centre) / scale)


def _encoded(rows: np.ndarray, encoders: list[Encoder]) -> sparse.csr_matrix:
    columns = [encode(values) for values, encode in zip(rows.T, encoders, strict=True)]
    return sparse.hstack(columns, "csr")


def _contrast(
    name: str, about: Feature, nominal: np.ndarray, anomalous: np.ndarray, limits: Limits
) -> Contrast | None:
    """None where too few images have the feature."""
    nominal, anomalous = nominal[~np.isnan(nominal)], anomalous[~np.isnan(anomalous)]
    if min(len(nominal), len(anomalous)) < limits.fewest:
        return None
    found = _delong(*placements(nominal, anomalous), limits.confidence)
    if found.value < 0.5:
        found = Interval(1 - found.value, 1 - found.high, 1 - found.low)
    typical = np.median if about.typical == "median" else np.mean
    return Contrast(name, about, float(typical(nominal)), float(typical(anomalous)), found)


def _delong(nominal: np.ndarray, anomalous: np.ndarray, confidence: float, inflation: float = 1) -> Interval:
    """AUROC of placement values, with the interval of DeLong et al. 1988, cut to [0, 1].

    inflation: of its variance.
    """
    value = (nominal.mean() + anomalous.mean()) / 2
    variance = nominal.var(ddof=1) / len(nominal) + anomalous.var(ddof=1) / len(anomalous)
    half = norm.ppf((1 + confidence) / 2) * np.sqrt(inflation * variance)
    return Interval(float(value), float(max(0, value - half)), float(min(1, value + half)))
