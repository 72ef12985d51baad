"""What twins say of a single image: its score over the threshold, and whether that is an alarm."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

WORDS = {"nominal": ("ALARM", "ok"), "anomalous": ("CAUGHT", "missed")}  # above the threshold, and not


@dataclass(frozen=True)
class Reading:
    """A detector's score of one image. ratio: over its threshold; None where that isn't positive. wrong:
    whether the decision is."""

    twin: str
    ratio: float | None
    above: bool
    wrong: bool
    word: str


def reading(twin: str, score: float, threshold: float, side: str) -> Reading:
    """The reading of an image of that side."""
    above = bool(score > threshold)
    ratio = float(score / threshold) if threshold > 0 else None
    return Reading(twin, ratio, above, above == (side == "nominal"), WORDS[side][not above])


def scores_by_image(scores: pd.DataFrame, question: int, side: str) -> dict[tuple[str, str, str], float]:
    """Scores of one side's images, by twin, variant and image. scores: as in scores.csv."""
    own = scores[(scores["question"] == question) & (scores["part"] == side)]
    keys = zip(own["twin"], own["variant"], own["image"], strict=True)
    return dict(zip(keys, own["score"], strict=True))
