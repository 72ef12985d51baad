"""From the answers on a finished detector to findings and rows of results.csv."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.sides import Side
from fcdd_audit.designs.finished.answers import Beyond, Result, SideAnswer
from fcdd_audit.designs.finished.judging import missed
from fcdd_audit.designs.finished.loading import Loaded
from fcdd_audit.designs.finished.tested import SEED
from fcdd_audit.experiment.tables import COLUMNS
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.verdict.findings import QUADRANTS, ExplainerFinding, Finding, Quadrant
from fcdd_audit.verdict.thresholds import Thresholds

# A cue for "anomalous" shows on nominal images, and one for "nominal" on anomalous ones.
PLANT_ON: dict[Side, str] = {"nominal": "anomalous", "anomalous": "nominal"}
FOUND_ON: dict[Side, str] = {"nominal": "found-on-anomalous", "anomalous": "found-on-nominal"}
NAN = float("nan")


def direction_of(loaded: Loaded, side: Side) -> str:
    """The direction in which the artifact would be a cue that shows on this side."""
    return (FOUND_ON if loaded.tested[side].found else PLANT_ON)[side]


def findings_of(config: AuditConfig, loaded: Loaded, result: Result) -> list[Finding]:
    """One for each side; explanations are judged where the artifact raises the score."""
    plain = result.as_json()
    return [
        _finding(config, loaded, result, side, {**plain, "side": found})
        for side, found in zip(result.sides, plain.pop("sides"), strict=True)
    ]


def _finding(
    config: AuditConfig, loaded: Loaded, result: Result, side: SideAnswer, numbers: dict[str, Any]
) -> Finding:
    shown = result.shown if side.side == "nominal" else {}
    return Finding(
        dataset=loaded.data.name,
        nominal_class=loaded.data.nominal_class,
        detector=loaded.opened.name,
        probe=config.artifact.probe,
        plant_on=direction_of(loaded, side.side),
        prevalence=None,
        verdict=side.verdict,
        reason=side.reason,
        reliance=Interval(side.auroc_lost, NAN, NAN),
        control_auroc=result.auroc,
        planted_auroc=None,
        seeds=0,
        images=side.images,
        explainers=tuple(
            _explainer(name, found, side, result.explained, config.design.thresholds)
            for name, found in shown.items()
        ),
        harm=side.harm,
        dependence=None if np.isnan(side.shift) else Interval(side.shift, NAN, NAN),
        alarms=side.rate,
        missing=side.missing,
        images_needed=side.images_needed,
        specific=None if side.specific is None else side.specific.answer,
        design="finished",
        finished={
            **numbers["side"],
            **{key: value for key, value in numbers.items() if key not in ("side", "shown")},
            "shown": numbers["shown"] if side.side == "nominal" else {},
            "placebos": loaded.compared,
        },
    )


def _quadrant(side: SideAnswer, found: Beyond, limits: Thresholds) -> Quadrant:
    """Hidden is only what heatmaps don't point to: not what they show as they show any mark."""
    if found.answer == "no" and not missed(found, limits):
        return "undecided"
    return QUADRANTS.get((side.verdict, found.answer), "undecided")


def _explainer(
    name: str, found: Beyond, side: SideAnswer, images: int, limits: Thresholds
) -> ExplainerFinding:
    return ExplainerFinding(
        name,
        reference=False,
        reveals=found.answer,
        excess_pixel_auroc=found.excess,
        quadrant=_quadrant(side, found, limits),
        agreement=None,
        overlaps=(),
        images=images,
        side=side.side,
    )


Number = tuple[str, str, str, str, float]  # plant_on, explainer, split, metric, value


def _numbers(loaded: Loaded, result: Result) -> Iterator[Number]:
    """What results.csv has of the test (docs/files.md); NaN where there is no number."""
    yield "", "", "clean", "auroc", result.auroc
    yield "", "", "usual", "auroc", result.auroc_in_use
    yield "", "", "validation", "threshold", result.threshold
    for side in result.sides:
        plant_on = direction_of(loaded, side.side)
        yield plant_on, "", "placebos", "likeness", side.likeness
        for metric, value in (
            ("newly_wrong", side.rate.value),
            ("p_newly_wrong", side.p),
            ("own_shift", side.shift),
            ("auroc_lost", side.auroc_lost),
        ):
            yield plant_on, "", "artifact", metric, value
        if side.specific is not None:
            for split, metric, value in _beyond(side.specific, "newly_wrong"):
                yield plant_on, "", split, metric, value
        if side.dose is not None:
            for kind in ("opacity", "size"):
                for step in getattr(side.dose, kind):
                    yield plant_on, "", f"{kind}-{step.share:g}", "newly_wrong", step.newly_wrong
            for row, values in zip(side.dose.rows, side.dose.places, strict=True):
                for column, value in zip(side.dose.columns, values, strict=True):
                    yield plant_on, "", f"place-{row}-{column}", "newly_wrong", value
    for name, found in result.shown.items():
        plant_on = direction_of(loaded, "nominal")
        yield plant_on, name, "artifact", "pixel_auroc", found.value.value
        for split, metric, value in _beyond(found, "pixel_auroc"):
            yield plant_on, name, split, metric, value


def _beyond(found: Beyond, metric: str) -> Iterator[tuple[str, str, float]]:
    yield "artifact", "beyond_placebos", found.excess.value
    yield "artifact", "as_strong", found.as_strong
    yield "artifact", "p", found.p
    yield "artifact", "p_holm", found.p_holm
    for place, value in enumerate(found.placebos, 1):
        yield f"placebo-{place}", metric, value


def results_table(config: AuditConfig, loaded: Loaded, result: Result) -> pd.DataFrame:
    """results.csv of a finished detector."""
    frame = pd.DataFrame(
        _numbers(loaded, result), columns=["plant_on", "explainer", "split", "metric", "value"]
    )
    described = {
        "dataset": loaded.data.name,
        "nominal_class": loaded.data.nominal_class,
        "detector": loaded.opened.name,
        "probe": config.artifact.probe,
        "prevalence": np.nan,
        "twin": "finished",
        "seed": SEED,
    }
    return frame.assign(**described)[list(COLUMNS)]
