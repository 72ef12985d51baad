"""Two clean twins of unrelated seeds: controls of other pairs, paired up anew."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from fcdd_audit.studies.planning import block_of
from fcdd_audit.studies.pool import COLUMNS, joined

CLEAN = ("planted", "both-sides", "other-artifact")  # kinds whose controls saw nothing planted


def unrelated_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of pairs of two controls, at prevalence 0; the seed is the control's. They cost no training, and
    share the controls with other kinds."""
    clean = table[table["truth"].isin(CLEAN)]
    groups = clean.groupby(["dataset", "detector", "plant_on"], sort=False)
    return joined([_paired(about, rows) for about, rows in groups])


def _paired(about: tuple[str, str, str], rows: pd.DataFrame) -> pd.DataFrame:
    dataset, detector, plant_on = about
    controls = rows.drop_duplicates(["seed", "measure"])
    numbers = controls.pivot(index="seed", columns="measure", values="control")
    return pd.DataFrame(
        [
            (dataset, detector, "unrelated-seeds", "", 0.0, plant_on, after, measure, *twins)
            for before, after in paired_up(numbers.index.tolist())
            for measure in numbers
            for twins in [(numbers[measure][before], numbers[measure][after])]
        ],
        columns=COLUMNS,
    )


def paired_up(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of seeds from different blocks, each seed in at most one; as many as there can be."""
    blocks = [list(block) for _, block in groupby(sorted(seeds), block_of)]
    in_turn = [seed for block in sorted(blocks, key=len, reverse=True) for seed in block]
    largest = max(map(len, blocks), default=0)
    count = min(len(seeds) // 2, len(seeds) - largest)
    # Those of a block follow each other, and none is longer than the distance of the two in a pair.
    return list(zip(in_turn[:count], in_turn[len(seeds) - count :], strict=True))
