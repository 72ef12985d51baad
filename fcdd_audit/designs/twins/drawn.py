"""What the page draws of the scores: distributions and curves, measured here so that it computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from fcdd_audit.core.directions import DIRECTIONS
from fcdd_audit.experiment.explaining import heat_levels
from fcdd_audit.experiment.kept import halved
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.reading import Measured
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.tables import relevant
from fcdd_audit.experiment.work import Work
from fcdd_audit.measures.detection import threshold
from fcdd_audit.measures.reliance import Scores

DRAWN = 6  # findings with pictures and plots: with all classes of a data set the page would be too large
FEW = 5  # explainers; with more, fewer findings are drawn
SETS = {"usual": "in use", "conflict": "conflict"}  # splits that have curves, and what the page calls them


def most_drawn(explainers: int) -> int:
    """How many findings the page shows with pictures, given the number of explainers."""
    return max(1, DRAWN * FEW // max(FEW, explainers))


def first_thresholds(measured: Measured, quantile: float) -> dict[str, float]:
    """The frozen threshold of each twin of the first seed; empty where there are none."""
    firsts = {"planted": measured.planted[:1], "control": measured.control[:1]}
    return {
        twin: threshold(record.scores.validation, quantile)
        for twin, records in firsts.items()
        for record in records
    }


def scores_table(measured: Sequence[Measured], setup: Setup, asked: int) -> pd.DataFrame:
    """scores.csv: test scores of each question's twins of the first seed, of the images that count."""
    frames = [pd.DataFrame(columns=["question", "twin", "part", "variant", "image", "score"])]
    for index, one in enumerate(measured, asked):
        for twin, records in (("planted", one.planted[:1]), ("control", one.control[:1])):
            for record in records:
                scores = relevant(record, one.question).scores
                frames += [
                    pd.DataFrame(
                        {
                            "question": index,
                            "twin": twin,
                            "part": side,
                            "variant": variant,
                            "image": _counting(one.question, setup, side),
                            "score": values,
                        }
                    )
                    for (side, variant), values in scores.of.items()
                ]
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _counting(question: Question, setup: Setup, side: str) -> list[str]:
    """Names of the side's test images that count."""
    names = list(setup.pairs[side].names)  # type: ignore[index]
    if question.bearing is None or side != DIRECTIONS[question.plant_on].changed:
        return names
    return [name for name, bears in zip(names, question.bearing.tolist(), strict=True) if bears]


def curves_table(measured: Sequence[Measured], asked: int) -> pd.DataFrame:
    """curves.csv: the ROC of every twin, on the test set as it is in use and on the conflict set."""
    frames = [pd.DataFrame(columns=["question", "twin", "seed", "set", "fpr", "tpr"])]
    for index, one in enumerate(measured, asked):
        for twin, records in (("planted", one.planted), ("control", one.control)):
            for record in records:
                scores = relevant(record, one.question).scores
                for split, name in SETS.items():
                    fpr, tpr = _roc(scores, split, one.question.plant_on)
                    about = {"question": index, "twin": twin, "seed": record.cell.seed, "set": name}
                    frames.append(pd.DataFrame({**about, "fpr": fpr, "tpr": tpr}))
    return pd.concat(frames[1:] or frames, ignore_index=True)


def heat(
    measured: Measured,
    maps: Callable[[Work], dict[str, tuple[np.ndarray, np.ndarray]]],
    lowering: Callable[[Work], dict[str, np.ndarray]],
    places: Sequence[int],
) -> dict[str, np.ndarray]:
    """heat-N.npz: heatmaps of both twins of the first seed, `maps.TWIN.EXPLAINER`, (N, H, W) float16, their
    `scale...`, and evenly spaced quantiles of the heat on the test images, `levels...`.

    Where the artifact may lower the score, also what does of explainers with a sign, `lowers...`, with
    `lowers-scale...` and `lowers-levels...`.
    maps: heatmaps and quantiles of a cell, by explainer. lowering: what in its heatmaps lowers the score, by
    explainer with a sign. places: those of the N heatmaps that are shown.
    """
    arrays: dict[str, Any] = {}
    question = measured.question
    for twin, cell in (("planted", question.planted[0]), ("control", question.control[0])):
        for explainer, (kept, levels) in maps(measured.works[cell]).items():
            name = f"{twin}.{explainer}"
            arrays[f"maps.{name}"], arrays[f"scale.{name}"] = halved(kept[places])
            arrays[f"levels.{name}"] = levels
        work = measured.works[cell]
        for explainer, kept in lowering(work).items() if work.lowering else ():
            name = f"{twin}.{explainer}"
            arrays[f"lowers.{name}"], arrays[f"lowers-scale.{name}"] = halved(kept[places])
            arrays[f"lowers-levels.{name}"] = heat_levels(kept)
    return arrays


def _roc(scores: Scores, split: str, plant_on: str) -> tuple[np.ndarray, np.ndarray]:
    nominal, anomalous = scores.split(split, plant_on)
    labels = np.repeat([False, True], [len(nominal), len(anomalous)])
    fpr, tpr, _ = roc_curve(labels, np.concatenate([nominal, anomalous]))
    return fpr, tpr
