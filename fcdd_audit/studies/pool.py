"""A pool of pairs of twins whose truth is known: a tidy table, one row a pair and measure.

A pair is reduced to the numbers that a verdict is judged on. A control's number stands in the row of every
pair that it is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fcdd_audit.experiment.cells import Cell
from fcdd_audit.measures.effects import (
    CLEAN_AUROC,
    DROP,
    NEW_ALARMS,
    RIGHT,
    SHIFT,
    USUAL_AUROC,
    Twins,
    score_numbers,
)
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.studies.planning import Condition
from fcdd_audit.studies.truths import TRUTHS

JUDGED = tuple(one.name for one in (SHIFT, NEW_ALARMS, DROP, CLEAN_AUROC, USUAL_AUROC, RIGHT))
KIND = ["dataset", "detector", "truth", "decoy", "prevalence", "plant_on"]
COLUMNS = [*KIND, "seed", "measure", "planted", "control"]

Numbers = Mapping[str, float]  # of one twin, by measure


@dataclass(frozen=True)
class Pool:
    """The pairs of one condition, by seed. scores: by measure, of the planted and of the control twins, each
    (pairs,). decoy: what is planted in place of the artifact, or ""."""

    dataset: str
    detector: str
    truth: str
    decoy: str
    prevalence: float
    plant_on: str
    scores: Mapping[str, Twins]

    @property
    def pairs(self) -> int:
        return len(self.scores[SHIFT.name][0])

    def differences(self, measure: str) -> np.ndarray:
        """Planted minus control, (pairs,)."""
        planted, control = self.scores[measure]
        return planted - control


def twin_numbers(scores: Scores, plant_on: str, quantile: float) -> Numbers:
    """What is judged of one twin, by measure, of those that apply. quantile: of the nominal validation
    scores, the frozen threshold."""
    found = score_numbers([scores], [scores], plant_on, quantile)
    return {name: float(found[name][0][0]) for name in JUDGED if name in found}


def pair_rows(condition: Condition, numbers: Mapping[Cell, Numbers], dataset: str) -> pd.DataFrame:
    """The rows of a condition's pairs, of those whose twins both have numbers."""
    about: tuple[str | float, ...] = (
        *(dataset, condition.detector, condition.truth, condition.decoy),
        *(condition.prevalence, condition.plant_on),
    )
    rows = [
        (*about, control.seed, measure, numbers[planted][measure], numbers[control][measure])
        for planted, control in condition.pairs
        if planted in numbers and control in numbers
        for measure in numbers[control]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def with_derived(table: pd.DataFrame) -> pd.DataFrame:
    """The table, and below it the rows of pairs that cost no training."""
    makers = [entry.derived for _, entry in TRUTHS.items() if entry.derived is not None]
    return joined([table, *(make(table) for make in makers)])


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all tables, in order."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)


def pools(table: pd.DataFrame) -> list[Pool]:
    """The conditions in a table, in the order in which they come first."""
    return [_pool(kind, rows) for kind, rows in table.groupby(KIND, sort=False)]


def _pool(kind: Any, rows: pd.DataFrame) -> Pool:
    wide = rows.pivot(index="seed", columns="measure", values=["planted", "control"]).sort_index()
    scores = {
        measure: (wide["planted"][measure].to_numpy(float), wide["control"][measure].to_numpy(float))
        for measure in JUDGED
        if measure in wide["planted"]
    }
    return Pool(**dict(zip(KIND, kind, strict=True)), scores=scores)


def read_pool(path: Path) -> pd.DataFrame:
    """The rows of a written table, to the last bit."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in ("prevalence", "planted", "control"):  # as text first: pandas' parser may lose the last bit
        table[name] = [float(value or "nan") for value in table[name]]
    return table.astype({"seed": int})
