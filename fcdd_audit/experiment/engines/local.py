"""On this machine: in this process, or in several that ask it for work."""

from __future__ import annotations

from collections.abc import Sequence

from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.devices import default_workers
from fcdd_audit.experiment.engines.base import Counted, Resources
from fcdd_audit.experiment.engines.crew import Crew
from fcdd_audit.experiment.engines.here import finish_here
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.stacks import Stack
from fcdd_audit.experiment.store import Store


class Local:
    """An `Engine`. On the CPU stacks are done side by side in worker processes, unless there is only one to
    do; processes are started when they are first needed, wait without costing anything, and end with the
    block. Of a GPU one process makes the most: this one, unless `workers` asks for others."""

    def __init__(self, store: Store, resources: Resources) -> None:
        self.store, self.workers = store, resources.workers
        self.crew = Crew(store)

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *error: object) -> None:
        self.crew.close()

    def finish(
        self, stacks: Sequence[Stack], setup: Setup, on_steps: Counted, on_cells: Counted
    ) -> dict[Cell, str]:
        """See `Engine.finish`."""
        workers = min(self.workers or default_workers(setup.device), len(stacks))
        if workers > 1:
            return self.crew.finish(stacks, setup, workers, on_steps, on_cells)
        threads = 1 if setup.device == "cpu" else None
        return finish_here(stacks, setup, self.store, threads, on_steps, on_cells)
