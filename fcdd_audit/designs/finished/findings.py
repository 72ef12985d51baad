"""From the test against placebos to findings and rows of results.csv."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.core.sides import Side
from fcdd_audit.datasets import AuditData
from fcdd_audit.designs.finished.answers import PlaceboResult, SideResult
from fcdd_audit.experiment.tables import COLUMNS
from fcdd_audit.verdict.findings import QUADRANTS, ExplainerFinding, Finding

# A cue for "anomalous" shows on nominal images, and one for "nominal" on anomalous ones.
PLANT_ON: dict[Side, Side] = {"nominal": "anomalous", "anomalous": "nominal"}


def finding_on(config: AuditConfig, data: AuditData, result: PlaceboResult, side: SideResult) -> Finding:
    """The answer for the images of one side; explanations are judged where the artifact raises the score."""
    plain = result.as_json()
    of_side = next(one for one in plain["sides"] if one["side"] == side.side)
    explanations = result.explanations if side.side == "nominal" else {}
    numbers = ("effect", "placebo_effects", "p", "p_holm", "shift", "placebo_shifts", "shift_p")
    shared = ("placebos", "likeness", "clean_auroc", "seed", "nominal_images", "anomalous_images")
    return Finding(
        dataset=data.name,
        nominal_class=data.nominal_class,
        detector=config.detector.detectors[0],
        probe=config.artifact.probe,
        plant_on=PLANT_ON[side.side],
        prevalence=None,
        verdict=side.verdict,
        reason=side.reason,
        reliance=side.excess,
        control_auroc=None,
        planted_auroc=None,
        seeds=0,
        images=result.nominal_images + result.anomalous_images,
        explainers=tuple(
            ExplainerFinding(
                name,
                reference=False,
                reveals=found.reveals,
                excess_pixel_auroc=found.excess,
                quadrant=QUADRANTS.get((side.verdict, found.reveals), "undecided"),
                agreement=None,
                overlaps=(),
                images=result.nominal_images,
            )
            for name, found in explanations.items()
        ),
        design="finished",
        placebo={
            "side": side.side,
            **{key: of_side[key] for key in numbers},
            **{key: plain[key] for key in shared},
            "explanations": {name: plain["explanations"][name] for name in explanations},
        },
    )


Number = tuple[str, str, str, str, float]  # plant_on, explainer, split, metric, value


def _numbers(result: PlaceboResult) -> Iterator[Number]:
    """What results.csv has of the test (docs/files.md); NaN where there is no number."""
    yield "", "", "clean", "auroc", result.clean_auroc
    yield "", "", "placebos", "likeness", result.likeness
    for side in result.sides:
        plant_on = PLANT_ON[side.side]
        for metric, value in (
            ("effect", side.effect.value),
            ("reliance", side.excess.value),
            ("score_shift", side.shift),
            ("p", side.p),
            ("p_holm", side.p_holm),
            ("score_shift_p", side.shift_p),
        ):
            yield plant_on, "", "artifact", metric, value
        for metric, values in (("effect", side.placebo_effects), ("score_shift", side.placebo_shifts)):
            for place, value in enumerate(values, 1):
                yield plant_on, "", f"placebo-{place}", metric, value
    for name, found in result.explanations.items():
        for metric, value in (
            ("pixel_auroc", found.overlap.value),
            ("excess_pixel_auroc", found.excess.value),
            ("p", found.p),
            ("p_holm", found.p_holm),
        ):
            yield PLANT_ON["nominal"], name, "artifact", metric, value
        for place, value in enumerate(found.placebo_overlaps, 1):
            yield PLANT_ON["nominal"], name, f"placebo-{place}", "pixel_auroc", value


def results_table(config: AuditConfig, data: AuditData, result: PlaceboResult) -> pd.DataFrame:
    """results.csv of a finished detector."""
    frame = pd.DataFrame(_numbers(result), columns=["plant_on", "explainer", "split", "metric", "value"])
    described = {
        "dataset": data.name,
        "nominal_class": data.nominal_class,
        "detector": config.detector.detectors[0],
        "probe": config.artifact.probe,
        "prevalence": np.nan,
        "twin": "finished",
        "seed": result.seed,
    }
    return frame.assign(**described)[list(COLUMNS)]
