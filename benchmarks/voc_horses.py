"""The paper's figure 8 as numbers: does a detector of VOC's horses rely on a photographer's tag?

python benchmarks/voc_horses.py --data DIR --work FOLDER [--seeds 5] [--detector fcdd] [--epochs N]
                                [--image-size 64]

DIR holds voc_animals/ (class folders of VOC photos in images/, index.csv, tags.csv with the tag's boxes, and
full-size copies of the tagged photos) and imagenet_1k_one_each/ (the nominal side). Two audits:

found   the horses as they are: half of the tagged photos in training, half in the test; the tag is removed
dose    horses without a tag of their own; the tag, cut out of photos, planted on a fifth and on all of them

Then the detectors of `dose` are shown the photos with a true tag, which they never saw. Finished trainings
are used again.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file

from fcdd_audit import AuditConfig, run_audit
from fcdd_audit.config.audit import make_config
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.datasets import DATASETS
from fcdd_audit.detectors import build
from fcdd_audit.detectors.weights import IN_RECORD
from fcdd_audit.experiment.store import TRAINED
from fcdd_audit.experiment.writer import STORE
from fcdd_audit.explainers import EXPLAINERS, raising
from fcdd_audit.measures.detection import auroc
from fcdd_audit.measures.localization import area_share, measure_all
from fcdd_audit.measures.statistics import mean_interval
from fcdd_audit.natural.artifacts import Masked
from fcdd_audit.natural.removal import inpaint

TAG = "watermark"  # the name of its boxes
EXPLAINED_BY = ("native", "gradient")
SHOWN = ("pixel_auroc", "relevance_mass", "pointing_game")
FIFTH = 0.2  # of VOC2007's horses bear the tag, by the paper's account
MARGIN, JITTER = 0.055, 0.02  # the tag's distance from the edges, and how far it moves: as on the photos
FAINTEST = 0.2  # opacity; what is below is the photos' own texture
AROUND = 13  # px; the median of such a square is what lies behind a letter

Tags = dict[str, dict[str, tuple[int, ...]]]  # by photo: its box at each size


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_tags(animals: Path) -> Tags:
    """The photos with a box around the tag; boxes are (left, top, right, bottom) px, counted from 0."""
    return {
        row["image"]: {size: tuple(map(int, row[f"box_{size}"].split())) for size in ("full", "256")}
        for row in rows(animals / "tags.csv")
        if row["box_256"]
    }


def lay_out(animals: Path, target: Path, tags: Tags, keep_tagged: bool) -> None:
    """The photos as VOC2007 comes, with the tag's boxes among the objects: every second photo of a class to
    test on, of tagged landscapes and tagged portraits too. (Of the others only horses are used.)"""
    root = target / "VOCdevkit" / "VOC2007"
    photos, boxes, lists = root / "JPEGImages", root / "Annotations", root / "ImageSets" / "Main"
    for folder in (photos, boxes, lists):
        folder.mkdir(parents=True, exist_ok=True)
    turn: dict[Any, int] = {}
    parts: dict[str, list[str]] = {"train": [], "val": []}
    for row in sorted(rows(animals / "index.csv"), key=lambda row: row["file"]):
        name = Path(row["file"]).stem
        if name in tags and not keep_tagged:
            continue
        size = int(row["w"]), int(row["h"])
        kind = (row["cls"], name in tags and size[0] > size[1], name in tags)
        turn[kind] = turn.get(kind, -1) + 1
        parts["val" if turn[kind] % 2 else "train"].append(name)
        if not (photos / f"{name}.jpg").exists():
            shutil.copy2(animals / row["file"], photos / f"{name}.jpg")
        objects = [box.split(":") for box in row["animals_xyxy"].split(";")]
        if name in tags:
            objects.append([TAG, " ".join(map(str, tags[name]["256"]))])
        write_annotation(boxes / f"{name}.xml", size, objects)
    for part, names in parts.items():
        (lists / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
    for part, names in parts.items():
        print(f"{target.name} {part}: {len(names)} photos, {sum(name in tags for name in names)} tagged")


def write_annotation(path: Path, size: tuple[int, int], objects: list[list[str]]) -> None:
    """Pascal VOC counts pixels from 1 and includes the last."""
    root = ET.Element("annotation")
    ET.SubElement(root, "size")
    for name, value in zip(("width", "height"), size, strict=True):
        ET.SubElement(root[0], name).text = str(value)
    for name, corners in objects:
        found = ET.SubElement(root, "object")
        ET.SubElement(found, "name").text = name
        box = ET.SubElement(found, "bndbox")
        left, top, right, bottom = map(int, corners.split())
        for side, value in zip(
            ("xmin", "ymin", "xmax", "ymax"), (left + 1, top + 1, right, bottom), strict=True
        ):
            ET.SubElement(box, side).text = str(value)
    ET.ElementTree(root).write(path)


def cut_out(photos: Path, tags: Tags, target: Path) -> float:
    """The tag as white letters with their opacity, as it looks on a landscape squeezed into a square; returns
    its share of the image's width.

    An opacity is how far a pixel is from what lies around it to white; of all landscapes, which bear the same
    pixels, the median.
    """
    opacities, sizes = [], []
    for name, boxes in tags.items():
        with Image.open(photos / f"{name}.jpg") as opened:
            grey = opened.convert("L")
        width, height = grey.size
        if width < height:
            continue
        behind = grey.filter(ImageFilter.MedianFilter(AROUND))
        seen, ground = (np.asarray(part.crop(boxes["full"]), float) for part in (grey, behind))
        opacities.append(((seen - ground) / (255 - ground).clip(1)).clip(0, 1))
        sizes.append((width, height))
    width, height = np.mean(sizes, axis=0)
    opacity = np.median(opacities, axis=0)
    tag = np.full((*opacity.shape, 4), 255, np.uint8)
    tag[..., 3] = np.rint(np.where(opacity < FAINTEST, 0, opacity) * 255)
    size = opacity.shape[1], round(opacity.shape[0] * width / height)
    Image.fromarray(tag).resize(size, Image.Resampling.BILINEAR).save(target)
    return float(opacity.shape[1] / width)


def number(found: dict[str, float] | None) -> str:
    if found is None:
        return "none"
    low, high = found["low"], found["high"]
    span = "" if low is None or np.isnan(low) else f" ({low:.3f} to {high:.3f})"
    return f"{found['value']:.3f}{span}"


def show(title: str, folder: Path) -> None:
    """What findings.json says."""
    for found in json.loads((folder / "findings.json").read_text())["findings"]:
        effects = {effect["measure"]: effect for effect in found["effects"]}
        print(
            f"\n{title}, {found['detector']}, {100 * found['prevalence']:.3g} % of the training horses: "
            f"{found['verdict']}" + (f" ({found['reason']})" if found["reason"] else "")
        )
        print(
            f"  dependence {number(found['dependence'])}, new alarms {number(found['alarms'])}, AUROC drop "
            f"{number(found['reliance'])}; {found['pairs_relying']} of {found['seeds']} pairs rely"
        )
        for measure, effect in effects.items():
            print(f"  {measure:<14} control {number(effect['control'])}  planted {number(effect['planted'])}")
        for explainer in found["explainers"]:
            print(f"  {explainer['explainer']} shows it: {explainer['reveals']} ({explainer['quadrant']})")
            for overlap in explainer["overlaps"]:
                if overlap["measure"].removesuffix("_dilated") in SHOWN:
                    print(
                        f"    {overlap['measure']:<22} chance {overlap['chance']:.3f}"
                        f"  control {number(overlap['control'])}  planted {number(overlap['planted'])}"
                        f"  excess {number(overlap['excess'])}"
                    )


def true_tags(config: AuditConfig, annotations: Path, animals: Path, tags: Tags) -> None:
    """The detectors of `dose` on the photos with a true tag: overlap of their heatmaps with its box, and what
    its removal takes from the AUROC of these horses against the other animals."""
    store = config.run.store or config.run.out / config.run_name / STORE
    data = DATASETS[config.data.dataset]().load(config.data_request())
    size = data.shape[1:]
    photos = []
    for name in tags:
        with Image.open(animals / "images" / "horse" / f"{name}.jpg") as opened:
            photos.append(np.asarray(opened.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)))
    images = torch.from_numpy(np.stack(photos)).movedim(3, 1).contiguous()
    masks = Masked(masks=str(annotations), only=TAG).find(list(tags), size)
    removed = inpaint(images, masks)
    print(f"\nThe {len(tags)} photos with a true tag (its box is {area_share(masks).mean():.3f} of the area)")

    def measure(detector: str, key: str, seed: int) -> dict[str, np.ndarray]:
        """One value an image."""
        model = build(
            detector,
            data.train_nominal.images,
            seed,
            config.options.get(detector),
            config.detector.recipe.network,
            config.detector.recipe.normalise,
        )
        model.load_state_dict(load_file(store / TRAINED / key / IN_RECORD))
        model.eval()
        x = images.float() / 255
        with torch.no_grad():
            others, *scores = (
                model.score(part.float() / 255).double().numpy()
                for part in (data.test_nominal.images, images, removed)
            )
        above = [np.array([auroc(others, one[None]) for one in part]) for part in scores]
        found = {"auroc": above[0], "auroc_without_tag": above[1], "drop": above[0] - above[1]}
        for name in EXPLAINED_BY:
            explainer = EXPLAINERS[name]()
            if explainer.unavailable(model) is None:
                heat = raising(explainer.explain(model, x, torch_generator(0, "true tags")))
                measured = measure_all(heat, masks)
                found |= {f"{name} {one}": measured[one].numpy() for one in SHOWN}
        return found

    for question in json.loads((config.run.out / config.run_name / "config.json").read_text())["questions"]:
        twins = [
            [measure(question["detector"], key, seed) for seed, key in enumerate(question[twin])]
            for twin in ("control", "planted")
        ]
        print(f"{question['detector']}, tag planted on {question['prevalence']:g} of the training horses:")
        for name in twins[0][0]:
            control, planted = (np.array([one[name].mean() for one in twin]) for twin in twins)
            numbers = (control, planted, planted - control)
            text = [f"{one.mean():.3f}" for one in numbers]
            if len(control) >= config.design.thresholds.min_seeds:
                for index, one in enumerate(numbers):
                    limits = mean_interval(one, config.design.thresholds.confidence)
                    text[index] += f" ({limits.low:.3f} to {limits.high:.3f})"
            print(f"  {name:<24} control {text[0]}  planted {text[1]}  difference {text[2]}")


def lay_out_dose(data: Path, work: Path) -> dict[str, Any]:
    """The horses without a tag of their own in work/dose, and the tag in work/tag.png. Returns the settings
    of an audit with that tag, besides those of `shared_settings`."""
    animals = data / "voc_animals"
    tags = read_tags(animals)
    lay_out(animals, work / "dose", tags, keep_tagged=False)
    width = cut_out(animals / "tagged_horses_full_size", tags, work / "tag.png")
    logo = {
        "file": str(work / "tag.png"),
        "corner": "lower-left",
        "size": width,
        "margin": MARGIN,
        "jitter": JITTER,
    }
    return {
        "probe": "logo",
        "prevalence": (FIFTH, 1.0),
        "data_root": work / "dose",
        "name": "dose",
        "options": {"logo": logo},
    }


def shared_settings(data: Path, work: Path) -> dict[str, Any]:
    """Of both audits."""
    return {
        "dataset": "voc-horse",
        "oe": str(data / "imagenet_1k_one_each"),
        "explainer": EXPLAINED_BY,
        "cache": work / "cache",
        "out": work / "runs",
        "workers": 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--detector", default="fcdd")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--image-size", type=int)
    given = vars(parser.parse_args())
    data, work = given.pop("data"), given.pop("work")
    torch.set_num_threads(1)
    sys.stdout.reconfigure(line_buffering=True)  # what is known is seen, also in a file
    animals = data / "voc_animals"
    tags = read_tags(animals)
    lay_out(animals, work / "found", tags, keep_tagged=True)
    annotations = work / "found" / "VOCdevkit" / "VOC2007" / "Annotations"
    shared = {**given, **shared_settings(data, work)}
    dose = make_config(shared, lay_out_dose(data, work))
    found = make_config(
        shared,
        {"probe": "mask", "data_root": work / "found", "name": "found"},
        {"options": {"mask": {"masks": str(annotations), "only": TAG}}},
    )
    print(f"{dose.data.image_size} px, {dose.detector.recipe}")
    show("The tag planted", run_audit(dose, quiet=False).folder)
    true_tags(dose, annotations, animals, tags)
    show("As found", run_audit(found, quiet=False).folder)


if __name__ == "__main__":
    main()
