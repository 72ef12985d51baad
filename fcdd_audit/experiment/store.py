"""The run folder, as it is written: atomically, and resumed by cell."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from safetensors.torch import save_file

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.core.files import TEMPORARY, write_text
from fcdd_audit.edits.base import edit_from
from fcdd_audit.experiment.cells import Cell, CellResult
from fcdd_audit.experiment.folder import RunFolder, read_csv
from fcdd_audit.measures.reliance import Scores

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
class RunStore(RunFolder):
    """A run folder that is being written."""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, keep other runs out of it, and clear what a killed run left half-written.

        If nothing is written into it, nothing of it is left. InputError if it can't be written or another run
        is using it.
        """
        lock_file = self.path / ".lock"
        made = [
            path
            for path in (lock_file, self.cells, *self.cells.absolute().parents)
            if not os.path.exists(path)
        ]
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            lock = FileLock(lock_file)
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"another audit is writing to '{self.path}'; wait for it, or choose another --name or --out"
            ) from None
        except OSError as error:
            raise InputError(
                f"can't write to '{self.path}' ({error.strerror or error}); choose another --out"
            ) from None
        before = self._content()
        try:
            for leftover in self.path.glob(f"{TEMPORARY}*.*"):
                leftover.unlink()
            for leftover in self.cells.glob(f"{TEMPORARY}*"):
                shutil.rmtree(leftover)
            yield
        finally:
            lock.release()
            if self._content() <= before:
                for path in made:
                    with suppress(OSError):  # somebody else has put something there meanwhile
                        path.unlink() if path == lock_file else path.rmdir()

    def _content(self) -> set[Path]:
        """What lies in the folder and among its cells."""
        return {*self.path.iterdir(), *self.cells.iterdir()}

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
        _scores_table(result).to_csv(folder / "scores.csv", index=False)
        found = result.explanations
        for name in ("localization", "untrained", "checks"):
            getattr(found, name).to_csv(folder / f"{name}.csv", index=False)
        _save_heatmaps(folder / "heatmaps.npz", found.heatmaps, found.levels)
        save_file(result.weights, folder / "detector.safetensors")
        described = {
            "cell": result.cell.as_json(),
            "losses": result.losses,
            "seconds": result.seconds,
            "costs": found.costs,
        }
        (folder / "cell.json").write_text(json.dumps(described, indent=1))
        target = self.cells / key
        if target.exists():  # a damaged one: has_cell said it isn't finished
            shutil.rmtree(target)
        folder.rename(target)

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
        frame = read_csv(folder / "scores.csv")
        arrays: dict[Any, np.ndarray] = {
            key: group["score"].to_numpy() for key, group in frame.groupby(["part", "variant"], sort=False)
        }
        scores = Scores(arrays.pop(("validation", "clean")), arrays)
        cell = described["cell"]
        return CellRecord(
            Cell(**{**cell, "edit": edit_from(cell["edit"])}),
            scores,
            localization=read_csv(folder / "localization.csv"),
            untrained=read_csv(folder / "untrained.csv"),
            checks=read_csv(folder / "checks.csv"),
            costs=described["costs"],
        )

    def write_text(self, name: str, text: str) -> Path:
        """Write one of the run's files atomically."""
        return write_text(self.path / name, text)

    def write_table(self, name: str, table: pd.DataFrame) -> Path:
        """Write one of the run's tables atomically."""
        return self.write_text(name, table.to_csv(index=False, lineterminator="\n"))

    def write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Write a compressed .npz atomically."""
        temporary = self.path / f"{TEMPORARY}{name}"
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        temporary.replace(self.path / name)


def _scores_table(result: CellResult) -> pd.DataFrame:
    """One row a score: part, image, variant, score."""
    scored: dict[tuple[str, str], np.ndarray] = {("validation", "clean"): result.scores.validation}
    scored.update({(part, variant): scores for (part, variant), scores in result.scores.of.items()})
    frames = [
        pd.DataFrame({"part": part, "image": result.names[part], "variant": variant, "score": scores})
        for (part, variant), scores in scored.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _save_heatmaps(path: Path, heatmaps: dict[str, np.ndarray], levels: dict[str, np.ndarray]) -> None:
    """float16 with a scale of its own for each explainer: gradients are too small for float16 as they are."""
    arrays: dict[str, np.ndarray] = {}
    for name, maps in heatmaps.items():
        scale = np.float32(maps.max() or 1)
        arrays[name] = (maps / scale).astype(np.float16)
        arrays[f"{name}.scale"] = scale
        arrays[f"{name}.levels"] = levels[name]
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
