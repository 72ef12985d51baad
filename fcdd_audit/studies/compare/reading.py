"""Finished runs of twins, as the comparison of explainers reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fcdd_audit.core.errors import InputError
from fcdd_audit.experiment.folder import MEAN, RunFolder

SHARED = ("shift", "reveal", "confidence", "usable_auroc")  # thresholds that runs must have in common
CASE = ["run", "nominal_class", "probe", "plant_on", "prevalence"]
FINDING = (*CASE[1:], "detector", "verdict", "control_auroc", "explainers")
EXPLAINER = ("detector", "explainer", "reference", "unavailable", "field", "stride")


@dataclass(frozen=True)
class Run:
    """A finished run. results: without means over classes. explainers, measures: as in config.json."""

    described: dict[str, Any]
    findings: list[dict[str, Any]]
    results: pd.DataFrame
    costs: pd.DataFrame
    explainers: list[dict[str, Any]]
    options: dict[str, Any]
    thresholds: dict[str, float]
    measures: dict[str, dict[str, Any]]
    headline: str


def read(folder: Path, name: str) -> Run:
    """A finished run of twins, called `name` among those compared; InputError if it is none."""
    try:
        return _read_run(RunFolder(folder), name)
    except (OSError, KeyError, ValueError) as error:
        missing = getattr(error, "filename", None) or error
        raise InputError(
            f"'{folder}' is no complete run ({missing}); give the folder that 'fcdd-audit run' wrote"
        ) from error


def _read_run(run: RunFolder, name: str) -> Run:
    config, found = run.read_json("config.json"), run.read_json("findings.json")
    if config["design"] != "twins":
        raise InputError(f"'{run.path}' is of a finished detector; compare runs that train twins")
    results = read_results(run).assign(run=name)
    costs = run.path / "costs.csv"
    settings = config["config"]
    if not found["findings"]:
        raise InputError(f"'{run.path}' has no finding; there is nothing to compare")
    return Run(
        described={
            "id": name,
            "run": found["run"],
            "dataset": settings["data"]["dataset"],
            "probe": ", ".join(dict.fromkeys(one["probe"] for one in found["findings"])),
            "prevalence": settings["artifact"]["prevalence"],
            "seeds": settings["design"]["seeds"],
            "detectors": settings["detector"]["detectors"],
            "classes": [data["nominal_class"] for data in config["data"]],
            "images": found["findings"][0]["images"],
            "network": settings["detector"]["recipe"]["network"],
            "image_size": settings["data"]["image_size"],
            "explained": settings["explanation"]["explained"],
            "device": config["device"]["name"],
        },
        findings=[{key: one[key] for key in FINDING} for one in found["findings"]],
        results=results,
        costs=pd.read_csv(costs).assign(run=name) if costs.is_file() else pd.DataFrame(columns=["run"]),
        explainers=[{key: row[key] for key in EXPLAINER} for row in config["explainers"]],
        options={
            row["explainer"]: settings["options"][row["explainer"]]
            for row in config["explainers"]
            if settings["options"].get(row["explainer"])
        },
        thresholds={name: settings["design"]["thresholds"][name] for name in SHARED},
        measures=config["measures"],
        headline=config["headline"],
    )


def read_results(run: RunFolder) -> pd.DataFrame:
    """results.csv without means over classes."""
    # As text first: prevalences must match those of the findings to the last bit.
    results = pd.read_csv(run.path / "results.csv", dtype=str, keep_default_na=False)
    results = results[results["nominal_class"] != MEAN]
    numbers = {key: results[key].replace("", "nan").astype(float) for key in ("prevalence", "seed", "value")}
    return results.assign(**numbers)
