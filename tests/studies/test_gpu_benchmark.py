"""The benchmark of a GPU, tried on the CPU: its clock, its parts, and going on."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CPU = torch.device("cpu")
WHERE_IT_IS = "fcdd_audit.measures.detection:auroc"


@pytest.fixture(scope="module")
def bench():
    """A module of the benchmarks by its name."""
    with pytest.MonkeyPatch.context() as changed:
        changed.syspath_prepend(BENCHMARKS)
        yield importlib.import_module


@pytest.fixture
def asked(bench, tmp_path):
    gpu = bench("gpu")
    return gpu.Asked(bench("gpu_tiny").write_tiny(tmp_path / "data"), tmp_path / "work", CPU, tiny=True)


def test_a_second_belongs_to_the_innermost_part_and_all_add_up(bench, monkeypatch):
    clock = bench("clock")
    now = iter([0.0, 1.0, 3.0, 3.5, 10.0, 11.0])
    monkeypatch.setattr(clock, "waited", lambda: next(now))
    timed = clock.Clock()
    with timed.part("outer"):
        with timed.part("inner"):
            pass
        with timed.part("inner"):
            pass
    assert timed.seconds == {"outer": 1.0 + 0.5 + 1.0, "inner": 2.0 + 6.5}
    assert timed.calls == {"outer": 1, "inner": 2}
    assert sum(timed.seconds.values()) == 11.0


def test_functions_are_watched_wherever_they_are_imported_and_let_go_again(bench):
    clock = bench("clock")
    from fcdd_audit.measures import detection, reliance

    before = detection.auroc
    timed = clock.Clock()
    with clock.watching(timed, [("measuring", WHERE_IT_IS)]):
        assert reliance.auroc is detection.auroc is not before
        assert reliance.auroc(np.array([0.0]), np.array([1.0])) == 1
    assert timed.calls == {"measuring": 1}
    assert reliance.auroc is detection.auroc is before


def test_each_part_of_an_audit_is_there_to_be_watched(bench):
    clock = bench("clock")
    with clock.watching(clock.Clock(), bench("shares").TARGETS):
        pass
    with pytest.raises(KeyError), clock.watching(clock.Clock(), [("none", "fcdd_audit.auditing:nothing")]):
        pass


def test_shares_are_those_of_all_steps_of_the_recipe(bench):
    shares = bench("shares")
    found = shares.Shares({"training": 2.0, "scoring": 3.0}, steps=10, whole=60)
    assert shares.around(found.seconds) == pytest.approx(0.6)
    assert found.scaled() == {"training": 12.0, "scoring": 3.0}
    assert shares.around(found.scaled()) == pytest.approx(0.2)
    assert "10 steps" in shares.table(found)


def test_a_rate_leaves_out_the_warm_up(bench, monkeypatch):
    speed = bench("speed")
    now = iter([100.0, 104.0])
    monkeypatch.setattr(speed, "waited", lambda: next(now))
    rate = speed.Rate(speed.Case("small", 16, 64, "float32", 10), members=2)
    for _ in range(10):
        rate(2)
    assert rate.images() == (20 - 4) * 16 / 4


def test_rates_of_a_network_on_the_cpu_are_those_of_ways_that_it_has(bench):
    speed = bench("speed")
    (row,) = speed.loops(speed.TINY_CASES[:1], CPU)
    assert row["graph"] is row["bare, replayed"] is None
    assert row["loop / best bare"] == pytest.approx(row["loop"] / row["bare"])
    sizes = [one["stack"] for one in speed.stacks(speed.TINY_STACKED, (1, 2), CPU)]
    assert sizes == [1, 2]


def test_a_class_of_cifar_is_trained_and_its_auroc_stands_beside_the_papers(bench, asked):
    found = bench("gpu").JOBS["cifar-bird"].run(asked)
    assert (found["class"], found["paper"], found["steps"]) == ("bird", 0.91, 2)
    assert 0 <= found["AUROC"] <= 1


def test_horses_are_audited_at_a_fifth_and_at_all_of_them(bench, asked):
    found = bench("gpu").JOBS["horses"].run(asked)
    assert [one["prevalence"] for one in found["findings"]] == [0.2, 1.0]
    assert all(isinstance(one["shift, planted"], float) for one in found["findings"])


@pytest.fixture
def three(bench, monkeypatch):
    """Jobs that take no time; returns what ran."""
    gpu, ran = bench("gpu"), []
    jobs = {
        name: gpu.Job(seconds, lambda asked, name=name: ran.append(name) or {"rows": [{"a": 1.5}]})
        for name, seconds in (("audit", 60), ("cifar-bird", 1e6), ("cifar-cat", 60))
    }
    monkeypatch.setattr(gpu, "JOBS", jobs)
    return ran


def test_it_goes_on_with_the_parts_that_are_missing_and_fit(bench, asked, three, tmp_path, monkeypatch):
    gpu, out = bench("gpu"), tmp_path / "gpu.json"
    names = list(gpu.JOBS)
    assert gpu.go_on(names[:2], asked, out, 12) == ["cifar-bird"]
    assert three == ["audit"]
    assert gpu.go_on(names, asked, out, 12) == ["cifar-bird"]
    assert three == ["audit", "cifar-cat"]
    parts = json.loads(out.read_text())["parts"]
    assert list(parts) == three
    assert parts["audit"]["rows"] == [{"a": 1.5}]
    # One class tells how long another takes.
    assert gpu.go_on(names, asked, out, 12) == []
    assert three == ["audit", "cifar-cat", "cifar-bird"]
    monkeypatch.setattr(gpu, "machine", lambda device: {"machine": "another"})
    with pytest.raises(SystemExit, match="give another --out"):
        gpu.go_on(names, asked, out, 12)


def test_no_part_is_begun_without_time_for_it(bench, asked, three, tmp_path):
    gpu = bench("gpu")
    assert gpu.go_on(["audit"], asked, tmp_path / "gpu.json", 0.9) == ["audit"]
    assert three == []


def test_a_part_is_told_with_its_numbers_and_its_rows_as_a_table(bench):
    part = {"seconds": 2.0, "rates": [{"case": "small", "loop": 44662.3}, {"case": "big", "graph": None}]}
    assert bench("gpu").text(part).split("\n") == [
        "  seconds: 2",
        "  case   loop    graph",
        "  small  44,662  -    ",
        "  big    -       -    ",
    ]


def test_the_order_is_that_of_what_tells_most(bench):
    gpu = bench("gpu")
    assert list(gpu.JOBS)[:5] == ["audit", "loop", "stacks", "horses", "shares"]
    assert len(gpu.JOBS) == 5 + 10
