"""How well detectors detect: image and pixel AUROC per nominal class and seed, with nothing planted.

python benchmarks/quality.py --dataset cifar10-oe --data-root DIR [--oe SOURCE] [--nominal-class all]
                             [--preset quick] [--detector fcdd] [--seeds 3] [--epochs N]
                             [--set NAME.OPTION=VALUE] [--masks-per-defect N] [--threads 1] [--json FILE]

Prints one row a class and detector: mean and range over the seeds of the AUROC, and of the pixel AUROC of
the native heatmap where the anomalous test images have masks (over all pixels of the nominal test images and
of the anomalous ones with a mask, as in the paper).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mobilenet import trunk
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from fcdd_audit import AuditConfig
from fcdd_audit.config.audit import make_config
from fcdd_audit.config.layers import read_assignments
from fcdd_audit.datasets import DATASETS, AuditData
from fcdd_audit.detectors import NETWORKS, Detector, OwnNetwork, build, fit
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.images.sets import ImageSet

BATCH = 128


@torch.no_grad()
def scores(detector: Detector, images: ImageSet, device: torch.device) -> np.ndarray:
    """Anomaly scores, (N,)."""
    batches = (x.to(device).float() / 255 for x in images.images.split(BATCH))
    return torch.cat([detector.score(x).cpu() for x in batches]).numpy()


@torch.no_grad()
def heat(detector: Detector, images: ImageSet, device: torch.device) -> np.ndarray:
    """Native heatmaps, flat."""
    batches = (x.to(device).float() / 255 for x in images.images.split(BATCH))
    return torch.cat([detector.anomaly_map(x).cpu().half().flatten() for x in batches]).numpy()


def measure(
    config: AuditConfig, data: AuditData, name: str, seed: int, device: torch.device
) -> dict[str, float]:
    """Train one detector and measure it on the clean test images."""
    recipe, options = config.detector.recipe, dict(config.options.get(name, {}))
    started = time.perf_counter()
    nominal = data.train_nominal.images
    detector = build(name, nominal, seed, options, recipe.network, recipe.normalise)
    steps = length_of(recipe.optimisation, len(nominal)).steps
    with tqdm(total=steps, desc=f"{data.nominal_class} {name} seed {seed}", leave=False, disable=None) as bar:
        outliers = data.train_anomalous
        fit(
            detector, nominal, outliers.images, recipe, seed, device, masks=outliers.masks, on_step=bar.update
        )
    minutes = (time.perf_counter() - started) / 60
    label = np.repeat([0, 1], [len(data.test_nominal), len(data.test_anomalous)])
    both = np.concatenate(
        [scores(detector, part, device) for part in (data.test_nominal, data.test_anomalous)]
    )
    found = {"minutes": minutes, "auroc": float(roc_auc_score(label, both))}
    masks = data.test_anomalous.masks
    if masks is not None and hasattr(detector, "anomaly_map"):
        has = masks.flatten(1).any(dim=1)
        marked = ImageSet(data.test_anomalous.images[has], ())
        truth = np.concatenate(
            [np.zeros(data.test_nominal.images[:, 0].numel(), bool), masks[has].flatten().numpy()]
        )
        maps = np.concatenate([heat(detector, part, device) for part in (data.test_nominal, marked)])
        found["pixel_auroc"] = float(roc_auc_score(truth, maps))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("dataset", "data-root", "oe", "nominal-class", "preset", "detector", "epochs", "network"):
        parser.add_argument(f"--{flag}")
    for flag in ("image-size", "oe-limit", "masks-per-defect", "batch-size"):
        parser.add_argument(f"--{flag}", type=int)
    for flag in ("confetti-mask", "device", "cache"):
        parser.add_argument(f"--{flag}")
    parser.add_argument("--mobilenet", type=Path, help="weights for the network `mobilenet` (.npz)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="NAME.OPTION=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = vars(parser.parse_args())
    torch.set_num_threads(given.pop("threads"))
    target, assignments = given.pop("json"), given.pop("set")
    if weights := given.pop("mobilenet"):
        NETWORKS.register("mobilenet")(lambda shape: OwnNetwork(shape, trunk(weights, shape[0])))
    given["detector"] = given["detector"] or "fcdd"
    config = make_config(given, read_assignments(assignments))
    device = config.resolve_device()
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {device}"
    print(
        f"{machine}, torch {torch.__version__}, {torch.get_num_threads()} thread(s); {config.detector.recipe}"
    )
    rows = []
    for nominal_class in config.nominal_classes():
        data = DATASETS[config.data.dataset]().load(config.data_request(nominal_class, progress=True))
        for name in config.detector.detectors:
            found = [measure(config, data, name, seed, device) for seed in range(config.design.most_pairs)]
            row: dict[str, Any] = {"class": data.nominal_class, "detector": name}
            row |= {key: [one[key] for one in found] for key in found[0]}
            rows.append(row)
            shown = "  ".join(
                f"{key} {np.mean(row[key]):.3f} ({min(row[key]):.3f} to {max(row[key]):.3f})"
                for key in found[0]
            )
            print(f"{row['class']:<16} {name:<6} {shown}", flush=True)
            if target:
                target.write_text(json.dumps({"config": config.as_json(), "notes": data.notes, "rows": rows}))
    for name in config.detector.detectors:
        mine = [row for row in rows if row["detector"] == name]
        means = {
            key: np.mean([np.mean(row[key]) for row in mine])
            for key in ("auroc", "pixel_auroc")
            if key in mine[0]
        }
        print(
            f"mean of {len(mine)} {name}: " + "  ".join(f"{key} {value:.3f}" for key, value in means.items())
        )


if __name__ == "__main__":
    main()
