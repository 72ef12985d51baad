"""The rule that verdicts followed before version 4, to compare: five pairs of twins and the AUROC drop."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fcdd_audit.measures.effects import CLEAN_AUROC, DROP, USUAL_AUROC
from fcdd_audit.measures.statistics import mean_interval
from fcdd_audit.studies.pool import Pool
from fcdd_audit.verdict.thresholds import Thresholds

PAIRS = 5


def old_verdict(
    pool: Pool, places: np.ndarray, limits: Thresholds
) -> Literal["relies", "does-not-rely", "inconclusive"]:
    """What the old rule says of these pairs, (pairs,) places in the pool.

    It relies if the AUROC drop beyond the control's, and the planted twin's own, are surely over the
    threshold by Student's t; it doesn't if one is surely under it and the control leaves room to lose.
    Without a working control nothing is said.
    """
    planted, control = (numbers[places] for numbers in pool.scores[DROP.name])
    usual = pool.scores.get(USUAL_AUROC.name, pool.scores[CLEAN_AUROC.name])[0][places]
    if pool.scores[CLEAN_AUROC.name][1][places].mean() < limits.usable_auroc:
        return "inconclusive"
    reliance, own = (mean_interval(one, limits.confidence) for one in (planted - control, planted))
    if min(reliance.low, own.low) > limits.reliance:
        return "relies"
    room = usual.mean() - control.mean()
    if min(reliance.high, own.high) < limits.reliance and room >= limits.room:
        return "does-not-rely"
    return "inconclusive"


def old_verdicts(pool: Pool, limits: Thresholds) -> list[str]:
    """Of disjoint audits, each pair once; pairs left over aren't used."""
    starts = range(0, pool.pairs - PAIRS + 1, PAIRS)
    return [old_verdict(pool, np.arange(start, start + PAIRS), limits) for start in starts]
