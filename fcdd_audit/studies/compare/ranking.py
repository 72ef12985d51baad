"""Explainers in order, the best first, and in tiers that their intervals can tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fcdd_audit.measures.differences import hybrid_difference
from fcdd_audit.measures.statistics import Interval
from fcdd_audit.studies.compare.results import Compared


def ranked(rows: list[Compared]) -> list[Compared]:
    """By detector: the explanations, the best first; those of which nothing is known; reference maps; what
    can't work."""

    def worth(row: Compared) -> tuple[float, float]:
        exposes, alarms = row.exposes_twins.share.value, row.alarms_on_controls.share.value
        gain = np.nan_to_num(exposes) - np.nan_to_num(alarms)
        return -float(gain), -float(np.nan_to_num(row.separation.value))

    ordered: list[Compared] = []
    for detector in dict.fromkeys(row.detector for row in rows):
        own = [row for row in rows if row.detector == detector]
        working = [row for row in own if row.unavailable is None]
        explaining = [row for row in working if not row.reference]
        judged = [row for row in explaining if row.exposes_twins.trials + row.alarms_on_controls.trials]
        for rank, row in enumerate(sorted(judged, key=worth), 1):
            ordered.append(replace(row, rank=rank))
        ordered += [row for row in explaining if row not in judged]
        ordered += [row for row in working if row.reference]
        ordered += [row for row in own if row.unavailable is not None]
    return ordered


def tiered(rows: list[Compared], chance: float) -> list[Compared]:
    """The same rows with their tiers. rows: as `ranked`. chance: overlap of maps that show nothing."""
    tiers: dict[tuple[str, str], int] = {}
    for detector in dict.fromkeys(row.detector for row in rows):
        left = [row for row in rows if row.detector == detector and row.rank and above_chance(row, chance)]
        tier = 0
        while left:
            tier += 1
            best = gain(left[0])
            alike = [row for row in left if gain(row).high >= best.low and best.high >= gain(row).low]
            tiers |= {(row.detector, row.explainer): tier for row in alike}
            left = [row for row in left if (row.detector, row.explainer) not in tiers]
    return [replace(row, tier=tiers.get((row.detector, row.explainer), 0)) for row in rows]


def above_chance(row: Compared, chance: float) -> bool:
    """Whether maps of relying twins overlap with the artifact more than chance; not where none is known."""
    return row.overlap["planted"] > chance


def gain(row: Compared) -> Interval:
    """Share of relying twins exposed, less that of alarms on controls, in [-1, 1], from the exact intervals
    of the two; a share without a case counts as surely 0."""
    sure = Interval(0.0, 0.0, 0.0)
    exposes, alarms = (
        count.share if count.trials else sure for count in (row.exposes_twins, row.alarms_on_controls)
    )
    return hybrid_difference(alarms, exposes)
