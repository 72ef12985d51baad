"""What is lost with a process that was killed."""

from __future__ import annotations

from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.stacks import Stack
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.trainings import failure, record_killed
from fcdd_audit.experiment.work import missing


def lost(stack: Stack, setup: Setup, store: Store, reason: str) -> dict[Cell, str]:
    """Why cells of the stack have no numbers. Those that have all their records are kept; of the others it is
    recorded that they were killed, and why."""
    failures = {}
    for work in stack:
        todo = missing(work, setup, store)
        if todo.trained or todo.measured:
            record_killed(work.cell, setup, store, reason)
            failures[work.cell] = reason
        elif (before := failure(work.cell, setup, store)) is not None:
            failures[work.cell] = before
    return failures
