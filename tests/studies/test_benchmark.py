"""The long list of trainings: what comes first, going on, and what it writes."""

import gzip
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from fcdd_audit import make_config
from fcdd_audit.studies.calibrate import Calibration, calibration_setup, conditions_of
from fcdd_audit.studies.pool import JUDGED, joined, pair_rows, read_pool
from fcdd_audit.verdict.thresholds import Thresholds

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as changed:
        changed.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("calibration")


@pytest.fixture(scope="module")
def calibration(patches_config):
    """Of `fcdd`, on images that take no time."""
    audit = patches_config.having(probe="patch", prevalence=(1.0, 0.2, 0.5), seeds=3, steps=1)
    return Calibration(audit, pairs=64, null_pairs=32, decoys=("bars",), draws=5)


@pytest.fixture(scope="module")
def conditions(calibration):
    return conditions_of(calibration, calibration_setup(calibration))


@pytest.fixture
def trained(bench, monkeypatch):
    """No training: the numbers of a cell are told by its seed. The cells, call by call."""
    calls = []

    def told(cells, *_):
        calls.append(list(cells))
        rngs = {cell: np.random.default_rng((cell.seed, cell.edit.artifacts != ())) for cell in cells}
        names = [name for name in JUDGED if name != "usual_auroc"]
        return {cell: dict(zip(names, rng.random(len(names)), strict=True)) for cell, rng in rngs.items()}

    monkeypatch.setattr(bench, "train", told)
    return calls


def counted(chunks):
    counts = {}
    for chunk in chunks:
        for one, pairs in chunk.pairs.items():
            kind = (one.truth, one.decoy, one.prevalence)
            counts[kind] = counts.get(kind, 0) + len(pairs)
    return counts


def test_the_most_telling_pairs_come_first_and_all_kinds_in_turn(bench, conditions):
    planned = list(bench.chunks(conditions, joined([]), 8))
    nulls = [("both-sides", "", 0.2), ("both-sides", "", 1.0)]
    nulls += [("other-artifact", "bars", 0.2), ("other-artifact", "bars", 1.0)]
    telling = [("planted", "", 1.0), ("planted", "", 0.2)]
    assert counted(planned) == {
        **dict.fromkeys(nulls, 32),
        **dict.fromkeys([*telling, ("planted", "", 0.5)], 64),
    }
    for stage, kinds in ((5, 8), (10, 16), (20, 32)):
        assert counted(planned[:stage]) == dict.fromkeys([*telling, *nulls], kinds)
    cells = [cell for chunk in planned for cell in chunk.cells({})]
    assert all(len(chunk.cells({})) <= 8 * 4 for chunk in planned)
    assert {one.control[0].seed // 1000 for one in conditions} == {cell.seed // 1000 for cell in cells}


def test_what_is_there_is_not_trained_again(bench, conditions):
    one = next(one for one in conditions if (one.truth, one.prevalence) == ("planted", 0.2))
    numbers = {cell: {"drop": 0.0} for pair in one.pairs[:10] for cell in pair}
    table = pair_rows(one, numbers, "folder")
    left = list(bench.chunks(conditions, table, 8))
    assert counted(left)["planted", "", 0.2] == 54
    known = bench.controls_in(table, conditions)
    assert known == {cell: {"drop": 0.0} for cell in one.control[:10]}
    seeds = [cell.seed for chunk in left for cell in chunk.cells(known) if not cell.edit.artifacts]
    assert not {cell.seed for cell in known} & set(seeds), "nor are their controls"


def test_rows_are_appended_and_the_bytes_are_always_the_same(bench, conditions, tmp_path):
    one = conditions[0]
    rows = [
        pair_rows(one, {cell: {"drop": cell.seed / 7} for cell in pair}, "folder") for pair in one.pairs[:3]
    ]
    bench.append_rows(tmp_path / "a" / "x.csv.gz", rows[0])
    table = bench.append_rows(tmp_path / "a" / "x.csv.gz", joined(rows[1:]))
    bench.append_rows(tmp_path / "y.csv.gz", joined(rows))
    assert (tmp_path / "a" / "x.csv.gz").read_bytes() == (tmp_path / "y.csv.gz").read_bytes()
    assert table.equals(read_pool(tmp_path / "y.csv.gz"))
    assert gzip.decompress((tmp_path / "y.csv.gz").read_bytes()).count(b"\n") == 4


def test_it_stops_in_time_goes_on_and_reports_what_is_there(bench, calibration, trained, tmp_path):
    path = tmp_path / "tiny.csv.gz"
    bench.go_on(calibration, path, minutes=0)
    assert not path.exists()
    bench.go_on(calibration, path, minutes=float("inf"), size=32)
    before, calls = path.read_bytes(), len(trained)
    assert len({cell for call in trained for cell in call}) == sum(map(len, trained)), "each cell once"
    assert sum(map(len, trained)) == 64 * 4 + 4 * 2 * 32
    bench.go_on(calibration, path, minutes=float("inf"), size=32)
    assert (path.read_bytes(), len(trained)) == (before, calls)
    assert bench.left(calibration, path) == ({}, 0)
    result, lines = bench.report(calibration, path)
    found = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert found["incomplete"] == 0
    assert len(lines) == 2 + len(found["rates"]) == 2 + 3 + 5 + 1
    assert all(line.count("|") == 14 for line in lines)
    assert "| 12: " in lines[2], "of 64 pairs by the old rule"


def test_the_plan_counts_what_is_left(bench, calibration, trained, conditions, tmp_path):
    path = tmp_path / "tiny.csv.gz"
    counts, hours = bench.left(calibration, path)
    assert counts == {"fcdd": 64 * 4 + 4 * 2 * 32}
    assert hours >= 0
    assert [len(call) for call in trained] == [1], "one for the timing"


def test_a_chunk_is_trained_and_nothing_is_kept(bench, calibration, conditions):
    setup = calibration_setup(calibration)
    cells = list(conditions[0].pairs[0])
    found = bench.train(cells, conditions, setup, calibration, 1)
    assert list(found) == cells
    assert set(found[cells[0]]) == set(JUDGED) - {"usual_auroc"}


@pytest.mark.parametrize(("name", "detectors"), [("default", 3), ("textures", 2), ("cifar10", 3)])
def test_lists_are_settings_of_an_audit(bench, name, detectors, tmp_path):
    found = bench.calibration_of(name, tmp_path if name == "cifar10" else None)
    assert len(found.audit.detector.detectors) == detectors
    assert found.audit.artifact.prevalence == (1.0, 0.2, 0.05, 0.5)
    assert found.audit.design.looks == make_config().design.looks


@pytest.mark.parametrize(
    ("drops", "auroc", "verdict"),
    [
        ([0.3, 0.31, 0.32, 0.3, 0.3], 0.9, "relies"),
        ([0.0, 0.01, 0.0, 0.01, 0.0], 0.9, "does-not-rely"),
        ([0.3, -0.3, 0.3, -0.3, 0.3], 0.9, "inconclusive"),
        ([0.3, 0.31, 0.32, 0.3, 0.3], 0.55, "inconclusive"),
    ],
)
def test_the_old_rule_by_hand(bench, pool_of, drops, auroc, verdict):
    pool = pool_of(np.zeros(12), drop=np.array([*drops, *drops, 0, 0]), auroc=auroc)
    assert bench.old_verdicts(pool, Thresholds()) == [verdict] * 2
