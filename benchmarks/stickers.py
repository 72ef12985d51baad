"""An artifact in one's own data, from question to remedy: stickers on a share of the normal images.

    python benchmarks/stickers.py --work FOLDER [--share 0.25] [--seeds 8] [--detector fcdd,hsc]
                                  [--remedy balance]

The images are those of `retina`, written into a folder; the stickers are discs at random places, with masks.
Both halves are asked: the sticker is removed from test images that bear it, and cut out and put on anomalies,
which training never saw with one. Then remedies are tried. Finished trainings are used again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fcdd_audit import DATASETS, PROBES, DataRequest, make_config, run_audit
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.verdict.words import caught_words

PERIOD = 4  # the first ones of so many normal images bear a sticker


def write_images(root: Path, share: float) -> None:
    """`images` and `masks`."""
    data, sticker = DATASETS["retina"]().load(DataRequest()), PROBES["disc"]()
    for part in ("train_nominal", "train_anomalous", "test_nominal", "test_anomalous"):
        images = data.parts()[part].images
        marked, masks = sticker.apply(images / 255, torch_generator(0, f"stickers {part}"))
        folder = part.replace("_", "/")
        for index, image in enumerate(images):
            bears = part.endswith("nominal") and index % PERIOD < PERIOD * share
            pixels = (marked[index] * 255).round().byte() if bears else image
            save(root / "images" / folder / f"{index}.png", pixels.permute(1, 2, 0).numpy())
            if bears and masks is not None:
                save(root / "masks" / folder / f"{index}.png", 255 * masks[index, 0].numpy().astype(np.uint8))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--detector", default="fcdd,hsc")
    parser.add_argument("--remedy", default="balance")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not (options.work / "images").exists():
        write_images(options.work, options.share)
    result = run_audit(
        make_config(
            dataset="folder",
            data_root=options.work / "images",
            image_size=32,
            probe="mask",
            options={"mask": {"masks": str(options.work / "masks")}},
            detectors=options.detector,
            explainers="native,grad-cam,integrated-gradients",
            seeds=options.seeds,
            remedies=options.remedy,
            out=options.work,
            name="audit",
        )
    )
    for one in result.as_json()["findings"]:
        print(f"{one['detector']}, {one['plant_on']}: {one['verdict']}, {one['harm']}, AUROC of controls")
        print(f"  {one['control_auroc']:.3f}; {caught_words(one)}")
        for transplant in one["transplants"]:
            print(f"  {transplant}")
        for explainer in one["explainers"]:
            print(f"  {explainer['explainer']} ({explainer['map']}): {explainer['reveals']}")
        print(f"  {one['mending']}")
    print(result.report)


if __name__ == "__main__":
    main()
