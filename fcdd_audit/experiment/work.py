"""From a cell to its records: what is missing is trained and measured, the rest is used again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch

from fcdd_audit.core.determinism import deterministic
from fcdd_audit.core.errors import RunError
from fcdd_audit.core.sides import Side
from fcdd_audit.core.versions import versions
from fcdd_audit.detectors import Detector
from fcdd_audit.experiment.cells import Cell, explained_parts, score, scored_names, together
from fcdd_audit.experiment.explaining import Explained, check_explainer, explain, extent
from fcdd_audit.experiment.identity import (
    checked_place,
    explained_place,
    lowered_place,
    scored_place,
    trained_place,
)
from fcdd_audit.experiment.kept import (
    CHECKS,
    LOWERING,
    MAPS,
    MEASURING,
    OVERLAPS,
    SCORES,
    maps_file,
    read_frame,
    read_scores,
    scores_file,
    table_file,
)
from fcdd_audit.experiment.lowering import lowering_rows
from fcdd_audit.experiment.records import Record, as_json
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.store import Place, Store
from fcdd_audit.experiment.trainings import (
    Made,
    NoNumbersError,
    failed_because,
    failure,
    load,
    make_trained,
    may_succeed,
    needed,
    out_of_memory,
)
from fcdd_audit.explainers import EXPLAINERS, make_explainer
from fcdd_audit.measures.statistics import interquartile_range
from fcdd_audit.models.failures import NotFiniteError

Places = Callable[[int], Place]  # of records of so many images


@dataclass(frozen=True)
class Work:
    """A cell, and what its records are to hold. explainers: those that work on its detector. checks: whether
    explanations are checked, on `Setup.sanity` images. explained: of each side at most so many images are;
    None: all. lowered: the side on whose images the artifact may lower the score, so that what explainers
    with a sign say lowers it is compared with images without the artifact; None: it isn't asked."""

    cell: Cell
    explainers: tuple[str, ...] = ()
    checks: bool = False
    explained: int | None = None
    lowered: Side | None = None

    @property
    def lowering(self) -> tuple[str, ...]:
        """The explainers that are asked what lowers the score."""
        return tuple(name for name in self.explainers if self.lowered and EXPLAINERS[name].signed)


@dataclass(frozen=True)
class Missing:
    """What of a cell's work is still to be done. failed: nothing, since its training failed and isn't tried
    again."""

    trained: bool = False
    scored: bool = False
    explained: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    failed: bool = False

    @property
    def measured(self) -> bool:
        return self.scored or bool(self.explained) or bool(self.checked) or bool(self.lowered)


def missing(work: Work, setup: Setup, store: Store) -> Missing:
    """What of the work isn't in the store. A training that failed and isn't tried again isn't missing, nor is
    what would be measured of it."""
    cell = work.cell
    record = store.read(trained_place(cell, setup)) if cell.trained else None
    again = record is not None and setup.trained_on_device is None and may_succeed(record)
    if record is not None and failed_because(record) is not None and not again:
        return Missing(failed=True)
    images = explained_images(work, setup)
    return Missing(
        trained=cell.trained and (record is None or again),
        scored=cell.trained and store.read(scored_place(cell, setup)) is None,
        explained=tuple(
            name for name in work.explainers if _enough(store, _explained(cell, setup, name), images) is None
        ),
        lowered=tuple(
            name for name in work.lowering if _enough(store, _lowered(work, setup, name), images) is None
        ),
        checked=tuple(
            name
            for name in work.explainers
            if work.checks and store.read(checked_place(cell, setup, name)) is None
        ),
    )


def finish_stack(
    stack: Sequence[Work], setup: Setup, store: Store, on_step: Callable[[int], object] = lambda steps: None
) -> dict[Cell, str]:
    """Make what is missing of each cell's records; of each only one process at a time.

    A training that is missing is made with those that belong to its stack, once, whatever becomes of it.
    on_step: told after each training step how many trainings made one. Returns why cells have no numbers.
    InputError if the detector can't be trained on this data, RunError for what ends a run.
    """
    reasons: dict[Cell, str] = {}
    tried: set[tuple[Cell, ...]] = set()
    for work in stack:
        todo, cells = missing(work, setup, store), together(work.cell, setup)
        try:
            if todo.trained and cells not in tried:
                tried.add(cells)
                make_trained(work.cell, setup, store, on_step)
            if todo.measured:
                _Measuring(work, setup, store).finish(todo)
        except NoNumbersError as error:
            reasons[work.cell] = str(error)
        else:
            if (failed := failure(work.cell, setup, store)) is not None:
                reasons[work.cell] = failed
    return reasons


class _Measuring:
    """Measures one cell."""

    def __init__(self, work: Work, setup: Setup, store: Store) -> None:
        self.work, self.cell, self.setup, self.store = work, work.cell, setup, store
        self.device = torch.device(setup.device)
        self.detector = load(self.cell, setup, store)
        self.parts: list[Explained] = explained_parts(self.cell, setup)
        self.images = explained_images(work, setup)

    def finish(self, todo: Missing) -> None:
        """Make the records that are missing."""
        cell, setup = self.cell, self.setup
        with deterministic():
            if todo.scored:
                self._keep(scored_place(cell, setup), self._score)
                todo = missing(self.work, setup, self.store)  # a damaged record takes those below with it
            for name in todo.explained:
                self._keep(explained_place(cell, setup, name, self.images), self._explain, name)
            for name in todo.lowered:
                self._keep(_lowered(self.work, setup, name)(self.images), self._lower, name)
            for name in todo.checked:
                self._keep(checked_place(cell, setup, name), self._check, name)

    def _keep(self, place: Place, make: Callable[..., Made], *names: str) -> None:
        with self.store.making(place):
            if self.store.read(place) is not None:
                return  # another run did it meanwhile
            started = time.perf_counter()
            files, about = make(*names)
            about = {**about, "seconds": time.perf_counter() - started, "versions": versions()}
            self.store.write(place, {**files, MEASURING: as_json(about).encode()})

    def _score(self) -> Made:
        try:
            found = score(self.detector, self.setup, self.device)
        except (RunError, NotFiniteError) as error:
            raise NoNumbersError(str(error)) from error
        except (MemoryError, RuntimeError) as error:
            raise NoNumbersError(out_of_memory(error)) from error
        return {SCORES: scores_file(found, scored_names(self.setup))}, {}

    def _explain(self, name: str) -> Made:
        """Maps of fewer images that are kept are part of it."""
        explainer = make_explainer(name, self.setup.options)
        if (reason := explainer.unavailable(self.detector)) is not None:  # unlike the first model of its code
            raise NoNumbersError(f"{name} can't explain it: {reason}")
        before = _fewer(self.store, _explained(self.cell, self.setup, name), self.images)
        first = 0 if before is None else int(before.identity["images"])
        found = explain(self.detector, name, explainer, self.parts, self.device, first, self.images)
        if before is not None:
            known = read_frame(before.files[OVERLAPS]).astype({"turn": int, "place": int})
            return {**before.files, OVERLAPS: table_file(self._in_order([known, found.overlaps]))}, {}
        files = {OVERLAPS: table_file(self._in_order([found.overlaps]))}
        if self.cell.trained and found.examples is not None and found.levels is not None:
            files[MAPS] = maps_file(found.examples, found.levels, found.lowering)
        return files, {}

    def _lower(self, name: str) -> Made:
        """As `_explain` does."""
        before = _fewer(self.store, _lowered(self.work, self.setup, name), self.images)
        first = 0 if before is None else int(before.identity["images"])
        part = next(one for one in self.setup.marked if one.part == self.work.lowered)
        explainer = make_explainer(name, self.setup.options)
        found = lowering_rows(self.detector, name, explainer, part, self.device, first, self.images)
        known = [] if before is None else [read_frame(before.files[LOWERING])]
        rows = pd.concat([*known, *([found] if len(found) or not known else [])], ignore_index=True)
        return {LOWERING: table_file(rows.sort_values(["opinion", "turn"], kind="stable"))}, {}

    def _in_order(self, frames: list[pd.DataFrame]) -> pd.DataFrame:
        """Rows by part, mask and turn: the same however often it was gone on with."""
        parts = {part.part: place for place, part in enumerate(self.parts)}
        rows = pd.concat([frame for frame in frames if len(frame)] or frames[-1:], ignore_index=True)
        keys = rows.assign(part=rows["part"].map(parts), mask=rows["mask"] != "exact")
        order = keys.sort_values(["part", "mask", "turn"], kind="stable").index
        return rows.loc[order]

    def _check(self, name: str) -> Made:
        if not isinstance(self.detector, Detector):
            raise ValueError("only detectors of this package are checked")
        scores = read_scores(needed(self.store, scored_place(self.cell, self.setup)).files[SCORES])
        unit = interquartile_range(scores.of["nominal", "clean"])
        explainer = make_explainer(name, self.setup.options)
        rows, costs = check_explainer(
            self.detector, name, explainer, self.parts, self.device, self.setup.sanity, unit
        )
        return {CHECKS: table_file(rows)}, {"costs": costs}


def explained_images(work: Work, setup: Setup) -> int:
    """How many images of each side are explained: as many as asked for, to a whole pass."""
    return extent(explained_parts(work.cell, setup), work.explained, torch.device(setup.device))


def explained_record(store: Store, work: Work, setup: Setup, name: str) -> Record:
    """That of as many of an explainer's maps as are asked for, or of more. RunError if there is none."""
    return _at_least(store, _explained(work.cell, setup, name), explained_images(work, setup))


def lowered_record(store: Store, work: Work, setup: Setup, name: str) -> Record:
    """That of what as many of its maps, or more, say lowers the score. RunError if there is none."""
    return _at_least(store, _lowered(work, setup, name), explained_images(work, setup))


def _explained(cell: Cell, setup: Setup, name: str) -> Places:
    return partial(explained_place, cell, setup, name)


def _lowered(work: Work, setup: Setup, name: str) -> Places:
    if work.lowered is None:
        raise ValueError("what lowers the score isn't asked")
    return partial(lowered_place, work.cell, setup, name, work.lowered)


def _at_least(store: Store, places: Places, images: int) -> Record:
    return _enough(store, places, images) or needed(store, places(images))


def _enough(store: Store, places: Places, images: int) -> Record | None:
    """The record of at least so many of an explainer's maps, and of the fewest of these."""
    counts = (count for count in sorted(_kept(store, places)) if count >= images)
    return _first(store, map(places, counts))


def _fewer(store: Store, places: Places, images: int) -> Record | None:
    """The record of fewer maps, and of the most of these."""
    counts = (count for count in sorted(_kept(store, places), reverse=True) if count < images)
    return _first(store, map(places, counts))


def _first(store: Store, places: Iterator[Place]) -> Record | None:
    return next((found for place in places if (found := store.read(place)) is not None), None)


def _kept(store: Store, places: Places) -> Iterator[int]:
    """Of how many maps of an explainer there are records."""
    folder, _, prefix = places(0)[0].removesuffix("0").rpartition("/")
    for path in (store.path / folder).glob(f"{prefix}*"):
        with suppress(ValueError):
            yield int(path.name.removeprefix(prefix))
