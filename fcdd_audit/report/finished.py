"""What the page shows of a finished detector: answers by side, figures of the placebos, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from fcdd_audit.experiment.folder import VARIANTS, RunFolder
from fcdd_audit.report.figures import among_placebos
from fcdd_audit.report.glossary import glossary, read_results
from fcdd_audit.report.strips import picture_rows


def context(run: RunFolder, config: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What finished.html.j2 shows besides config.json and findings.json."""
    arrays = run.read_arrays(config["questions"][0]["examples"])
    thresholds = config["config"]["design"]["thresholds"]
    maps = _maps(arrays)
    reference = {name: np.stack(list(shown.values())) for name, shown in maps.items()}
    strips, scales = picture_rows(
        arrays, VARIANTS, maps, reference, config["config"]["explanation"]["quantile"]
    )
    names = glossary(config["measures"], found["findings"], read_results(run))
    return {
        "glossary": names,
        "answers": [_answer(finding, thresholds, index) for index, finding in enumerate(found["findings"])],
        "strips": strips,
        "scales": scales,
        "variants": VARIANTS,
    }


def _answer(finding: dict[str, Any], thresholds: dict[str, float], index: int) -> dict[str, Any]:
    """One side's finding with its figures. as_many: placebos that cost as much as the artifact or more."""
    placebo = finding["placebo"]
    effect, others = placebo["effect"], placebo["placebo_effects"]
    drawn = among_placebos(effect, others, "AUROC lost", thresholds["reliance"], f"effect-{index}")
    explanations = [
        {
            **placebo["explanations"][explainer["explainer"]],
            "name": explainer["explainer"],
            "quadrant": explainer["quadrant"],
        }
        for explainer in finding["explainers"]
    ]
    for number, one in enumerate(explanations):
        if one["placebo_overlaps"]:
            figure = among_placebos(
                one["overlap"],
                one["placebo_overlaps"],
                f"pixel AUROC of {one['name']}",
                0.5 + thresholds["reveal"],
                f"overlap-{index}-{number}",
            )
        one["median"] = _median(one["placebo_overlaps"])
        one["figure"] = Markup(figure) if one["placebo_overlaps"] else None
    return {
        "finding": finding,
        "placebo": placebo,
        "figure": Markup(drawn),
        "median": _median(others),
        "median_shift": _median(placebo["placebo_shifts"]),
        "as_many": sum(other >= effect["value"] for other in others),
        "explanations": explanations,
    }


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _maps(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Heat by explainer and variant, (N, H, W) float32."""
    return {
        name: dict(
            zip(VARIANTS, arrays[f"heat.{name}"].astype(np.float32) * arrays[f"scale.{name}"], strict=True)
        )
        for name in (key.removeprefix("heat.") for key in arrays if key.startswith("heat."))
    }
