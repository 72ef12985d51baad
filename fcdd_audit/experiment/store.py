"""The run folder: what an audit leaves on disk. Written atomically, resumed by cell."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from safetensors.torch import save_file

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.experiment.cells import Cell, CellResult
from fcdd_audit.measures.reliance import Scores

SCHEMA = 3  # of config.json and findings.json
TEMPORARY = ".tmp-"
TEXT_COLUMNS = ("part", "image", "variant", "explainer", "mask", "split", "metric")
CELL_FILES = (
    *("cell.json", "scores.csv", "localization.csv", "untrained.csv", "checks.csv"),
    *("heatmaps.npz", "detector.safetensors"),
)


@dataclass(frozen=True)
class CellRecord:
    """A finished cell as read back from disk; the frames and costs are those of `Explanations`."""

    cell: Cell
    scores: Scores
    localization: pd.DataFrame
    untrained: pd.DataFrame
    checks: pd.DataFrame
    costs: dict[str, dict[str, float]]


@dataclass(frozen=True)
class RunFolder:
    """`path`/{report.html, findings.json, results.csv, config.json, examples-0.npz, cells/<key>/}."""

    path: Path

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, keep other runs out of it, and clear what a killed run left half-written.

        InputError if it can't be written or another run is using it.
        """
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"another audit is writing to '{self.path}'; wait for it, or choose another --name or --out"
            ) from None
        except OSError as error:
            raise InputError(
                f"can't write to '{self.path}' ({error.strerror or error}); choose another --out"
            ) from None
        try:
            for leftover in self.path.glob(f"{TEMPORARY}*.*"):
                leftover.unlink()
            for leftover in self.cells.glob(f"{TEMPORARY}*"):
                shutil.rmtree(leftover)
            yield
        finally:
            lock.release()

    def check_writable(self) -> None:
        """InputError if the folder can't be made or written; changes nothing."""
        folders = (self.path, *self.path.absolute().parents)
        nearest = next(folder for folder in folders if os.path.exists(folder))
        if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
            raise InputError(f"can't write to '{self.path}'; choose another --out")

    @property
    def cells(self) -> Path:
        return self.path / "cells"

    def temporary(self) -> Path:
        """A folder for what only this process's workers read; a killed run's is cleared by the next."""
        folder = self.cells / f"{TEMPORARY}shared-{os.getpid()}"
        folder.mkdir(exist_ok=True)
        return folder

    def has_cell(self, key: str) -> bool:
        """Whether the cell is finished, with all its files."""
        return all((self.cells / key / name).is_file() for name in CELL_FILES)

    def write_cell(self, key: str, result: CellResult) -> None:
        """Write into a temporary folder, then rename: a cell is there whole or not at all."""
        folder = self.cells / f"{TEMPORARY}{key}-{os.getpid()}"
        folder.mkdir()
        result.scores.to_csv(folder / "scores.csv", index=False)
        found = result.explanations
        for name in ("localization", "untrained", "checks"):
            getattr(found, name).to_csv(folder / f"{name}.csv", index=False)
        _save_heatmaps(folder / "heatmaps.npz", found.heatmaps, found.levels)
        save_file(result.weights, folder / "detector.safetensors")
        description = {
            "cell": asdict(result.cell),
            "losses": result.losses,
            "seconds": result.seconds,
            "costs": found.costs,
        }
        (folder / "cell.json").write_text(json.dumps(description, indent=1))
        target = self.cells / key
        if target.exists():  # a damaged one: has_cell said it isn't finished
            shutil.rmtree(target)
        folder.rename(target)

    def cell_folder(self, key: str) -> Path:
        """A cell's folder; ValueError for a key that could lead elsewhere."""
        if not re.fullmatch("[0-9a-z]+", key):
            raise ValueError(f"{key!r} is no cell")
        return self.cells / key

    def read_cell(self, key: str) -> CellRecord:
        """A finished cell's scores and overlaps; RunError for a damaged one."""
        try:
            return self._read_cell(self.cell_folder(key))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"cell '{self.cells / key}' is damaged ({type(error).__name__}); remove it and run again"
            ) from error

    def _read_cell(self, folder: Path) -> CellRecord:
        described = json.loads((folder / "cell.json").read_text())
        frame = read_scores(folder)
        arrays: dict[Any, np.ndarray] = {
            key: group["score"].to_numpy() for key, group in frame.groupby(["part", "variant"], sort=False)
        }
        scores = Scores(arrays.pop(("validation", "clean")), arrays)
        return CellRecord(
            Cell(**described["cell"]),
            scores,
            localization=_read_csv(folder / "localization.csv"),
            untrained=_read_csv(folder / "untrained.csv"),
            checks=_read_csv(folder / "checks.csv"),
            costs=described["costs"],
        )

    def read_heatmaps(self, key: str) -> dict[str, np.ndarray]:
        """The examples' heatmaps by explainer, (images, H, W) float32, on the explainer's own scale."""
        with np.load(self.cell_folder(key) / "heatmaps.npz") as stored:
            return {
                name: stored[name].astype(np.float32) * stored[f"{name}.scale"]
                for name in stored.files
                if not name.endswith((".scale", ".levels"))
            }

    def read_levels(self, key: str) -> dict[str, np.ndarray]:
        """Evenly spaced quantiles of the heat on the test images, by explainer (see CellResult)."""
        with np.load(self.cell_folder(key) / "heatmaps.npz") as stored:
            return {
                name.removesuffix(".levels"): stored[name]
                for name in stored.files
                if name.endswith(".levels")
            }

    def write_text(self, name: str, text: str) -> Path:
        """Write one of the run's files atomically."""
        temporary = self.path / f"{TEMPORARY}{name}"
        temporary.write_text(text, encoding="utf-8", newline="\n")
        return temporary.replace(self.path / name)

    def write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Write a compressed .npz atomically."""
        temporary = self.path / f"{TEMPORARY}{name}"
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        temporary.replace(self.path / name)

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """What `write_arrays` wrote; ValueError for a name that could lead elsewhere."""
        if not re.fullmatch(r"[a-z]+-[0-9]+\.npz", name):
            raise ValueError(f"{name!r} is no file of examples")
        with np.load(self.path / name) as stored:
            return dict(stored)

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the run's JSON files; InputError if the folder holds no finished run."""
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
            if content.get("schema") != SCHEMA:
                raise ValueError(f"schema {content.get('schema')}, not {SCHEMA}")
            return content
        except (OSError, ValueError, AttributeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"'{self.path}' holds no finished audit ({name}: {reason});"
                " give the folder that 'fcdd-audit run' wrote"
            ) from None


def read_scores(folder: Path) -> pd.DataFrame:
    """A cell's scores: part, image, variant, score."""
    return _read_csv(folder / "scores.csv")


def _read_csv(path: Path) -> pd.DataFrame:
    # Read as text first: a file called "NA" keeps its name, and numbers come back to the last bit,
    # which pandas' own parser doesn't promise in every version.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    numbers = [str(name) for name in frame if name not in TEXT_COLUMNS]
    return frame.assign(**{name: frame[name].replace("", "nan").astype(float) for name in numbers})


def _save_heatmaps(path: Path, heatmaps: dict[str, np.ndarray], levels: dict[str, np.ndarray]) -> None:
    """float16 with a scale of its own for each explainer: gradients are too small for float16 as they are."""
    arrays: dict[str, np.ndarray] = {}
    for name, maps in heatmaps.items():
        scale = np.float32(maps.max() or 1)
        arrays[name] = (maps / scale).astype(np.float16)
        arrays[f"{name}.scale"] = scale
        arrays[f"{name}.levels"] = levels[name]
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
