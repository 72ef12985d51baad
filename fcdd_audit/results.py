"""From finished cells to the tidy table: one row, one number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.measures import detection
from fcdd_audit.measures import reliance as rely
from fcdd_audit.measures.localization import LOCALIZATION
from fcdd_audit.runs import CellRecord

COLUMNS = (
    "dataset",
    "nominal_class",
    "detector",
    "probe",
    "plant_on",
    "prevalence",
    "twin",
    "seed",
    "explainer",
    "split",
    "metric",
    "value",
)
Number = tuple[str, str, str, float]  # explainer, split, metric, value


def detection_numbers(scores: rely.Scores, plant_on: str, quantile: float) -> Iterator[Number]:
    """AUROC, AP, and error rates at the frozen threshold, on each test set; and the stamp's effect."""
    limit = detection.threshold(scores.validation, quantile)
    yield "", "validation", "threshold", limit
    for split in ("clean", "stamped", "aligned", "conflict"):
        nominal, anomalous = scores.split(split, plant_on)
        yield "", split, "auroc", detection.auroc(nominal, anomalous)
        yield "", split, "average_precision", detection.average_precision(nominal, anomalous)
        yield "", split, "fpr", detection.rate_above(nominal, limit)
        yield "", split, "fnr", 1 - detection.rate_above(anomalous, limit)
    yield "", "conflict", "drop", rely.drop(scores, plant_on)
    yield "", "conflict", "score_shift", rely.score_shift(scores, plant_on)
    yield "", "conflict", "flip_rate", rely.flip_rate(scores, plant_on, limit)


def localization_numbers(localization: pd.DataFrame) -> Iterator[Number]:
    """Mean overlap of each explainer with the artifact's mask on stamped images, and the chance level.

    Splits: stamped (both sides), stamped-nominal, stamped-anomalous; defect: with the true anomaly's mask,
    on clean images. Metrics ending in _dilated use the mask grown by half the map's stride.
    """
    artifact = localization[localization["part"] != "defect"]
    splits = [("stamped", artifact)] + [
        ("defect" if part == "defect" else f"stamped-{part}", group)
        for part, group in localization.groupby("part", sort=False)
    ]
    for split, rows in splits:
        for (explainer, mask), group in rows.groupby(["explainer", "mask"], sort=False):
            area = float(group["area"].mean())
            lift = float((group["relevance_mass"] / group["area"]).mean())
            yield str(explainer), split, measured_name("area", str(mask)), area
            yield str(explainer), split, measured_name("relevance_lift", str(mask)), lift
            for measure, entry in LOCALIZATION.items():
                name = measured_name(measure, str(mask))
                yield str(explainer), split, name, float(group[measure].mean())
                yield str(explainer), split, f"{name}_chance", entry.chance(area)


def paired_numbers(planted: CellRecord, control: CellRecord, plant_on: str) -> Iterator[Number]:
    """What the planted twin of a seed does beyond its control."""
    yield (
        "",
        "conflict",
        "reliance",
        float(rely.reliance([planted.scores], [control.scores], plant_on)[0]),
    )
    before, after = overlaps(control), overlaps(planted)
    for explainer, measures in after.items():
        excess = measures["pixel_auroc"] - before[explainer]["pixel_auroc"]
        yield explainer, "stamped", "excess_pixel_auroc", float(np.nanmean(excess))


def overlaps(record: CellRecord) -> dict[str, dict[str, np.ndarray]]:
    """By explainer and measure, the overlap with the artifact's mask on each stamped image, (images,)."""
    found: dict[str, dict[str, np.ndarray]] = {}
    artifact = record.localization[record.localization["part"] != "defect"]
    for (explainer, mask), group in artifact.groupby(["explainer", "mask"], sort=False):
        for measure in LOCALIZATION:
            name = measured_name(measure, str(mask))
            found.setdefault(str(explainer), {})[name] = group[measure].to_numpy()
    return found


def chance_levels(record: CellRecord) -> dict[str, float]:
    """Each measure's chance level, from the mean area of the artifact's mask."""
    artifact = record.localization[record.localization["part"] != "defect"]
    return {
        measured_name(measure, str(mask)): entry.chance(float(group["area"].mean()))
        for mask, group in artifact.groupby("mask", sort=False)
        for measure, entry in LOCALIZATION.items()
    }


def measured_name(measure: str, mask: str) -> str:
    """Measures on a mask other than the exact one carry its kind: pixel_auroc_dilated."""
    return measure if mask == "exact" else f"{measure}_{mask}"


def tidy(identity: dict[str, Any], record: CellRecord, numbers: list[Number]) -> pd.DataFrame:
    """Rows of results.csv for one cell; `identity` overrides what the cell says of itself."""
    frame = pd.DataFrame(numbers, columns=["explainer", "split", "metric", "value"])
    cell = record.cell
    described = {
        "dataset": cell.dataset,
        "nominal_class": cell.nominal_class,
        "detector": cell.detector,
        "probe": cell.probe,
        "plant_on": cell.plant_on,
        "prevalence": cell.prevalence,
        "twin": cell.twin,
        "seed": cell.seed,
        **identity,
    }
    return frame.assign(**described)[list(COLUMNS)]
