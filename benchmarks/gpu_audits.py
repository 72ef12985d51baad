"""Whole audits and trainings of the benchmark on a GPU: what each tells, as plain values."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from voc_horses import lay_out_dose, shared_settings

from fcdd_audit import make_config, run_audit
from fcdd_audit.config.audit import AuditConfig
from fcdd_audit.datasets import DATASETS, AuditData
from fcdd_audit.detectors import build
from fcdd_audit.detectors.training.loop import DivergedError, fit_stack
from fcdd_audit.detectors.training.members import Member
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.experiment.explaining import batches
from fcdd_audit.measures.detection import auroc

# AUROC of FCDD by class, in the paper's appendix.
PAPER_AUROC = {
    "airplane": 0.95,
    "automobile": 0.96,
    "bird": 0.91,
    "cat": 0.90,
    "deer": 0.94,
    "dog": 0.93,
    "frog": 0.97,
    "horse": 0.96,
    "ship": 0.97,
    "truck": 0.96,
}
HORSES_STEPS = 600  # of 200 images: half a minute a training, where the paper's 600 epochs are 3,000


def default_audit(work: Path, device: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """`fcdd-audit run` as a user calls it, with an empty store: seconds, and what it says."""
    flags = [f"--{name}={value}" for name, value in {**changes, "device": device}.items()]
    run = [sys.executable, "-m", "fcdd_audit", "run", "--quiet", "--name", "default", "--out", str(work)]
    started = time.perf_counter()
    subprocess.run([*run, *flags], check=True)  # noqa: S603
    seconds = time.perf_counter() - started
    return {"audit seconds": seconds, "findings": findings(work / "default")}


def findings(folder: Path) -> list[dict[str, Any]]:
    """What findings.json says, a row a question."""
    rows = []
    for one in json.loads((folder / "findings.json").read_text())["findings"]:
        shift = next((effect for effect in one["effects"] if effect["measure"] == "score_shift"), {})
        rows.append(
            {
                "detector": one["detector"],
                "prevalence": one["prevalence"],
                "verdict": one["verdict"],
                "new alarms": _value(one["alarms"]),
                "AUROC drop": _value(one["reliance"]),
                "shift, control": _value(shift.get("control")),
                "shift, planted": _value(shift.get("planted")),
                "pairs": f"{one['pairs_relying']} of {one['seeds']} rely",
                "shown by": ", ".join(
                    f"{each['explainer']} ({each['reveals']})" for each in one["explainers"]
                ),
            }
        )
    return rows


def _value(found: Mapping[str, Any] | None) -> float | None:
    return None if found is None else found["value"]


def horses(data: Path, work: Path, device: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """VOC's horses with the tag on none, a fifth and all of them: seconds, and what is found."""
    settings = {
        **shared_settings(data, work),
        **lay_out_dose(data, work),
        "preset": "paper",
        "detector": "fcdd",
        "seeds": 3,
        "steps": HORSES_STEPS,
        "device": device,
        **changes,
    }
    config = make_config(settings)
    started = time.perf_counter()
    found = run_audit(config)
    work_done = json.loads((found.folder / "config.json").read_text(encoding="utf-8"))["work"]
    return {
        "audit seconds": time.perf_counter() - started,
        "trained": f"{work_done['trained']} of {work_done['detectors']} in this call",
        "steps": config.detector.recipe.optimisation.steps,
        "findings": findings(found.folder),
    }


def unpacked(data: Path, work: Path, name: str) -> Path:
    """The folder DATA/NAME, or, where DATA holds NAME.tar.xz, what is in that."""
    if (data / name).is_dir():
        return data / name
    target = work / "unpacked"
    if not (target / name).is_dir():
        with tarfile.open(data / f"{name}.tar.xz") as packed:
            packed.extractall(target, filter="data")
    return target / name


def cifar_class(
    name: str, data: Path, work: Path, device: torch.device, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """FCDD with the paper's recipe where that class is nominal: AUROC beside the paper's, seconds."""
    config = make_config(
        {
            "dataset": "cifar10-oe",
            "data_root": unpacked(data, work, "cifar10").parent,
            "oe": str(unpacked(data, work, "tiny_imagenet_val")),
            "nominal_class": name,
            "cache": work / "cache",
            "preset": "paper",
            "detector": "fcdd",
            **changes,
        }
    )
    images = DATASETS["cifar10-oe"]().load(config.data_request(name))
    started = time.perf_counter()
    found = trained_auroc(config, images, device)
    return {
        "class": name,
        "AUROC": found,
        "paper": PAPER_AUROC[name],
        "steps": length_of(config.detector.recipe.optimisation, len(images.train_nominal)).steps,
        "seconds to train and score": time.perf_counter() - started,
    }


def trained_auroc(config: AuditConfig, images: AuditData, device: torch.device) -> float:
    """Of seed 0, on the test images. DivergedError where its training fails."""
    recipe = config.detector.recipe
    nominal = images.train_nominal.images
    detector = build("fcdd", nominal, 0, config.options.get("fcdd"), recipe.network, recipe.normalise)
    (found,) = fit_stack([Member(detector, nominal, images.train_anomalous.images, 0)], recipe, device)
    if isinstance(found, DivergedError):
        raise found
    with torch.no_grad():
        sides = (
            torch.cat([detector.score(x) for x in batches(part.images, device)]).double().cpu().numpy()
            for part in (images.test_nominal, images.test_anomalous)
        )
        return float(auroc(*sides))
