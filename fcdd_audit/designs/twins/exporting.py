"""What remedies make, for the user to take away: training images in this tool's layout, or weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image
from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import check_writable, write_bytes, write_text
from fcdd_audit.core.sides import SIDES
from fcdd_audit.designs.twins.remedied import Trial
from fcdd_audit.detectors.weights import IN_RECORD
from fcdd_audit.edits.base import TrainingSet
from fcdd_audit.experiment.cells import Cell, learned
from fcdd_audit.experiment.identity import trained_place
from fcdd_audit.experiment.plan import Question
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Store
from fcdd_audit.images.paths import safe_paths
from fcdd_audit.remedies import PLACEBO

LIST = "train.csv"
SUFFIX = ".png"  # of every safe path

log = logging.getLogger("fcdd_audit")


def check_export(folder: Path) -> None:
    """InputError where a folder can't be written to, or holds something already."""
    check_writable(folder, "--export")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"'{folder}' isn't empty; name a new folder with --export")


def export(
    folder: Path, setup: Setup, questions: Sequence[Question], trials: Sequence[Sequence[Trial]], store: Store
) -> None:
    """Write what each remedy made for the first pair of each question.

    A changed training set: `train/nominal` and `train/anomalous` as PNG files, as `--dataset folder` reads
    them, of the sides that the detector learns from, and a list of them with their names in the data. A term
    of the loss: the weights of the detector that was trained with it, as `--weights` reads them. Warns where
    there is nothing to write.
    """
    made = [
        (question, trial)
        for question, tried in zip(questions, trials, strict=True)
        for trial in tried
        if trial.remedied and trial.remedy != PLACEBO
    ]
    if not made:
        log.warning(
            "--export writes nothing for %s, %s: no remedy was trained there",
            setup.data.nominal_class,
            setup.probe,
        )
    names = safe_paths(
        [
            f"{question.nominal_class}-{question.detector}-{question.probe}-{question.plant_on}-"
            f"{question.prevalence:g}-{trial.remedy}"
            for question, trial in made
        ]
    )
    for name, (_, trial) in zip(names, made, strict=True):
        first, target = trial.remedied[0], folder / name.removesuffix(SUFFIX)
        if trial.term is None:
            _write_images(target, setup.trained_on(first.edit, first.seed, learned(first.detector)))
        else:
            _write_weights(target, first, setup, store)


def _write_images(folder: Path, training: TrainingSet) -> None:
    rows = []
    for side in SIDES:
        part = training.of(side)
        if not len(part):
            continue
        (folder / "train" / side).mkdir(parents=True, exist_ok=True)
        width = len(str(len(part)))
        for number, (image, name) in enumerate(zip(part.images, part.names, strict=True)):
            file = f"train/{side}/{number:0{width}}.png"
            _picture(image).save(folder / file)
            rows.append({"file": file, "side": side, "name": name})
    write_text(folder / LIST, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


def _picture(image: Tensor) -> Image.Image:
    """Of uint8 (C, H, W), grey or RGB."""
    pixels = image.movedim(0, -1).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _write_weights(folder: Path, cell: Cell, setup: Setup, store: Store) -> None:
    record = store.read(trained_place(cell, setup))
    if record is None or IN_RECORD not in record.files:
        log.warning("--export writes no weights to '%s': the training of the first pair failed", folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / IN_RECORD, record.files[IN_RECORD])
