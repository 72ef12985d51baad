"""A setup in a file, for all processes that work on it."""

from __future__ import annotations

import pickle
import shutil
import uuid
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from fcdd_audit.core.files import writing
from fcdd_audit.core.mapped import dumps
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Store


class Sharing:
    """Keeps one setup at a time in the store's scratch folder: its images in files, which are mapped.

    Containers keep shared memory small, or have none.
    """

    def __init__(self, store: Store) -> None:
        self.store = replace(store, path=store.path.absolute())  # others may be in another folder
        self.kept: tuple[Setup, Path] | None = None

    def file_of(self, setup: Setup) -> Path:
        """What `shared` reads it from. That of another setup goes: nobody may be at work. RunError where it
        can't be written."""
        if self.kept is not None and self.kept[0] is setup:
            return self.kept[1]
        before = self.kept
        path = self._folder / uuid.uuid4().hex / "setup.pickle"  # never the same: `shared` keeps what it read
        with writing(path):
            path.parent.mkdir(parents=True)
            path.write_bytes(dumps((setup, self.store), path.parent))
        self.kept = setup, path
        if before is not None:
            shutil.rmtree(before[1].parent, ignore_errors=True)
        return path

    def close(self) -> None:
        """Take it away."""
        self.kept = None
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return self.store.scratch / "shared"


@lru_cache(maxsize=1)
def shared(path: Path) -> tuple[Setup, Store]:
    """The setup of that file, and the store that its work is for; read once, until another is asked for."""
    setup, store = pickle.loads(path.read_bytes())
    return setup, store
