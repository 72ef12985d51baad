"""The run folder, as it is written: all its files are replaced together, or none is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from fcdd_audit.core.arrays import npz_file
from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import TEMPORARY, writing
from fcdd_audit.experiment.folder import RunFolder
from fcdd_audit.experiment.store import Store

STORE = "store"  # of a run that isn't given another
COMPLETE = ".complete"  # files that only have to be moved to their places


@dataclass(frozen=True)
class RunWriter(RunFolder):
    """A run folder that is being written. store: where what is trained and measured is kept."""

    store: Store

    @classmethod
    def at(cls, path: Path, store: Path | None = None) -> RunWriter:
        """The folder with that store, or with one of its own."""
        return cls(path, Store(path / STORE if store is None else store))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder and the store, keep other runs out of the folder, and clear what a killed run left
        half-written.

        If nothing is written into it, nothing of it is left. InputError if it can't be written or another run
        is using it.
        """
        lock_file = self.path / ".lock"
        made = [path for path in (self.path, *self.path.absolute().parents) if not path.exists()]
        before = self._content()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
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
        try:
            move_complete(self.path)
            for leftover in self.path.glob(f"{TEMPORARY}*"):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            with self.store.opened():
                yield
        finally:
            if lock_file.name not in before and self._content() == before | {lock_file.name}:
                lock_file.unlink(missing_ok=True)
            lock.release()
            for path in made:
                with suppress(OSError):  # something is in it
                    path.rmdir()

    def _content(self) -> set[str]:
        return {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()

    @contextmanager
    def replacing(self, *stale: str) -> Iterator[Draft]:
        """Files written into the draft take the places of older ones at the end, all together.

        stale: files, or folders, of older runs that go with them. A folder of the draft takes the place of
        the older one as a whole. RunError if one can't be written: then the older ones
        stay.
        """
        draft = Draft(self.path / f"{TEMPORARY}files")
        try:
            with writing(self.path):
                draft.path.mkdir()
            yield draft
            with writing(self.path):
                for name in {*stale} - {path.name for path in draft.path.iterdir()}:
                    (draft.path / name).touch()  # an empty file stands for one that goes
                draft.path.rename(self.path / COMPLETE)
        finally:
            shutil.rmtree(draft.path, ignore_errors=True)
        move_complete(self.path)


def move_complete(path: Path) -> None:
    """Finish what a killed run had begun: its files were complete, but not all in their places."""
    complete = path / COMPLETE
    if not complete.is_dir():
        return
    with writing(path):
        for file in sorted(complete.iterdir()):
            with suppress(FileNotFoundError):  # another process was faster
                if file.is_dir():
                    _remove(path / file.name)
                    file.replace(path / file.name)
                elif file.stat().st_size > 0:
                    file.replace(path / file.name)
                else:  # stands for one that goes
                    _remove(path / file.name)
                    file.unlink()
        with suppress(FileNotFoundError):
            complete.rmdir()


def _remove(path: Path) -> None:
    """Take away a file, or a folder with all that is in it; nothing may be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Draft(RunFolder):
    """The files of a run folder before they take their places. RunError if one can't be written."""

    def write_text(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode())

    def write_json(self, name: str, content: Any) -> None:
        self.write_text(name, json.dumps(content, indent=1) + "\n")

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        self.write_text(name, table.to_csv(index=False, lineterminator="\n"))

    def write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """As a compressed .npz."""
        self.write_bytes(name, npz_file(arrays))

    def write_bytes(self, name: str, content: bytes) -> None:
        """name: with slashes, if it is in a folder; ValueError for one that leads out of the run folder."""
        path = self.path / name
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise ValueError(f"{name!r} is no file of a run folder")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
