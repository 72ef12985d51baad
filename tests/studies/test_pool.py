"""The table of pairs, and pairs of controls made from it."""

import numpy as np
import pandas as pd
import pytest

from fcdd_audit.edits.plant import Plant
from fcdd_audit.experiment.cells import Cell
from fcdd_audit.experiment.setup import AS_IS
from fcdd_audit.measures.effects import score_numbers
from fcdd_audit.measures.reliance import Scores
from fcdd_audit.studies.planning import Condition, block_of
from fcdd_audit.studies.pool import COLUMNS, JUDGED, joined, pair_rows, pools, read_pool, twin_numbers
from fcdd_audit.studies.unrelated import paired_up, unrelated_seeds

EDIT = Plant("watermark", ("anomalous",), 0.2)


def condition(seeds, truth="planted"):
    twins = (tuple(Cell("fcdd", seed, edit) for seed in seeds) for edit in (EDIT, AS_IS))
    return Condition("fcdd", truth, "anomalous", 0.2, *twins)


def numbers(one, measures=("score_shift", "drop")):
    """Of each twin: its seed, negative for a control's."""
    signs = {EDIT: 1.0, AS_IS: -1.0}
    return {
        cell: dict.fromkeys(measures, signs[cell.edit] * cell.seed) for pair in one.pairs for cell in pair
    }


def scores(seed):
    rng = np.random.default_rng(seed)
    of = {
        (side, way): rng.normal(size=30) for side in ("nominal", "anomalous") for way in ("clean", "marked")
    }
    return Scores(rng.normal(size=40), of)


@pytest.mark.parametrize("plant_on", ["anomalous", "all-but-oe"])
def test_a_twin_has_the_numbers_that_a_verdict_is_judged_on(plant_on):
    both = score_numbers([scores(0)], [scores(1)], plant_on, 0.95)
    for turn in range(2):
        found = twin_numbers(scores(turn), plant_on, 0.95)
        assert list(found) == [name for name in JUDGED if name in both]
        assert found == {name: both[name][turn][0] for name in found}


def test_a_pair_without_the_numbers_of_a_twin_has_no_rows():
    one = condition((3, 1, 2))
    known = numbers(one)
    del known[one.planted[0]]
    table = pair_rows(one, known, "textures")
    assert list(table) == COLUMNS
    assert table["seed"].tolist() == [1, 1, 2, 2]
    (pool,) = pools(table)
    assert (pool.pairs, pool.prevalence, pool.truth) == (2, 0.2, "planted")
    assert pool.scores["drop"][0].tolist() == [1, 2]
    assert pool.differences("score_shift").tolist() == [2, 4]
    assert pools(joined([pair_rows(one, {}, "textures")])) == []


def test_a_table_comes_back_to_the_last_bit(tmp_path):
    one = condition((1, 2))
    known = {cell: {"score_shift": 0.1 + value["drop"] / 3} for cell, value in numbers(one).items()}
    known[one.control[0]]["score_shift"] = float("nan")
    table = pair_rows(one, known, "textures")
    table.to_csv(tmp_path / "pool.csv", index=False)
    pd.testing.assert_frame_equal(read_pool(tmp_path / "pool.csv"), table, check_exact=True)


@pytest.mark.parametrize(
    ("blocks", "pairs"), [((3, 3), 3), ((8, 2, 1), 3), ((4, 3, 2), 4), ((5,), 0), ((), 0), ((2, 2, 2, 2), 4)]
)
def test_seeds_are_paired_up_across_blocks(blocks, pairs):
    seeds = [10_000 + 1000 * block + turn for block, count in enumerate(blocks) for turn in range(count)]
    found = paired_up(seeds)
    assert len(found) == pairs
    used = [seed for pair in found for seed in pair]
    assert len(set(used)) == len(used), "each once"
    assert set(used) <= set(seeds)
    assert all(block_of(one) != block_of(other) for one, other in found)


def test_unrelated_seeds_are_controls_of_other_pairs():
    ones = [condition((10_000, 10_001)), condition((11_000, 11_001), "both-sides")]
    table = joined([pair_rows(one, numbers(one), "textures") for one in ones])
    found = unrelated_seeds(table)
    (pool,) = pools(found)
    assert (pool.truth, pool.prevalence, pool.pairs) == ("unrelated-seeds", 0.0, 2)
    assert pool.scores["drop"][0].tolist() == [-10_000, -10_001]
    assert pool.scores["drop"][1].tolist() == [-11_000, -11_001]
    again = joined([table, table.assign(prevalence=1.0)])
    pd.testing.assert_frame_equal(unrelated_seeds(again), found), "of two prevalences the controls are shared"
