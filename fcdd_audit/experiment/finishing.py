"""Work that is to be done: what is missing of it is counted, and an engine does it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fcdd_audit.config.parts import RunSettings
from fcdd_audit.core.progress import progress_bar
from fcdd_audit.detectors.training.schedule import length_of
from fcdd_audit.experiment.cells import Cell, together
from fcdd_audit.experiment.engines import ENGINES, Engine, Resources
from fcdd_audit.experiment.engines.base import Counted
from fcdd_audit.experiment.engines.here import finish_here
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.stacks import Stack, stacks
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import failure
from fcdd_audit.experiment.work import Work, missing
from fcdd_audit.models.own import own_kind


@dataclass(frozen=True)
class Finished:
    """What was done. trained: how many cells were, and so weren't used again; measured: which. failures: the
    cells that have no numbers, and why."""

    trained: int
    measured: frozenset[Cell]
    failures: dict[Cell, str]


@dataclass(frozen=True)
class Finisher:
    """Does work for one store with an engine, call after call. quiet: without progress bars on stderr.

    Models of the user's own training code are in this process only: their cells are done here, one after the
    other, with all threads, whatever the engine.
    """

    engine: Engine
    store: Store
    quiet: bool = True

    def finish_all(self, works: Sequence[Work], setup: Setup, words: str = "") -> Finished:
        """Do what is missing of the work, with a progress bar on stderr. words: what it is for."""
        todo = {work: missing(work, setup, self.store) for work in works}
        waiting = [work for work, one in todo.items() if one.trained or one.measured]
        failures = {
            work.cell: reason
            for work in works
            if work not in waiting and (reason := failure(work.cell, setup, self.store)) is not None
        }
        trained = sum(one.trained for one in todo.values())
        counted = len(
            {
                cell
                for work, one in todo.items()
                if one.trained and not own_kind(work.cell.detector)
                for cell in together(work.cell, setup)
            }
        )
        length = length_of(setup.recipe.optimisation, len(setup.data.train_nominal))
        steps, each = counted * length.steps, f" of {length}" if counted else ""
        with progress_bar(
            not self.quiet and bool(waiting),
            total=steps or len(waiting),
            desc=f"{len(waiting)} cells{each} ({', '.join(filter(None, (setup.data.nominal_class, words)))})",
            unit="step" if steps else "cell",
        ) as bar:
            finished = itertools.count(1)

            def on_cells(cells: int) -> None:
                for _ in range(cells):
                    bar.set_postfix_str(f"{next(finished)} finished")
                bar.update(0 if steps else cells)

            # Stacks are the same whatever is there of them already.
            planned = [stack for stack in _planned(works, setup) if any(work in waiting for work in stack)]
            failures |= self._finish(planned, setup, bar.update, on_cells)
        return Finished(trained, frozenset(work.cell for work, one in todo.items() if one.measured), failures)

    def finish_works(
        self,
        works: Sequence[Work],
        setup: Setup,
        on_steps: Counted = lambda steps: None,
        on_cells: Counted = lambda cells: None,
    ) -> dict[Cell, str]:
        """Do what is missing of the work; returns why cells have no numbers.

        on_steps, on_cells: as in `Engine.finish`. A cell whose training fails, or whose process is killed, is
        one without numbers; any other error stops the run, and finished records stay.
        """
        return self._finish(_planned(works, setup), setup, on_steps, on_cells)

    def _finish(
        self, planned: Sequence[Stack], setup: Setup, on_steps: Counted, on_cells: Counted
    ) -> dict[Cell, str]:
        own = [stack for stack in planned if _is_own(stack)]
        others = [stack for stack in planned if not _is_own(stack)]
        failures = self.engine.finish(others, setup, on_steps, on_cells) if others else {}
        return failures | finish_here(own, setup, self.store, None, on_steps, on_cells)


@contextmanager
def engaged(run: RunSettings, store: Store, quiet: bool = True) -> Iterator[Finisher]:
    """A finisher with the engine that is asked for, in the block. store: opened for as long as that.

    InputError where the engine isn't installed.
    """
    with ENGINES[run.engine].start(store, Resources(run.workers, run.address)) as engine:
        yield Finisher(engine, store, quiet)


def _planned(works: Sequence[Work], setup: Setup) -> list[Stack]:
    """Stacks of the work. Models of the user's own code, that no other process knows, have theirs."""
    own = [work for work in works if own_kind(work.cell.detector)]
    others = [work for work in works if not own_kind(work.cell.detector)]
    return stacks(others, setup) + stacks(own, setup)


def _is_own(stack: Stack) -> bool:
    return any(own_kind(work.cell.detector) for work in stack)
