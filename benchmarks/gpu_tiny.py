"""Data of the same layout as the benchmark's on a GPU, small enough to try it: noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from gpu_audits import PAPER_AUROC
from PIL import Image

OTHERS = ("cat", "cow")
WORDNET = ("n01440764", "n01443537")  # a tench, a goldfish: nothing that CIFAR-10 has
HORSES, TAGGED, PHOTOS, EACH = 24, 2, 40, 24


def write_tiny(root: Path) -> Path:
    """The whole of it; returns its root."""
    random = np.random.default_rng(0)

    def picture(path: Path, side: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)

    animals = root / "voc_animals"
    rows = []
    for kind, count in (("horse", HORSES), *((one, HORSES // 2) for one in OTHERS)):
        for number in range(count):
            file = f"images/{kind}/2007_{len(rows):06d}.jpg"
            picture(animals / file, 64)
            rows.append({"file": file, "cls": kind, "w": 64, "h": 64, "animals_xyxy": f"{kind}:8 8 56 56"})
            if kind == "horse" and number < TAGGED:
                picture(animals / "tagged_horses_full_size" / f"2007_{len(rows) - 1:06d}.jpg", 128)
    tags = [
        {"image": f"2007_{number:06d}", "box_full": "4 100 68 120", "box_256": "2 50 34 60"}
        for number in range(TAGGED)
    ]
    for name, table in (("index", rows), ("tags", tags)):
        with (animals / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    for number in range(PHOTOS):
        picture(root / "imagenet_1k_one_each" / f"{WORDNET[number % 2]}_{number}.JPEG", 64)
        picture(root / "tiny_imagenet_val" / WORDNET[number % 2] / f"{number}.JPEG", 32)
    for part in ("train", "test"):
        for kind in PAPER_AUROC:
            for number in range(EACH if part == "train" else 2):
                picture(root / "cifar10" / part / kind / f"{number:04d}.jpg", 32)
    return root
