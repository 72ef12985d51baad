"""How often verdicts on finished detectors were right, as the package says it."""

import importlib
from pathlib import Path

import pytest

from fcdd_audit.studies.finished_rates import finished_rates

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(("images", "size"), [(10, 100), (100, 100), (399, 100), (400, 400), (1000, 400)])
def test_rates_are_of_the_largest_audits_that_are_no_larger(images, size):
    found = finished_rates(images)
    assert [(rate["images"], rate["truth"]) for rate in found] == [
        (size, "over 10 %"),
        (size, "under 5 %"),
        (size, "0"),
    ]


def test_they_are_those_of_the_benchmark(monkeypatch):
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks aren't here: no check of the rates that the package tells")
    monkeypatch.syspath_prepend(BENCHMARKS)
    rows = importlib.import_module("finished").read_rows(BENCHMARKS / "results" / "finished.csv.gz")
    counted = importlib.import_module("finished_report").rates_of(rows)
    assert [*finished_rates(100), *finished_rates(400)] == counted
    assert all(0 < sum(rate["verdicts"].values()) <= rate["audits"] for rate in counted)
