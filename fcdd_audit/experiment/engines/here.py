"""Stacks in this process, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.engines.base import Counted
from fcdd_audit.experiment.setup import Setup
from fcdd_audit.experiment.stacks import Stack
from fcdd_audit.experiment.store import Store
from fcdd_audit.experiment.work import finish_stack


def finish_here(
    stacks: Sequence[Stack],
    setup: Setup,
    store: Store,
    threads: int | None,
    on_steps: Counted,
    on_cells: Counted,
) -> dict[Cell, str]:
    """As `Engine.finish`. threads: None: as many as there are."""
    before = torch.get_num_threads()
    failures: dict[Cell, str] = {}
    try:
        torch.set_num_threads(threads or before)
        for stack in stacks:
            failures |= finish_stack(stack, setup, store, on_steps)
            on_cells(len(stack))
    finally:
        torch.set_num_threads(before)
    return failures
