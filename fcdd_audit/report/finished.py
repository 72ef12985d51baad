"""What the page shows of a finished detector: answers by side, figures of the placebos, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from fcdd_audit.experiment.folder import VARIANTS, RunFolder
from fcdd_audit.report.figures import among_placebos, dose_figure, places_figure
from fcdd_audit.report.first_finished import first_screen
from fcdd_audit.report.glossary import glossary, read_results
from fcdd_audit.report.strips import heat_tiles, mask_list, photos, scales


def context(run: RunFolder, config: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What finished.html.j2 shows besides config.json and findings.json."""
    arrays = run.read_arrays(config["questions"][0]["examples"])
    thresholds = config["config"]["design"]["thresholds"]
    maps = _maps(arrays)
    reference = {name: np.stack(list(shown.values())) for name, shown in maps.items()}
    quantile, rows = config["config"]["explanation"]["quantile"], range(len(arrays["name"]))
    tiles = heat_tiles(maps, mask_list(arrays, rows), reference, quantile)
    strips = [
        {**photo, "maps": own} for photo, own in zip(photos(arrays, VARIANTS, rows), tiles, strict=True)
    ]
    names = glossary(config["measures"], found["findings"], read_results(run))
    return {
        "first": first_screen(config, found["findings"], arrays),
        "glossary": names,
        "answers": [_answer(finding, thresholds, index) for index, finding in enumerate(found["findings"])],
        "strips": strips,
        "scales": scales(reference, config["units"], quantile),
        "variants": VARIANTS,
        "placed": "mask" in arrays,
    }


def _answer(finding: dict[str, Any], thresholds: dict[str, float], index: int) -> dict[str, Any]:
    """One side's finding with its figures."""
    numbers = finding["finished"]
    specific, dose = numbers["specific"], numbers["dose"]
    shown = [
        {**numbers["shown"][one["explainer"]], "name": one["explainer"], "quadrant": one["quadrant"]}
        for one in finding["explainers"]
    ]
    return {
        "finding": finding,
        "numbers": numbers,
        "by_kind": [] if specific is None else _by_kind(numbers["kinds"], specific["placebos"]),
        "placebos": _among(
            specific, "share of decisions turned wrong", thresholds["alarms"], f"wrong-{index}"
        ),
        "dose": None if dose is None else Markup(dose_figure(dose, thresholds["alarms"], f"dose-{index}")),
        "places": _places(dose, f"places-{index}"),
        "shown": [
            {
                **one,
                "figure": _among(
                    one,
                    f"pixel AUROC of {one['name']}",
                    0.5 + thresholds["reveal"],
                    f"overlap-{index}-{number}",
                ),
            }
            for number, one in enumerate(shown)
        ],
    }


def _by_kind(kinds: list[str], values: list[float]) -> list[dict[str, Any]]:
    """Of each kind of placebo, how many there are, and their mean."""
    return [
        {
            "kind": kind,
            "count": kinds.count(kind),
            "mean": float(np.mean([value for one, value in zip(kinds, values, strict=True) if one == kind])),
        }
        for kind in dict.fromkeys(kinds)
    ]


def _among(numbers: dict[str, Any] | None, label: str, limit: float, prefix: str) -> Markup | None:
    if numbers is None or not numbers["placebos"]:
        return None
    return Markup(among_placebos(numbers["value"]["value"], numbers["placebos"], label, limit, prefix))


def _places(dose: dict[str, Any] | None, prefix: str) -> Markup | None:
    if dose is None or not dose["places"]:
        return None
    return Markup(places_figure(dose["rows"], dose["columns"], dose["places"], prefix))


def _maps(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Heat by explainer and variant, (N, H, W) float32."""
    return {
        name: dict(
            zip(VARIANTS, arrays[f"heat.{name}"].astype(np.float32) * arrays[f"scale.{name}"], strict=True)
        )
        for name in (key.removeprefix("heat.") for key in arrays if key.startswith("heat."))
    }
