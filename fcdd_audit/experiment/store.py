"""The store: what was trained and measured, each kept once and used by all runs that share it.

`path`/trained/KEY, measured/KEY, measured/KEY/EXPLAINER-KEY and searched/KEY are records. A record never
changes: it is written aside, checked when it is read, and made again if it is damaged. Several runs may use a
store at once.
"""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.files import writing
from fcdd_audit.experiment import records
from fcdd_audit.experiment.records import DamagedError, Identity, Record

TRAINED, MEASURED, SEARCHED = "trained", "measured", "searched"
KINDS = (TRAINED, MEASURED, SEARCHED)
LIVE = ".run-"  # begins the names of what a living run has in a store, which may be another run's folder
LOCKS = ".locks"  # empty files of records that are being made

Place = tuple[str, Identity]  # where a record is in a store, and of what it is

log = logging.getLogger("fcdd_audit")


@dataclass(frozen=True)
class Store:
    """A store. own: the name of the folder in which this run writes what isn't finished yet."""

    path: Path
    own: str = field(default_factory=lambda: f"{LIVE}{uuid.uuid4().hex[:12]}")

    @property
    def scratch(self) -> Path:
        """For what only this run's processes read; gone when it ends, or, if it is killed, with the next."""
        return self.path / self.own

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the store, and clear what killed runs left half-written. Folders that stay empty are gone
        afterwards. InputError if it can't be written."""
        folders = [self.path / name for name in (*KINDS, LOCKS)]
        made = [one for one in (*folders, self.path, *self.path.absolute().parents) if not one.exists()]
        alive = FileLock(self._alive(self.own))
        try:
            self._begin(folders, alive)
            yield
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
            with suppress(OSError):
                self._alive(self.own).unlink(missing_ok=True)
            alive.release()
            self._leave(made)

    def _begin(self, folders: list[Path], alive: FileLock) -> None:
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            with self._alone():  # else a run that is just beginning looks dead to another
                alive.acquire()
                self.scratch.mkdir()
                self._clear()
        except OSError as error:
            raise InputError(
                f"can't write to the store '{self.path}' ({error.strerror or error}); choose another --out "
                "or --store"
            ) from None

    def _leave(self, made: list[Path]) -> None:
        """Take away what was made and is empty, unless another run needs it."""
        records = [path for kind in KINDS for path in (self.path / kind).glob("*")]
        if records or any(self.path.glob(f"{LIVE}*.lock")):
            return
        with suppress(OSError):
            self._alone_file.unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):  # something is in it
                folder.rmdir()

    @property
    def _alone_file(self) -> Path:
        return self.path / LOCKS / "alone"

    def _alive(self, own: str) -> Path:
        """A file that is locked as long as the run lives that writes there."""
        return self.path / f"{own}.lock"

    def _clear(self) -> None:
        for lock in self.path.glob(f"{LIVE}*.lock"):
            own = lock.name.removesuffix(".lock")
            if own == self.own:
                continue
            with suppress(Timeout, OSError), FileLock(lock, timeout=0):  # that run is dead
                shutil.rmtree(self.path / own, ignore_errors=True)
                lock.unlink(missing_ok=True)

    @contextmanager
    def making(self, place: Place, wait: bool = True) -> Iterator[None]:
        """Only one process at a time makes the record of that place; another waits, and finds it, or, if it
        isn't to wait, gets a Timeout."""
        lock = FileLock(self.path / LOCKS / place[0].replace("/", "-"), timeout=-1 if wait else 0)
        with lock:
            try:
                yield
            finally:
                # Whoever waits for the deleted file makes the record a second time at worst: no harm.
                with suppress(OSError):
                    Path(lock.lock_file).unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """For what takes a moment, and must not happen twice at once."""
        with FileLock(self._alone_file):
            yield

    def read(self, place: Place) -> Record | None:
        """The record of that place; None if there is none. A damaged one, or one of something else, is named
        on the log and counts as none; in an opened store it is removed."""
        try:
            return self._whole(place)
        except DamagedError as error:
            log.warning("the record '%s' is damaged (%s) and is made again", self.path / place[0], error)
        if self.scratch.is_dir():
            with self._alone():
                return self._cleared(place)
        return None

    def _whole(self, place: Place) -> Record | None:
        """As `read`; DamagedError for a damaged one."""
        where, identity = place
        folder = self.path / where
        if not folder.exists():
            return None
        try:
            found = records.read(folder)
        except DamagedError:
            if not folder.exists():  # another run removed it meanwhile
                return None
            raise
        if found.identity != identity:
            raise DamagedError("it is of something else")
        return found

    def _cleared(self, place: Place) -> Record | None:
        """A whole record; whatever else is at its place goes."""
        with suppress(DamagedError):
            if (found := self._whole(place)) is not None:
                return found
        self.remove(place)
        return None

    def write(
        self,
        place: Place,
        files: Mapping[str, bytes],
        instead_of: Callable[[Record], bool] = lambda record: False,
    ) -> None:
        """Keep a record. One that is there stays, unless it is damaged, or one `instead_of` which this is to
        be. RunError if it can't be written."""
        where, identity = place
        target, aside = self.path / where, self._aside()
        with writing(target):
            try:
                records.write(aside, identity, files)
                with self._alone():
                    found = self._cleared(place)
                    if found is not None and instead_of(found):
                        self.remove(place)
                        found = None
                    if found is None:
                        target.parent.mkdir(parents=True, exist_ok=True)
                        aside.rename(target)
            finally:
                shutil.rmtree(aside, ignore_errors=True)

    def remove(self, place: Place) -> None:
        """Whatever is there goes, with the records below it."""
        target, aside = self.path / place[0], self._aside()
        if target.exists():
            target.rename(aside)
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()

    def _aside(self) -> Path:
        return self.scratch / uuid.uuid4().hex

    def all(self, kind: str) -> Iterator[Identity]:
        """The identities of all records of a kind; unreadable ones are left out."""
        for file in sorted((self.path / kind).glob(f"*/{records.IDENTITY}")):
            with suppress(OSError, ValueError):
                yield json.loads(file.read_text(encoding="utf-8"))
