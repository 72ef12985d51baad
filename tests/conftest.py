"""Shared by all tests."""

import json
import os
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings
from PIL import Image

from fcdd_audit import AuditConfig, AuditResult, InputError, Recipe, make_config, run_audit

torch.set_num_threads(1)
settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")
_cache = tempfile.TemporaryDirectory(prefix="fcdd-audit-cache-")  # gone at exit
os.environ["XDG_CACHE_HOME"] = _cache.name  # of subprocesses too: no test touches the user's own


@pytest.fixture(scope="session")
def default_config(tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    """The default audit, of FCDD only, with three pairs of twins."""
    return make_config(
        detectors=("fcdd",),
        explainers=("native", "grad-cam", "gradient", "random"),
        seeds=3,
        out=tmp_path_factory.mktemp("reports"),
    )


@pytest.fixture(scope="session")
def default_run(default_config: AuditConfig) -> AuditResult:
    return run_audit(default_config)


@pytest.fixture(scope="session")
def default_table(default_run: AuditResult) -> pd.DataFrame:
    return pd.read_csv(default_run.folder / "results.csv", keep_default_na=False)


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random textures in class folders as `cifar10-oe` takes them: airplane, cat and too little of dog."""
    root = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for name, level, counts in (("airplane", 70, (12, 5)), ("cat", 170, (12, 4)), ("dog", 120, (3, 2))):
        for part, count in zip(("train", "test"), counts, strict=True):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.normal(level, 25, (32, 32, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def classes_config(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    """Two nominal classes, two detectors, two prevalences."""
    return make_config(
        dataset="cifar10-oe",
        data_root=class_folders,
        nominal_class=("airplane", "cat"),
        oe="photos",
        oe_limit=16,
        detectors=("fcdd", "ae"),
        explainers=("native",),
        prevalence=(0.5, 1.0),
        seeds=1,
        recipe=Recipe.of(epochs=1, batch_size=8),
        workers=1,
        out=tmp_path_factory.mktemp("class-reports"),
    )


@pytest.fixture(scope="session")
def classes_run(classes_config: AuditConfig) -> AuditResult:
    return run_audit(classes_config)


@pytest.fixture(scope="session")
def exposed_config(tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    """Grey noise, anomalous images with a bright square, none of these to train on but outlier exposure."""
    root, rng = tmp_path_factory.mktemp("exposed"), np.random.default_rng(0)
    for part, count in (("train/nominal", 20), ("test/nominal", 5), ("test/anomalous", 4)):
        (root / part).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(90, 130, (32, 32), np.uint8)
            if part == "test/anomalous":
                pixels[12:20, 12:20] = 250
            Image.fromarray(pixels).save(root / part / f"{index}.png")
    return make_config(
        dataset="folder",
        data_root=root,
        image_size=32,
        oe="photos",
        oe_limit=10,
        probe="frame",
        detectors=("fcdd",),
        explainers=("native",),
        seeds=1,
        workers=1,
        recipe=Recipe.of(epochs=1, batch_size=8),
        out=tmp_path_factory.mktemp("exposed-reports"),
    )


@pytest.fixture(scope="session")
def patches_config(tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    """Grey noise, in anomalous images with a brighter square somewhere: more than 16 test images a side, that
    is more than are explained in one pass, and all are explained."""
    root, rng = tmp_path_factory.mktemp("patches"), np.random.default_rng(0)
    counts = {"train/nominal": 24, "train/anomalous": 12, "test/nominal": 20, "test/anomalous": 18}
    for part, count in counts.items():
        (root / part).mkdir(parents=True)
        for index in range(count):
            pixels = rng.normal(110, 12, (32, 32))
            if part.endswith("anomalous"):
                row, column = rng.integers(4, 20, 2)
                pixels[row : row + 8, column : column + 8] += 40
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / part / f"{index}.png")
    return make_config(
        dataset="folder",
        data_root=root,
        image_size=32,
        probe="frame",
        detectors=("fcdd",),
        explainers=("native",),
        explained=0,
        seeds=1,
        workers=1,
        recipe=Recipe.of(epochs=1, batch_size=8),
        out=tmp_path_factory.mktemp("patches-reports"),
    )


@pytest.fixture(scope="session")
def in_store():
    """Lists the records of a store: by folder, when it was written."""

    def listed(store):
        return {
            sums.parent.relative_to(store).as_posix(): sums.stat().st_mtime_ns
            for sums in sorted(store.rglob("SHA256SUMS"))
        }

    return listed


@pytest.fixture(scope="session")
def measured_in():
    """Finds what was measured of a trained detector, by its key."""

    def found(store, key):
        (folder,) = (
            path.parent
            for path in store.glob("measured/*/identity.json")
            if json.loads(path.read_text())["of"] == key
        )
        return folder

    return found


@pytest.fixture(scope="session")
def work_of():
    """What config.json says of the work that a run did."""

    def read(folder):
        return json.loads((folder / "config.json").read_text())["work"]

    return read


@pytest.fixture(scope="session")
def left_of():
    """What an estimate counts, over all its groups of cells."""

    def counted(plan):
        trained = [group for group in plan.groups if group.trained]
        return {
            "detectors": sum(group.cells for group in trained),
            "to_train": sum(group.to_train for group in plan.groups),
            "cells": sum(group.cells for group in plan.groups),
            "to_measure": sum(group.to_measure for group in plan.groups),
        }

    return counted


@pytest.fixture
def without_page(monkeypatch):
    """Audits of which only numbers are looked at: their pages aren't made, which takes longest."""
    monkeypatch.setattr("fcdd_audit.auditing.render_report", lambda folder: folder / "report.html")


@pytest.fixture(scope="session")
def with_square():
    """Writes a picture of noise, with a bright square near the corner and its mask, or with a defect."""

    def make(rng, root, part, name, square=False, defect=False):
        pixels = rng.normal(110, 15, (32, 32))
        if defect:
            pixels[12:22, 12:22] += 70
        if square:
            pixels[2:8, 2:8] = 240
            mask = np.zeros((32, 32), np.uint8)
            mask[2:8, 2:8] = 255
            (root / "marks" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(root / "marks" / part / f"{name}.png")
        (root / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / part / f"{name}.png")

    return make


@pytest.fixture(scope="session")
def squares_config(with_square, tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    """A corner square, found on 6 of 8 anomalous training images, and on test images of both sides."""
    root, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    for index in range(20):
        with_square(rng, root, "train/nominal", index)
    for index in range(8):
        with_square(rng, root, "train/anomalous", index, square=index not in (1, 5), defect=index % 2 == 0)
    for index in range(6):
        with_square(rng, root, "test/nominal", index, square=index in (3, 5))
        with_square(rng, root, "test/anomalous", index, square=index in (1, 2, 4), defect=True)
    return make_config(
        dataset="folder",
        data_root=root,
        image_size=32,
        probe="mask",
        options={"mask": {"masks": str(root / "marks")}},
        detectors=("fcdd",),
        explainers=("native",),
        seeds=1,
        workers=1,
        recipe=Recipe.of(epochs=1, batch_size=8),
        out=tmp_path_factory.mktemp("squares-reports"),
    )


@pytest.fixture(scope="session")
def a_finding():
    """Makes a finding as findings.json has it, by default of a detector that doesn't rely."""

    def make(**changed):
        return {
            "dataset": "retina",
            "nominal_class": "healthy",
            "detector": "fcdd",
            "probe": "watermark",
            "plant_on": "anomalous",
            "prevalence": 1.0,
            "design": "twins",
            "verdict": "does-not-rely",
            "reason": None,
            "missing": None,
            "pairs_needed": None,
            "harm": "none",
            "alarms": {"value": 0.02, "low": 0.01, "high": 0.03},
            "control_auroc": 0.95,
            "planted_auroc": 0.96,
            "effects": [],
            "explainers": [],
            "finished": None,
            "seeds": 6,
            "images": 907,
            **changed,
        }

    return make


@pytest.fixture(scope="session")
def real_images() -> Path:
    """Further real images, where they are; tests that need them are skipped elsewhere."""
    beside = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("FCDD_AUDIT_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no further real images: set FCDD_AUDIT_TEST_DATA to test on them")
    return folder


@pytest.fixture(scope="session")
def noise() -> torch.Tensor:
    """Random colour images, uint8 (12, 3, 16, 16)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="session")
def paint():
    """Makes a picture file: noise that depends on its last folders and name, or one value everywhere."""

    def make(path, value=None, size=(16, 16), mode="RGB"):
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
        rng = np.random.default_rng(zlib.crc32("/".join(path.parts[-3:]).encode()))
        pixels = rng.integers(0, 256, shape, np.uint8) if value is None else np.full(shape, value, np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return make


@pytest.fixture(scope="session")
def refused():
    """Checks that what it is around ends with an InputError of one line that has these parts."""

    @contextmanager
    def check(*parts):
        with pytest.raises(InputError) as error:
            yield
        message = str(error.value)
        assert "\n" not in message
        for part in parts:
            assert part in message, message

    return check
